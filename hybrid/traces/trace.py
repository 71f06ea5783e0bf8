"""The answer and confidence of every exit for every sample of a split, stored as Parquet.

Takes arrays; needs neither torch nor a network. One row per sample, columns `sample`, `label`
and, for exit i (the last is the final exit), `exit<i>_class` and one `exit<i>_<measure>` for each
confidence measure; the file's metadata, under the key `hybrid`, is one JSON object.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hybrid.data.labels import UNLABELLED
from hybrid.errors import TraceError
from hybrid.files import check_size, parse_json, replacing
from hybrid.traces.confidence import MEASURES, Reliability, max_probability, reliability, softmax

__all__ = ["FORMAT", "Trace", "build", "build_in_parts", "load", "save"]

FORMAT = 1
_KEY = b"hybrid"  # of the file's metadata
_EMPTY = "A trace needs at least one sample and one exit; record it on a split with images."
_MOST = 2**31 - 1  # of int32, in which they are stored
_MOST_BYTES = 1_000_000_000
_MOST_CELLS = 200_000_000  # samples times columns
_AGAIN = "record it again with `hybrid trace`"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """The answer and confidence of every exit of a variant for every sample of a split.

    | field              | shape      |                                                       |
    |--------------------|------------|-------------------------------------------------------|
    | labels             | (n,)       | int64, the true class; all -1 if unknown              |
    | classes            | (n, exits) | int64, each exit's answer, the final exit last        |
    | confidences        | (n, exits) | float32 in [0, 1] by measure, after the temperature   |
    | temperatures       | (exits,)   | what each exit's logits were divided by               |
    | reliability_before | (exits,)   | of max_probability before the temperature             |

    The arrays are read-only. Each exit's column is contiguous in memory, so that a threshold
    reads only what it needs.

    Raises:
        TraceError: arrays that do not fit together, or no sample at all.
    """

    network: str
    variant: str
    split: str
    weights_sha256: str
    temperatures: tuple[float, ...]
    labels: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    confidences: Mapping[str, npt.NDArray[np.float32]]
    reliability_before: tuple[Reliability, ...]

    def __post_init__(self) -> None:
        freeze = object.__setattr__
        freeze(self, "labels", _frozen(self.labels, np.int64))
        freeze(self, "classes", _frozen(self.classes, np.int64))
        by_measure = {name: _frozen(self.confidences[name], np.float32) for name in MEASURES}
        freeze(self, "confidences", by_measure)
        _check(self)

    @property
    def samples(self) -> int:
        """How many samples, n."""
        return len(self.labels)

    @property
    def all_exits(self) -> int:
        """How many exits, the final one included."""
        return int(self.classes.shape[1])

    @property
    def labelled(self) -> bool:
        """Whether the true classes are known; if not, no exit counts as correct."""
        return bool(self.labels[0] != UNLABELLED)

    @property
    def highest_class(self) -> int:
        """The highest class of any label or answer."""
        return int(max(self.labels.max(), self.classes.max()))

    @cached_property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(n, exits): whether an exit's answer is the label."""
        right: npt.NDArray[np.bool_] = _frozen(self.classes == self.labels[:, None], np.bool_)
        return right

    @cached_property
    def against_final(self) -> "Trace":
        """The same trace with the final exit's answers as labels.

        Its accuracy is the share of samples answered as the final exit would answer them. The
        rest is the disagreement with that exit; the accuracy lost cannot be larger.
        """
        return replace(self, labels=self.classes[:, -1])


def build(
    *,
    logits: Sequence[npt.ArrayLike],
    labels: npt.ArrayLike,
    temperatures: Sequence[float],
    network: str,
    variant: str,
    split: str,
    weights_sha256: str,
) -> Trace:
    """A trace from the logits of every exit.

    Args:
        logits: one (n, classes) array per exit, the final exit last.
        labels: (n,), 0 to classes - 1; or all of them UNLABELLED.
        temperatures: one per exit, > 0.
        network, variant, split: as in `cifar10-resnet32`, `hybrid-1bit`, `test`.
        weights_sha256: of the weights file that gave the logits.

    Raises:
        TraceError: logits that are not finite, or arrays that do not fit together.
    """
    return build_in_parts(
        parts=[logits],
        labels=labels,
        temperatures=temperatures,
        network=network,
        variant=variant,
        split=split,
        weights_sha256=weights_sha256,
    )


