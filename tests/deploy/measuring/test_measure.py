"""A measurement counts what lines say, and its profile gives back the means that were measured."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid import energy
from hybrid.deploy.measuring.measure import LIMITS_MS, check_trace, measured
from hybrid.deploy.measuring.profile import measured_profile, save_profile
from hybrid.energy import ExitCosts, Layer
from hybrid.errors import BundleError, DataMissingError, ProfileError
from hybrid.monitor import AnswerLine
from hybrid.text import measured as text
from hybrid.traces.trace import Trace
from tests.strategies import synthetic_trace

THRESHOLDS = (0.6, 0.7)
PROMISED = ExitCosts(
    energy_pj=(1.0, 2.0, 3.0), latency_ms=(0.5, 1.0, 50.0), uplink_bytes=(0.0, 0.0, 2054.0)
)


@pytest.fixture
def trace() -> Trace:
    return synthetic_trace(samples=300, seed=1, split="test")


def as_promised(trace: Trace) -> list[AnswerLine]:
    """The lines of an edge that answers as the trace does."""
    lines = []
    for image in range(trace.samples):
        sure = trace.confidences["max_probability"][image]
        leaves = [i for i, limit in enumerate(THRESHOLDS) if sure[i] >= np.float32(limit)]
        exit_ = leaves[0] if leaves else len(THRESHOLDS)
        cloud = exit_ == len(THRESHOLDS)
        lines.append(
            AnswerLine(
                bundle="a", image=str(image), time_s=0.0, confidence=0.5, exit_index=exit_,
                class_index=int(trace.classes[image, exit_]),
                source="cloud" if cloud else "exit",
                device_ms=0.1 * (exit_ + 1), wire_ms=20.0 if cloud else None,
                cloud_ms=2.0 if cloud else None, sent_bytes=2500 if cloud else 0,
            )
        )  # fmt: skip
    return lines


def test_exits_and_answers_are_compared_image_by_image(trace: Trace):
    lines = as_promised(trace)

    found = measured(lines, 3.0, trace, THRESHOLDS, "max_probability", PROMISED)

    assert found.as_promised
    assert [one.images for one in found.exits] == [one.in_trace for one in found.exits]
    assert sum(one.images for one in found.exits) == 300
    assert found.images_per_s == 100.0
    assert text.sentence(found).startswith("All 300 exits and answers are those of the trace.")


def test_what_differs_is_named(trace: Trace):
    lines = as_promised(trace)
    lines[3] = replace(lines[3], class_index=(lines[3].class_index + 1) % 99)
    lines[5] = replace(lines[5], exit_index=(lines[5].exit_index + 1) % 3)
    lines[7] = replace(lines[7], source="fallback", reason="deadline")

    found = measured(lines, 1.0, trace, THRESHOLDS, "max_probability", PROMISED)

    assert not found.as_promised
    assert found.fallbacks == 1
    assert found.other_exits == (5,)
    assert 3 in found.other_classes
    assert "1 were answered by a fallback" in text.sentence(found)
    assert "1 have another exit than in the trace (image 5)" in text.sentence(found)


def test_times_are_medians_percentiles_and_histograms(trace: Trace):
    lines = [replace(line, device_ms=float(n % 100)) for n, line in enumerate(as_promised(trace))]

    found = measured(lines, 1.0, trace, THRESHOLDS, "max_probability", PROMISED)

    for number, row in enumerate(found.exits):
        mine = [line.device_ms for line in lines if line.exit_index == number]
        assert row.device_ms is not None
        assert row.device_ms.median == np.median(mine)
        assert row.device_ms.p95 == np.percentile(mine, 95)
        up_to = list(itertools.accumulate(row.device_ms.histogram))
        expected = [sum(one <= limit for one in mine) for limit in LIMITS_MS]
        assert up_to == [*expected, len(mine)]
    assert found.exits[2].cloud_ms is not None
    assert found.exits[0].cloud_ms is None
    assert len(list(text.table(found))) == 3
    assert all(len(row) == len(text.COLUMNS) for row in [list(text.COLUMNS), *text.table(found)])


def layer(stage: int, segment: str, macs: int, exit_: int | None = None) -> Layer:
    return Layer(
        name=f"{segment}{stage}{exit_}", stage=stage, segment=segment, exit=exit_, kind="conv",
        macs=macs, fan_in=9, weight_bits=32 if segment == "cloud" else 4,
        activation_bits=32 if segment == "cloud" else 4, weights=1, inputs=1, outputs=1,
        output_shape=(1,), packed_bytes=1,
    )  # fmt: skip


LAYERS = (
    layer(0, "edge", 1_000), layer(1, "edge", 5_000), layer(1, "head", 100, 0),
    layer(2, "edge", 9_000), layer(2, "head", 200, 1), layer(3, "edge", 7_000),
    layer(4, "cloud", 400_000),
)  # fmt: skip


@pytest.mark.parametrize("base", energy.profile_names())
def test_a_measured_profile_gives_back_the_mean_times(trace: Trace, tmp_path: Path, base: str):
    lines = as_promised(trace)
    made = measured_profile(
        lines, LAYERS, early=2, base=energy.load_profile(base), name="mine", network="n", bits=4
    )
    save_profile(made, tmp_path / "mine.toml")

    read = energy.load_profile(tmp_path / "mine.toml")
    link = replace(energy.load_link("wifi-esp32"), round_trip_ms=0.0)
    costs = energy.costs(
        LAYERS, exits=2, uplink_bytes=0, profile=read, link=link, scope="compute", radio=True
    )

    assert read.mac_pj(4, 4) == energy.load_profile(base).mac_pj(4, 4)
    expected = np.mean([(line.device_ms or 0) + (line.cloud_ms or 0) for line in lines])
    assert np.mean([costs.latency_ms[one.exit_index] for one in lines]) == pytest.approx(expected)
    assert read.basis["edge_macs_per_second_at_bits"].startswith("measured: 300 images of n")


def test_without_times_there_is_no_profile():
    with pytest.raises(ProfileError, match="No image was measured"):
        measured_profile(
            [], LAYERS, early=2, base=energy.load_profile("gap9"), name="a", network="n", bits=4
        )


def test_a_trace_of_other_weights_or_images_is_refused(trace: Trace):
    check_trace(trace, trace.weights_sha256, 300)

    with pytest.raises(BundleError, match="has other weights than"):
        check_trace(trace, "00" * 32, 300)
    with pytest.raises(DataMissingError, match="test has 300 images, and the split 299"):
        check_trace(trace, trace.weights_sha256, 299)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HYBRID_PROFILES", str(tmp_path))
    return tmp_path


def test_a_profile_among_ones_own_is_offered_by_its_name(trace: Trace, own: Path):
    made = measured_profile(
        as_promised(trace), LAYERS, early=2, base=energy.load_profile("gap9"), name="mine",
        network="n", bits=4,
    )  # fmt: skip
    save_profile(made, own / "mine.toml")
    (own / "damaged.toml").write_text("format = ")
    (own / "gap9.toml").write_text((own / "mine.toml").read_text())

    assert energy.profile_names()[0] == energy.DEFAULT_PROFILE
    assert energy.profile_names()[-1] == "mine"
    assert energy.profile_names().count("gap9") == 1
    assert energy.load_profile("mine").title == made.title
    assert energy.load_profile("gap9").title != made.title
