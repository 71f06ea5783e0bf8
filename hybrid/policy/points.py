"""One operating point from thresholds and a trace: exits taken, accuracy and costs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hybrid.energy import ExitCosts
from hybrid.errors import TraceError, UnknownNameError
from hybrid.policy.thresholds import check_thresholds, exits_taken

__all__ = [
    "OperatingPoint",
    "Outcome",
    "PerClass",
    "TraceLike",
    "early_confidences",
    "mean_cost",
    "operating_point",
    "outcome",
    "per_class",
]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# samples counted at a time: their rows stay in the cache, and 10 million need no more memory
_CHUNK = 1 << 16


class TraceLike(Protocol):
    """The parts of a trace that a policy reads."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(n,): the true class; all -1 if unknown."""

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(n, exits): whether an exit is correct, the final exit last."""

    @property
    def confidences(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """(n, exits) in [0, 1], by measure."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How many samples take each exit and are correct there; one number per exit, final last.

    Without labels nothing counts as correct, and every accuracy is NaN.
    """

    samples: int
    thresholds: tuple[float, ...]
    measure: str
    exit_counts: tuple[int, ...]
    correct_counts: tuple[int, ...]  # of the samples that take exit i, how many are correct
    final_exit_correct: int  # of all samples, how many the final exit answers correctly
    labelled: bool = True

    @property
    def exit_fractions(self) -> tuple[float, ...]:
        """One per exit, the final exit last; their sum is 1."""
        return tuple(count / self.samples for count in self.exit_counts)

    @property
    def edge_fraction(self) -> float:
        """Fraction that leaves at an early exit; 0 for a network without one."""
        return sum(self.exit_counts[:-1]) / self.samples

    @property
    def accuracy(self) -> float:
        """Fraction that is correct at the exit it takes."""
        return self.correct / self.samples if self.labelled else math.nan

    @property
    def correct(self) -> int:
        """How many samples are correct at the exit they take."""
        return sum(self.correct_counts)

    @property
    def final_exit_accuracy(self) -> float:
        """The accuracy without early exits."""
        return self.final_exit_correct / self.samples if self.labelled else math.nan


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """An outcome with its means per sample, and those of the full-precision twin."""

    outcome: Outcome
    energy_pj: float
    latency_ms: float
    uplink_bytes: float
    twin_energy_pj: float
    twin_accuracy: float | None  # None if the twin has no trace

    @property
    def energy_reduction(self) -> float:
        """Mean energy of the twin / mean energy of the point; infinite if the point is free."""
        return self.twin_energy_pj / self.energy_pj if self.energy_pj else math.inf

    @property
    def accuracy_difference(self) -> float | None:
        """Accuracy minus the twin's: negative if the twin is better."""
        return None if self.twin_accuracy is None else self.outcome.accuracy - self.twin_accuracy

    def as_row(self) -> dict[str, Any]:
        """All figures by name, for JSON and tables: lists for tuples, None if not finite."""
        return {
            "samples": self.outcome.samples,
            "thresholds": list(self.outcome.thresholds),
            "measure": self.outcome.measure,
            "exit_counts": list(self.outcome.exit_counts),
            "exit_fractions": list(self.outcome.exit_fractions),
            "edge_fraction": self.outcome.edge_fraction,
            "accuracy": _finite(self.outcome.accuracy),
            "final_exit_accuracy": _finite(self.outcome.final_exit_accuracy),
            "twin_accuracy": self.twin_accuracy,
            "energy_pj": self.energy_pj,
            "twin_energy_pj": self.twin_energy_pj,
            "energy_reduction": _finite(self.energy_reduction),
            "latency_ms": self.latency_ms,
            "uplink_bytes": self.uplink_bytes,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class PerClass:
    """An outcome by true class.

    | field              | shape            |                                            |
    |--------------------|------------------|--------------------------------------------|
    | samples            | (classes,)       | samples of the class                       |
    | exit_counts        | (classes, exits) | of those, how many take exit i             |
    | correct_counts     | (classes, exits) | of those, how many are correct there       |
    | final_exit_correct | (classes,)       | how many the final exit answers correctly  |
    """

    samples: Counts
    exit_counts: Counts
    correct_counts: Counts
    final_exit_correct: Counts

    @property
    def exit_fractions(self) -> Floats:
        """(classes, exits); NaN for a class without samples."""
        fractions: Floats = self.exit_counts / self._divisor[:, None]
        return fractions

    @property
    def accuracy(self) -> Floats:
        """(classes,); NaN for a class without samples."""
        accuracy: Floats = self.correct_counts.sum(axis=1) / self._divisor
        return accuracy

    @property
    def final_exit_accuracy(self) -> Floats:
        """(classes,); NaN for a class without samples."""
        accuracy: Floats = self.final_exit_correct / self._divisor
        return accuracy

    @property
    def _divisor(self) -> Floats:
        return np.where(self.samples, self.samples, np.nan)


def outcome(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> Outcome:
    """Count how many samples take each exit, and how many are correct there.

    Args:
        thresholds: one per early exit.
        measure: a name of `hybrid.traces.confidence.MEASURES`.

    Raises:
        ThresholdError: see `check_thresholds`.
        UnknownNameError: the trace does not have this measure.
        TraceError: a trace without samples.
    """
    confidences = early_confidences(trace, measure)
    checked = check_thresholds(thresholds, confidences.shape[1])
    correct = trace.correct
    limits = np.asarray(checked, np.float32)
    # exits in rows here: the two rows of counts are (exits,) wide
    counts = np.zeros((2, len(limits) + 1), np.int64)
    for start in range(0, len(correct), _CHUNK):
        part = slice(start, start + _CHUNK)
        counts += _count(confidences[part], correct[part], limits)
    return Outcome(
        samples=len(correct),
        thresholds=checked,
        measure=measure,
        exit_counts=tuple(counts[0].tolist()),
        correct_counts=tuple(counts[1].tolist()),
        final_exit_correct=int(np.count_nonzero(correct[:, -1])),
        labelled=bool(trace.labels[0] >= 0),
    )


def operating_point(
    trace: TraceLike,
    thresholds: Sequence[float],
    *,
    measure: str = "max_probability",
    costs: ExitCosts,
    twin_energy_pj: float,
    twin_accuracy: float | None,
) -> OperatingPoint:
    """An outcome with its mean energy, latency and uplink, and the twin's energy and accuracy.

    Args and errors as in `outcome`; `costs` and `twin_energy_pj` are per sample.
    """
    result = outcome(trace, thresholds, measure)
    counts = np.array(result.exit_counts)
    return OperatingPoint(
        outcome=result,
        energy_pj=float(mean_cost(counts, costs.energy_pj)),
        latency_ms=float(mean_cost(counts, costs.latency_ms)),
        uplink_bytes=float(mean_cost(counts, costs.uplink_bytes)),
        twin_energy_pj=twin_energy_pj,
        twin_accuracy=twin_accuracy,
    )


def per_class(
    trace: TraceLike,
    thresholds: Sequence[float],
    measure: str = "max_probability",
    *,
    classes: int | None = None,
) -> PerClass:
    """The outcome by true class.

    Args:
        classes: how many there are; without it, the highest label + 1.

    Args and errors otherwise as in `outcome`.
    """
    confidences = early_confidences(trace, measure)
    taken = exits_taken(confidences, check_thresholds(thresholds, confidences.shape[1]))
    labels, correct = trace.labels, trace.correct
    rows, exits = classes or int(labels.max()) + 1, correct.shape[1]
    cell = labels * exits + taken  # (n,), row-major in (classes, exits)
    right = correct[np.arange(len(labels)), taken]

    def table(cells: Counts) -> Counts:
        return np.bincount(cells, minlength=rows * exits).reshape(rows, exits)

    return PerClass(
        samples=np.bincount(labels, minlength=rows),
        exit_counts=table(cell),
        correct_counts=table(cell[right]),
        final_exit_correct=np.bincount(labels[correct[:, -1]], minlength=rows),
    )


def mean_cost(exit_counts: Counts, per_exit: Sequence[float]) -> Floats:
    """Mean cost per sample: sum over exits, first exit first, of count * cost, / samples.

    Args:
        exit_counts: (..., exits).
        per_exit: (exits,).

    Returns:
        (...), float64. A plain loop and not a dot product, whose order of adding, and so the last
        place of its result, differs between machines.

    Raises:
        ValueError: costs of a network with another number of exits.
    """
    exits = exit_counts.shape[-1]
    if len(per_exit) != exits:
        raise ValueError(f"{len(per_exit)} costs were given for {exits} exits.")
    total = np.zeros(exit_counts.shape[:-1])
    for i, cost in enumerate(per_exit):
        total = total + exit_counts[..., i] * cost
    return np.asarray(total / exit_counts.sum(axis=-1))


def early_confidences(trace: TraceLike, measure: str) -> npt.NDArray[np.float32]:
    """(n, early): the confidences that decide, without the final exit's."""
    if measure not in trace.confidences:
        raise UnknownNameError("confidence measure", measure, trace.confidences)
    if not len(trace.correct):
        raise TraceError("This trace has no sample, so there is nothing to count; record another.")
    return trace.confidences[measure][:, : trace.correct.shape[1] - 1]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _count(
    confidences: npt.NDArray[np.float32],
    correct: npt.NDArray[np.bool_],
    limits: npt.NDArray[np.float32],
) -> list[list[int]]:
    stays = np.ones(len(correct), np.bool_)
    leaves = np.empty_like(stays)
    counts, right = [], []
    for i, limit in enumerate(limits):
        np.greater_equal(confidences[:, i], limit, out=leaves)
        leaves &= stays
        stays ^= leaves
        counts.append(int(np.count_nonzero(leaves)))
        leaves &= correct[:, i]
        right.append(int(np.count_nonzero(leaves)))
    counts.append(int(np.count_nonzero(stays)))
    stays &= correct[:, -1]
    right.append(int(np.count_nonzero(stays)))
    return [counts, right]