def build_in_parts(
    *,
    parts: Iterable[Sequence[npt.ArrayLike]],
    labels: npt.ArrayLike,
    temperatures: Sequence[float],
    network: str,
    variant: str,
    split: str,
    weights_sha256: str,
) -> Trace:
    """The same trace from logits that come in parts, with one part in memory at a time.

    Args:
        parts: the logits of consecutive samples, each part in the form that `build` takes.

    Other arguments and errors as in `build`.
    """
    truth = np.asarray(labels, np.int64)
    whose = f"{network} {variant}"
    said = [_said(logits, temperatures, whose) for logits in parts]
    if not len(truth) or not said:
        raise TraceError(_EMPTY)
    classes = np.concatenate([part.classes for part in said])
    before = np.concatenate([part.before for part in said])
    # Without labels nothing counts as correct, so the calibration is unknown too.
    diagrams = [reliability(before[:, i], classes[:, i] == truth) for i in range(before.shape[1])]
    known = bool((truth != UNLABELLED).any())
    return Trace(
        network=network,
        variant=variant,
        split=split,
        weights_sha256=weights_sha256,
        temperatures=tuple(float(t) for t in temperatures),
        labels=truth,
        classes=classes,
        confidences={
            name: np.concatenate([part.confidences[name] for part in said]) for name in MEASURES
        },
        reliability_before=tuple(diagrams if known else map(_without_labels, diagrams)),
    )


def save(trace: Trace, path: Path | str, *, make_folder: bool = True) -> None:
    """Write the trace as Parquet, atomically."""
    with replacing(Path(path), make_folder=make_folder) as draft:
        _write(_table(trace), draft)


def load(
    path: Path | str,
    *,
    expect_sha256: str | None = None,
    expect_network: str | None = None,
    expect_variant: str | None = None,
    expect_split: str | None = None,
    classes: int | None = None,
) -> Trace:
    """Read a trace and check that it is intact and belongs to these weights.

    Args:
        expect_sha256: of the weights file with which the trace must have been recorded.
        expect_network, expect_variant, expect_split: what the trace must belong to.
        classes: how many classes the network has.

    Raises:
        TraceError: no file, a damaged file, or one of another format, weights, network, variant or
            split.
    """
    source = Path(path)
    table = _read(source)
    about = _metadata(table, source)
    weights = str(about.get("weights_sha256"))
    if expect_sha256 is not None and weights != expect_sha256:
        raise TraceError(
            f"{source} was recorded with other weights ({weights[:12]}, not "
            f"{expect_sha256[:12]}); {_AGAIN}."
        )
    expected = {"network": expect_network, "variant": expect_variant, "split": expect_split}
    for key, wanted in expected.items():
        if wanted is not None and (stated := str(about.get(key))[:80]) != wanted:
            raise TraceError(f"{source} is a trace of {stated}, not of {wanted}; {_AGAIN}.")
    try:
        found = _trace(table, about)
        if classes is not None and found.highest_class >= classes:
            raise TraceError(f"it has a class beyond the {classes} of its network")
        return found
    except (KeyError, TypeError, ValueError, OverflowError, TraceError) as error:
        raise TraceError(f"{source} is damaged; {_AGAIN}.") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class _Said:
    """Answers and confidences of some samples; `before` is max_probability at temperature 1."""

    classes: npt.NDArray[np.int64]
    confidences: Mapping[str, npt.NDArray[np.float32]]
    before: npt.NDArray[np.float64]


