"""Traces: built from logits, written, read back, and refused with a sentence when not usable."""

import json
import pickle
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.special
from hypothesis import given

from hybrid.errors import TraceError
from hybrid.traces import trace
from hybrid.traces.confidence import MEASURES, Reliability, fit_temperature
from hybrid.traces.trace import Trace
from tests.strategies import SHA256, random_traces, synthetic_logits, synthetic_trace


def same_reliability(one: Reliability, other: Reliability) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name), equal_nan=True)
        for f in fields(Reliability)
    )


def same(one: Trace, other: Trace) -> bool:
    words = ("network", "variant", "split", "weights_sha256", "temperatures")
    return (
        all(getattr(one, name) == getattr(other, name) for name in words)
        and np.array_equal(one.labels, other.labels)
        and np.array_equal(one.classes, other.classes)
        and one.confidences.keys() == other.confidences.keys()
        and all(np.array_equal(one.confidences[m], other.confidences[m]) for m in MEASURES)
        and all(map(same_reliability, one.reliability_before, other.reliability_before))
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "trace-test.parquet"
    trace.save(synthetic_trace(), path)
    return path


def rewritten(path: Path, *, columns: list[str] | None = None, **about: object) -> Path:
    """The same trace with some columns only, or with other metadata."""
    table = pq.read_table(path)
    described = json.loads(table.schema.metadata[b"hybrid"]) | about
    table = table.select(columns or table.column_names)
    pq.write_table(table.replace_schema_metadata({"hybrid": json.dumps(described)}), path)
    return path


def test_a_trace_says_what_the_logits_say():
    logits, labels = synthetic_logits(50, 3, 10, seed=1)

    made = synthetic_trace(samples=50, seed=1, temperatures=[2.0, 1.0, 0.5])

    assert (made.samples, made.all_exits) == (50, 3)
    assert np.array_equal(made.labels, labels)
    for i, temperature in enumerate([2.0, 1.0, 0.5]):
        tempered = scipy.special.softmax(logits[i].astype(np.float64) / temperature, axis=1)
        assert np.array_equal(made.classes[:, i], logits[i].argmax(axis=1))
        assert np.allclose(made.confidences["max_probability"][:, i], tempered.max(axis=1))
        assert np.array_equal(made.correct[:, i], logits[i].argmax(axis=1) == labels)


def test_reliability_is_that_before_the_temperature():
    plain = synthetic_trace()
    logits, labels = synthetic_logits(200, 3, 10, seed=0)
    fitted = synthetic_trace(temperatures=[fit_temperature(z, labels) for z in logits])

    assert not np.array_equal(fitted.confidences["margin"], plain.confidences["margin"])
    assert all(map(same_reliability, fitted.reliability_before, plain.reliability_before))


@given(random_traces())
def test_what_was_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, made: Trace):
    path = tmp_path_factory.mktemp("traces") / "trace-tune.parquet"

    trace.save(made, path)

    assert same(trace.load(path), made)


def test_the_file_has_the_columns_others_rely_on(written: Path):
    table = pd.read_parquet(written)

    exits = [
        f"exit{i}_{name}"
        for i in range(3)
        for name in ("class", "max_probability", "margin", "entropy")
    ]
    assert list(table.columns) == ["sample", "label", *exits]
    assert table["sample"].tolist() == list(range(200))
    assert table["exit0_margin"].dtype == np.float32


def test_the_files_metadata_says_where_it_comes_from(written: Path):
    about = json.loads(pq.read_schema(written).metadata[b"hybrid"])

    assert about["format"] == 1
    assert about["network"] == "made-up"
    assert about["variant"] == "hybrid-1bit"
    assert about["split"] == "test"
    assert about["weights_sha256"] == SHA256
    assert about["temperatures"] == [1.0, 1.0, 1.0]


def test_metadata_is_json_that_other_languages_read(written: Path):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(pq.read_schema(written).metadata[b"hybrid"], parse_constant=refuse)


def test_arrays_are_read_only_and_each_exits_column_is_one_piece(written: Path):
    loaded = trace.load(written)

    arrays = [loaded.labels, loaded.classes, loaded.correct, *loaded.confidences.values()]
    assert not any(array.flags.writeable for array in arrays)
    assert all(array[..., 0].flags.c_contiguous for array in arrays[1:])


def test_a_trace_does_not_lock_the_callers_arrays():
    made = synthetic_trace()
    labels = np.array(made.labels)

    replace(made, labels=labels)

    labels[0] = 0


def test_a_trace_can_be_pickled_for_a_cache():
    made = synthetic_trace()

    assert same(pickle.loads(pickle.dumps(made)), made)


def test_a_failed_save_leaves_the_old_trace_and_nothing_else(
    written: Path, monkeypatch: pytest.MonkeyPatch
):
    before = written.read_bytes()

    def half_a_file(_table: pa.Table, path: Path, **_options: object):
        path.write_bytes(b"PAR1")
        raise OSError("no space left on device")

    monkeypatch.setattr(pq, "write_table", half_a_file)
    with pytest.raises(OSError, match="no space left"):
        trace.save(synthetic_trace(seed=9), written)

    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_the_right_weights_and_network_are_accepted(written: Path):
    loaded = trace.load(written, expect_sha256=SHA256, expect_network="made-up")

    assert loaded.samples == 200


def test_a_trace_of_other_weights_is_refused(written: Path):
    with pytest.raises(TraceError, match=r"with other weights \(5d41402abc4b, not 0{12}\)"):
        trace.load(written, expect_sha256="0" * 64)


