"""Many thresholds at once: sweeps of one, grids of all, and the frontier; all counts are exact.

A sample's confidence becomes its rank: the number of grid thresholds it reaches. Exits taken at
each threshold then follow from histograms of ranks and their running sums, so the cost hardly
depends on the number of thresholds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hybrid.errors import ThresholdError
from hybrid.policy.points import (
    Counts,
    Floats,
    TraceLike,
    early_confidences,
    mean_cost,
)
from hybrid.policy.thresholds import check_thresholds
from hybrid.traces.confidence import CODES, to_codes

__all__ = [
    "GRID",
    "AllPoints",
    "ThresholdSweep",
    "all_points",
    "sweep",
    "threshold_grid",
]

GRID: Floats = np.arange(0, CODES + 1, 10) / CODES  # 0, 0.001, … 1
_MOST_POINTS = 4_000_000  # 100 MB of counts for three exits


@dataclass(frozen=True, kw_only=True, eq=False)
class _Counted:
    """Counts at many thresholds, before any price is known.

    | field                   | shape      |                                      |
    |-------------------------|------------|--------------------------------------|
    | exit_counts             | (m, exits) | samples that take exit i             |
    | correct_counts          | (m, exits) | how many of those are correct there  |
    | edge_fraction, accuracy | (m,)       | fractions of all samples             |
    """

    exit_counts: Counts
    correct_counts: Counts

    @cached_property
    def edge_fraction(self) -> Floats:
        """Fraction of the samples that leave early."""
        return np.asarray(self.exit_counts[:, :-1].sum(axis=-1) / self.exit_counts.sum(axis=-1))

    @cached_property
    def accuracy(self) -> Floats:
        """Fraction of the samples that are correct at the exit they take."""
        return np.asarray(self.correct_counts.sum(axis=-1) / self.exit_counts.sum(axis=-1))

    def mean(self, per_exit: Sequence[float]) -> Floats:
        """(m,): mean cost per sample; see `mean_cost`."""
        return mean_cost(self.exit_counts, per_exit)


@dataclass(frozen=True, kw_only=True, eq=False)
class ThresholdSweep(_Counted):
    """One threshold moved over a grid with the others fixed, or all moved together.

    | field | shape |                                                 |
    |-------|-------|-------------------------------------------------|
    | exit  |       | the early exit whose threshold moves; None: all |
    | grid  | (m,)  | the thresholds it takes, rising                 |
    """

    exit: int | None
    grid: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class AllPoints(_Counted):
    """Every combination of thresholds on a grid, the last exit's threshold varying fastest.

    thresholds: (m, early).
    """

    thresholds: Floats


def sweep(
    trace: TraceLike,
    *,
    measure: str = "max_probability",
    exit: int | None = None,  # noqa: A002  # the design's word
    others: Sequence[float] = (),
    grid: npt.ArrayLike = GRID,
) -> ThresholdSweep:
    """Move one exit's threshold over a grid, or the thresholds of all exits together.

    Args:
        exit: index of the early exit whose threshold moves; None moves all of them together.
        others: the current thresholds, one per early exit; that of `exit` is not read. With
            `exit=None`, none is read, and they can be left out.
        grid: (g,) thresholds in [0, 1]; in the sweep they are sorted.

    Raises:
        ThresholdError: no early exit of this index, or see `check_thresholds`.
        UnknownNameError: the trace does not have this measure.
    """
    confidences = early_confidences(trace, measure)
    early = confidences.shape[1]
    values = _checked_grid(grid)
    if exit is None:
        ranks = [_ranks(confidences[:, i], values) for i in range(early)]
    else:
        if not 0 <= exit < early:
            raise ThresholdError(f"There is no early exit {exit}; this network has {early}.")
        # a threshold that is held is reached at every position of the moving one, or at none
        held = np.asarray(check_thresholds(others, early), np.float32)
        ranks = [(confidences[:, i] >= held[i]) * len(values) for i in range(early)]
        ranks[exit] = _ranks(confidences[:, exit], values)
    counts = _count_moving(ranks, trace.correct, len(values))
    return ThresholdSweep(exit=exit, grid=values, exit_counts=counts[0], correct_counts=counts[1])


def all_points(
    trace: TraceLike,
    measure: str = "max_probability",
    grid: Floats | Sequence[Floats] | None = None,
) -> AllPoints:
    """The outcome of every combination of thresholds.

    Args:
        grid: (g,) array of thresholds for every exit, or a list of one such array per early
            exit; without it, `threshold_grid` of each exit.

    Raises:
        ThresholdError: more than 4 million combinations, or see `check_thresholds`.
        UnknownNameError: the trace does not have this measure.
    """
    confidences = early_confidences(trace, measure)
    grids = _grids(confidences, grid)
    combinations = math.prod(len(values) for values in grids)
    if combinations > _MOST_POINTS:
        raise ThresholdError(
            f"{combinations:,} combinations of thresholds are too many to list; "
            f"give a coarser grid, with at most {_MOST_POINTS:,}."
        )
    counts = _count_all(confidences, trace.correct, grids)
    counts = counts.reshape(2, combinations, -1)  # (2, m, exits)
    axes = np.meshgrid(*grids, indexing="ij")
    return AllPoints(
        thresholds=np.stack([a.ravel() for a in axes], axis=1) if axes else np.empty((1, 0)),
        exit_counts=counts[0],
        correct_counts=counts[1],
    )


def threshold_grid(confidences: npt.NDArray[np.float32], size: int = 101) -> Floats:
    """Thresholds T / 10,000 that split one exit's samples into parts of about equal size.

    Most confidences are close to 1, where an even grid would be too coarse.

    Args:
        confidences: (n,) float32 in [0, 1], n > 0.
        size: the most thresholds wanted, at least 3.

    Returns:
        (g,) rising, g <= size, with 0 and 1 among them.
    """
    codes = np.sort(to_codes(confidences))
    places = np.linspace(0, len(codes) - 1, size - 2).round().astype(np.int64)
    return np.unique(np.concatenate([[0, CODES], codes[places]])) / CODES


def _grids(
    confidences: npt.NDArray[np.float32],
    grid: Floats | Sequence[Floats] | None,
) -> list[Floats]:
    early = confidences.shape[1]
    if grid is None:
        size = min(101, int(_MOST_POINTS ** (1 / early))) if early else 0
        return [threshold_grid(confidences[:, i], size) for i in range(early)]
    if isinstance(grid, np.ndarray):
        return [_checked_grid(grid)] * early
    if len(grid) != early:
        raise ThresholdError(
            f"{len(grid)} grids of thresholds were given for {early} early exits; "
            "give one for each."
        )
    return [_checked_grid(values) for values in grid]


def _checked_grid(grid: npt.ArrayLike) -> Floats:
    values = np.asarray(grid, np.float64)
    if values.ndim != 1 or not values.size or not ((values >= 0) & (values <= 1)).all():
        raise ThresholdError("A grid is a list of thresholds, at least one, each from 0 to 1.")
    return np.sort(values)


def _ranks(confidences: npt.NDArray[np.float32], grid: Floats) -> Counts:
    """How many thresholds of a rising grid each sample reaches: it leaves at g where g < rank."""
    return np.searchsorted(grid.astype(np.float32), confidences, side="right")


def _staying(ranks: Counts, right: npt.NDArray[np.bool_], thresholds: int) -> Counts:
    """(2, thresholds): samples, and correct ones, with rank <= g."""
    histograms = [np.bincount(some, minlength=thresholds + 1) for some in (ranks, ranks[right])]
    return np.cumsum(histograms, axis=1)[:, :thresholds]


def _count_moving(
    ranks: Sequence[Counts], correct: npt.NDArray[np.bool_], thresholds: int
) -> Counts:
    """(2, thresholds, exits): samples, and correct ones, by exit, from the ranks at every exit.

    With R_i the highest rank at exits 0 to i, a sample takes exit i where R_(i-1) <= g < R_i.
    """
    counts = np.empty((2, thresholds, correct.shape[1]), np.int64)
    reached = np.zeros(len(correct), np.int64)
    for i, here in enumerate(ranks):
        further = np.maximum(reached, here)
        arriving = _staying(reached, correct[:, i], thresholds)
        counts[..., i] = arriving - _staying(further, correct[:, i], thresholds)
        reached = further
    counts[..., -1] = _staying(reached, correct[:, -1], thresholds)
    return counts


def _count_all(
    confidences: npt.NDArray[np.float32],
    correct: npt.NDArray[np.bool_],
    grids: Sequence[Floats],
) -> Counts:
    """(2, g₀, g₁, …, exits): samples, and correct ones, by exit, for every combination."""
    sizes = tuple(len(grid) for grid in grids)
    counts = np.empty((2, *sizes, len(sizes) + 1), np.int64)
    cells = np.zeros(len(correct), np.int64)  # row-major in the ranks at the exits so far
    for i in range(len(sizes) + 1):
        last = i == len(sizes)
        if not last:
            cells = cells * (sizes[i] + 1) + _ranks(confidences[:, i], grids[i])
        shape = sizes[: i + 1]
        for kind, some in enumerate((cells, cells[correct[:, i]])):
            table = _histogram(some, shape)
            for axis in range(len(shape)):
                table = _running(table, axis, leaving=axis == i)
            # later thresholds do not affect samples that have left
            counts[kind, ..., i] = table.reshape(shape + (1,) * (len(sizes) - len(shape)))
    return counts


def _histogram(cells: Counts, sizes: tuple[int, ...]) -> Counts:
    shape = tuple(size + 1 for size in sizes)
    return np.bincount(cells, minlength=math.prod(shape)).reshape(shape)


def _running(table: Counts, axis: int, *, leaving: bool) -> Counts:
    """From samples by rank to samples that stay (rank <= g), or leave (rank > g), at each g."""
    staying = np.cumsum(table, axis=axis)
    below = np.take(staying, range(table.shape[axis] - 1), axis=axis)
    return np.take(staying, [-1], axis=axis) - below if leaving else below