def _said(logits: Sequence[npt.ArrayLike], temperatures: Sequence[float], whose: str) -> _Said:
    if not logits:
        raise TraceError(_EMPTY)
    scores = [np.asarray(exit_logits, np.float64) for exit_logits in logits]
    for number, exit_logits in enumerate(scores):
        if not np.isfinite(exit_logits).all():
            raise TraceError(
                f"Exit {number} of {whose} gave values that are not finite; "
                "its weights are damaged or its training diverged."
            )
    tempered = [softmax(z, t) for z, t in zip(scores, temperatures, strict=True)]
    return _Said(
        classes=np.stack([exit_logits.argmax(axis=1) for exit_logits in scores], axis=1),
        confidences={
            name: np.stack([measure(p) for p in tempered], axis=1).astype(np.float32)
            for name, measure in MEASURES.items()
        },
        before=np.stack([max_probability(softmax(z)) for z in scores], axis=1),
    )


def _without_labels(diagram: Reliability) -> Reliability:
    unknown = np.full_like(diagram.accuracy, np.nan)
    return replace(diagram, accuracy=unknown, expected_calibration_error=math.nan)


def _check(trace: Trace) -> None:
    shape = trace.classes.shape
    if trace.labels.ndim != 1 or len(shape) != 2 or shape[0] != trace.samples:
        raise TraceError(
            f"Labels of shape {trace.labels.shape} do not match answers of shape {shape}."
        )
    if not trace.samples or not trace.all_exits:
        raise TraceError(_EMPTY)
    if (trace.labels == UNLABELLED).any() and (trace.labels != UNLABELLED).any():
        raise TraceError(
            "Some samples have a label and some have none; record them as separate splits."
        )
    if not len(trace.temperatures) == len(trace.reliability_before) == trace.all_exits:
        raise TraceError(f"{trace.all_exits} exits need as many temperatures and reliabilities.")
    if not all(math.isfinite(t) and t > 0 for t in trace.temperatures):
        raise TraceError("A temperature is not a positive number.")
    if trace.classes.min() < 0 or trace.labels.min() < UNLABELLED or trace.highest_class > _MOST:
        raise TraceError(f"Labels and answers must be classes from 0 to {_MOST:,}.")
    for measure, values in trace.confidences.items():
        if values.shape != shape:
            raise TraceError(
                f"{measure} of shape {values.shape} does not match answers of shape {shape}."
            )
        if not ((values >= 0) & (values <= 1)).all():
            raise TraceError(f"{measure} has values outside 0 to 1.")


def _frozen(values: npt.ArrayLike, dtype: type[np.generic]) -> npt.NDArray[Any]:
    array = np.asfortranarray(values, dtype)
    if array is values and array.flags.writeable:
        array = array.copy(order="F")  # the caller's own array stays writeable
    array.flags.writeable = False
    return array


def _table(trace: Trace) -> pa.Table:
    columns: dict[str, npt.NDArray[Any]] = {
        "sample": np.arange(trace.samples, dtype=np.int32),
        "label": trace.labels.astype(np.int32),
    }
    for i in range(trace.all_exits):
        columns[f"exit{i}_class"] = trace.classes[:, i].astype(np.int32)
        for name in MEASURES:
            columns[f"exit{i}_{name}"] = trace.confidences[name][:, i]
    about = {
        "format": FORMAT,
        "network": trace.network,
        "variant": trace.variant,
        "split": trace.split,
        "weights_sha256": trace.weights_sha256,
        "temperatures": list(trace.temperatures),
        "reliability_before": [_reliability_to_json(r) for r in trace.reliability_before],
    }
    return pa.table(columns).replace_schema_metadata({_KEY: json.dumps(about, allow_nan=False)})


def _write(table: pa.Table, path: Path) -> None:
    floats = [name for name in table.column_names if name.endswith(tuple(MEASURES))]
    whole = [name for name in table.column_names if name not in floats]
    # splitting float32 into byte planes lets zstd compress the few bytes that repeat
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=whole,
        use_byte_stream_split=floats,
        write_page_checksum=True,
        write_statistics=False,
    )