def test_a_trace_of_another_network_is_refused(written: Path):
    with pytest.raises(TraceError, match="is a trace of made-up, not of digits-vgg; record it"):
        trace.load(written, expect_network="digits-vgg")


def test_a_missing_trace_says_how_to_record_it(tmp_path: Path):
    with pytest.raises(TraceError, match=r"There is no trace at .*gone.parquet; record one"):
        trace.load(tmp_path / "gone.parquet")


@pytest.mark.parametrize("format_", [0, 2, None, "1"])
def test_another_format_is_refused(written: Path, format_: object):
    with pytest.raises(TraceError, match=f"of format {format_}, and this version reads format 1"):
        trace.load(rewritten(written, format=format_))


@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_a_truncated_file_is_refused(written: Path, keep: float):
    data = written.read_bytes()
    written.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])

    with pytest.raises(TraceError, match="not a readable Parquet file; record it again"):
        trace.load(written)


def test_a_byte_changed_in_the_data_never_changes_what_is_read(written: Path):
    data, before = written.read_bytes(), trace.load(written)
    footer = int.from_bytes(data[-8:-4], "little") + 8  # Parquet's own length of its footer
    refused = []

    for place in range(4, len(data) - footer, 61):
        written.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            assert same(trace.load(written), before)
        except TraceError as error:
            refused.append(str(error))

    assert len(refused) > 50
    assert all("record it again" in sentence for sentence in refused)


def test_a_folder_is_no_trace(tmp_path: Path):
    with pytest.raises(TraceError, match="not a readable Parquet file"):
        trace.load(tmp_path)


def test_a_parquet_file_without_our_metadata_is_no_trace(tmp_path: Path):
    pq.write_table(pa.table({"sample": [0]}), tmp_path / "other.parquet")

    with pytest.raises(TraceError, match="is a Parquet file but not a trace"):
        trace.load(tmp_path / "other.parquet")


@pytest.mark.parametrize("metadata", ["{", "[1, 2]", "7"])
def test_metadata_that_is_no_json_object_is_damage(written: Path, metadata: str):
    table = pq.read_table(written).replace_schema_metadata({"hybrid": metadata})
    pq.write_table(table, written)

    with pytest.raises(TraceError, match="is damaged; record it again"):
        trace.load(written)


@pytest.mark.parametrize("missing", ["label", "sample", "exit2_class", "exit0_entropy"])
def test_a_missing_column_is_damage(written: Path, missing: str):
    kept = [name for name in pq.read_schema(written).names if name != missing]

    with pytest.raises(TraceError, match="is damaged; record it again"):
        trace.load(rewritten(written, columns=kept))


def test_rows_out_of_order_are_damage(written: Path):
    table = pq.read_table(written)
    pq.write_table(table.take(list(reversed(range(200)))), written)

    with pytest.raises(TraceError, match="is damaged; record it again"):
        trace.load(written)


def test_nulls_are_damage(written: Path):
    table = pq.read_table(written)
    place = table.column_names.index("exit1_margin")
    empty = pa.nulls(table.num_rows, pa.float32())
    pq.write_table(table.set_column(place, "exit1_margin", empty), written)

    with pytest.raises(TraceError, match="is damaged; record it again"):
        trace.load(written)


def test_labels_that_are_no_whole_numbers_are_damage(written: Path):
    table = pq.read_table(written)
    place = table.column_names.index("label")
    pq.write_table(table.set_column(place, "label", pa.array([0.5] * table.num_rows)), written)

    with pytest.raises(TraceError, match="is damaged; record it again"):
        trace.load(written)


def test_whatever_bits_are_flipped_only_a_sentence_comes_out(written: Path):
    whole = written.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole) - 4000, len(whole), 2):  # the footer and its names
            damaged[place] ^= 1 << int(rng.integers(8))
        written.write_bytes(bytes(damaged))
        with suppress(TraceError):
            trace.load(written)


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.1, np.inf])
def test_confidences_outside_0_to_1_are_refused(value: float):
    made = synthetic_trace()
    wrong = np.array(made.confidences["entropy"])
    wrong[3, 1] = value

    with pytest.raises(TraceError, match="entropy has values outside 0 to 1"):
        replace(made, confidences=dict(made.confidences) | {"entropy": wrong})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_of_a_network_that_diverged_are_refused(value: float):
    with pytest.raises(TraceError, match="Exit 1 of n v gave values that are not finite"):
        trace.build(
            logits=[np.zeros((1, 2)), np.array([[0, value]])],
            labels=[0],
            temperatures=[1, 1],
            network="n",
            variant="v",
            split="test",
            weights_sha256=SHA256,
        )


def test_a_trace_without_samples_is_refused():
    with pytest.raises(TraceError, match="at least one sample and one exit"):
        synthetic_trace(samples=0)


def test_labels_that_do_not_fit_to_the_answers_are_refused():
    with pytest.raises(TraceError, match=r"Labels of shape \(199,\) do not match answers of shape"):
        replace(synthetic_trace(), labels=np.zeros(199, np.int64))


def test_confidences_that_do_not_fit_to_the_answers_are_refused():
    made = synthetic_trace()
    wrong = dict(made.confidences) | {"margin": np.zeros((200, 2))}

    with pytest.raises(TraceError, match=r"margin of shape \(200, 2\) does not match"):
        replace(made, confidences=wrong)


def test_a_temperature_for_every_exit_is_needed():
    with pytest.raises(TraceError, match="3 exits need as many temperatures"):
        replace(synthetic_trace(), temperatures=(1.0, 1.0))