def _read(path: Path) -> pa.Table:
    try:
        check_size(path, _MOST_BYTES)
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_cells(file, path)
            return file.read()
    except FileNotFoundError:
        raise TraceError(f"There is no trace at {path}; record one with `hybrid trace`.") from None
    except (pa.ArrowException, OSError, ValueError) as error:  # a damaged name may not be UTF-8
        raise TraceError(f"{path} is not a readable Parquet file; {_AGAIN}.") from error


def _check_cells(file: pq.ParquetFile, path: Path) -> None:
    """Before they are read: a column of one value a million times takes a few bytes in a file."""
    kinds = file.schema_arrow.types
    if not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        raise TraceError(f"{path} has columns that are not numbers; {_AGAIN}.")
    if file.metadata.num_rows * len(kinds) > _MOST_CELLS:
        raise TraceError(
            f"{path} holds more than {_MOST_CELLS // 1_000_000} million numbers; {_AGAIN}."
        )


def _metadata(table: pa.Table, path: Path) -> dict[str, Any]:
    written = (table.schema.metadata or {}).get(_KEY)
    if written is None:
        raise TraceError(f"{path} is a Parquet file but not a trace; name one from `hybrid trace`.")
    try:
        about = dict(parse_json(written))
    except (TypeError, ValueError) as error:
        raise TraceError(f"{path} is damaged; {_AGAIN}.") from error
    if about.get("format") != FORMAT:
        raise TraceError(
            f"{path} is a trace of format {about.get('format')}, and this version reads format "
            f"{FORMAT}; {_AGAIN}."
        )
    return about


def _trace(table: pa.Table, about: dict[str, Any]) -> Trace:
    def column(name: str) -> npt.NDArray[Any]:
        known = table.column(name)
        if known.null_count:
            raise ValueError(f"{name} has nulls")
        whole = not name.endswith(tuple(MEASURES))
        if whole != pa.types.is_integer(known.type):
            raise TypeError(f"{name} is of {known.type}")
        # to_numpy would import pandas, which delays the dashboard's first figures by 0.3 s
        values: npt.NDArray[Any] = np.from_dlpack(known.combine_chunks())
        return values

    def exits(name: str) -> npt.NDArray[Any]:
        parts = [column(f"exit{i}_{name}") for i in range(len(about["temperatures"]))]
        return np.stack(parts).T  # (n, exits)

    if not np.array_equal(column("sample"), np.arange(table.num_rows)):
        raise TraceError("its samples are not in the split's order")
    return Trace(
        network=about["network"],
        variant=about["variant"],
        split=about["split"],
        weights_sha256=about["weights_sha256"],
        temperatures=tuple(about["temperatures"]),
        labels=column("label"),
        classes=exits("class"),
        confidences={name: exits(name) for name in MEASURES},
        reliability_before=tuple(_reliability_from_json(r) for r in about["reliability_before"]),
    )


def _reliability_to_json(diagram: Reliability) -> dict[str, Any]:
    # JSON has no NaN; an empty bin gets null
    def numbers(values: npt.NDArray[Any]) -> list[float | None]:
        return [None if math.isnan(value) else value for value in values.tolist()]

    return {
        "edges": diagram.edges.tolist(),
        "counts": diagram.counts.tolist(),
        "mean_confidence": numbers(diagram.mean_confidence),
        "accuracy": numbers(diagram.accuracy),
        "expected_calibration_error": numbers(np.array([diagram.expected_calibration_error]))[0],
    }


def _reliability_from_json(written: dict[str, Any]) -> Reliability:
    return Reliability(
        edges=np.array(written["edges"], np.float64),
        counts=np.array(written["counts"], np.int64),
        mean_confidence=np.array(written["mean_confidence"], np.float64),  # None becomes NaN
        accuracy=np.array(written["accuracy"], np.float64),
        expected_calibration_error=float(
            np.array(written["expected_calibration_error"], np.float64)  # None becomes NaN
        ),
    )
