"""The useful threshold combinations of a trace. Works on arrays and needs no prices.

Two thresholds with no confidence between them give the same decisions. So a trace has a finite
number of outcomes, and one threshold per outcome is enough: the one with the fewest digits.

How complete the search is:

- one early exit: every outcome;
- several early exits: every outcome, if there are at most `COMBINATIONS` of them; otherwise every
  outcome of a threshold that all exits share, and all combinations of a grid that divides the
  samples of each exit evenly;
- `refined` moves one exit's threshold at a time over all its outcomes, so no change of a single
  threshold improves its result.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.policy import TraceLike
from hybrid.policy.points import early_confidences
from hybrid.traces.confidence import CODES, to_codes

__all__ = [
    "COMBINATIONS",
    "Options",
    "Steps",
    "distinct_thresholds",
    "joined",
    "options",
    "refined",
    "steps",
    "worst_class",
]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COMBINATIONS = 30_000  # 12 ms for 10,000 samples and three early exits
_DIGITS = 4  # of a threshold, CODES = 10**4
_ROUNDS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """Threshold combinations and their counts on one trace.

    | field       | shape      |                                                |
    |-------------|------------|------------------------------------------------|
    | thresholds  | (m, early) |                                                |
    | exit_counts | (m, exits) | samples that take exit i                       |
    | right       | (m,)       | samples that are correct at the exit they take |

    exact: every possible outcome is among them.
    """

    thresholds: Floats
    exit_counts: Counts
    right: Counts
    exact: bool

    def take(self, rows: npt.NDArray[np.int64] | Bools) -> "Options":
        """Only these rows."""
        return Options(
            thresholds=self.thresholds[rows],
            exit_counts=self.exit_counts[rows],
            right=self.right[rows],
            exact=self.exact,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """Thresholds and sample order of each early exit, needed each time a threshold moves.

    thresholds: see `distinct_thresholds`; orders: (n,) the samples by rising confidence.
    """

    thresholds: tuple[Floats, ...]
    orders: tuple[Counts, ...]


def steps(trace: TraceLike, measure: str) -> Steps:
    """The thresholds and orders of every early exit.

    Raises:
        UnknownNameError: a measure that the trace does not have.
        TraceError: a trace without samples.
    """
    sure = early_confidences(trace, measure)
    return Steps(
        thresholds=tuple(distinct_thresholds(column) for column in sure.T),
        orders=tuple(np.argsort(column) for column in sure.T),
    )


def options(trace: TraceLike, measure: str, moves: Steps) -> Options:
    """The useful combinations; see the module for how complete they are."""
    return _options(trace, measure, moves.thresholds)


def worst_class(trace: TraceLike, measure: str, moves: Steps) -> Floats:
    """The lowest accuracy of a class, (m,), at each of the combinations of `options`.

    Counting takes as long for a class as for all of them, so call this only if it is needed.
    """
    found = [
        _options(_of_class(trace, label), measure, moves.thresholds).right
        / np.count_nonzero(trace.labels == label)
        for label in np.unique(trace.labels)
    ]
    lowest: Floats = np.min(found, axis=0)
    return lowest


def joined(*some: Options) -> Options:
    """All rows of several options, joined; exact if the first is."""
    return Options(
        thresholds=np.concatenate([o.thresholds for o in some]),
        exit_counts=np.concatenate(
            [o.exit_counts.T for o in some], axis=1
        ).T,  # columns in one piece
        right=np.concatenate([o.right for o in some]),
        exact=some[0].exact,
    )


def distinct_thresholds(confidences: npt.NDArray[np.float32]) -> Floats:
    """One threshold per outcome of a single exit, ascending, each with as few digits as possible.

    Thresholds are multiples of 1 / CODES, as those of the sliders are: so every point can be shown
    and moved in Explore. Confidences that no such threshold separates leave together.

    Args:
        confidences: any shape, float32 in [0, 1].

    Returns:
        (g,) from 0, where all samples leave, up to 1, where none does (or only those with a
        confidence of 1: no threshold is larger).

    >>> distinct_thresholds(np.array([0.7312, 0.7344, 0.9], np.float32))
    array([0.   , 0.734, 0.9  , 1.   ])
    """
    codes = np.unique(to_codes(confidences)).astype(np.int64)
    shortest = codes.copy()
    below = np.concatenate([[-1], codes[:-1]])
    for step in (CODES // 10**digits for digits in reversed(range(_DIGITS + 1))):
        rounded = codes // step * step
        fits = rounded > below
        shortest[fits] = rounded[fits]  # the last one that fits is the shortest
    found: Floats = shortest / CODES
    return found if codes[-1] == CODES else np.append(found, 1.0)


def refined(
    trace: TraceLike,
    measure: str,
    moves: Steps,
    start: Sequence[float],
    best: Callable[[Counts, Counts], int],
) -> Options:
    """Move one threshold at a time to the best of all its outcomes, until nothing improves.

    Args:
        start: one threshold per early exit.
        best: from samples by exit (g, exits) and correct samples (g,) to the best row.

    Returns:
        The combinations passed on the way, the best one last.
    """
    now = np.array(start, np.float64)
    sure = trace.confidences[measure]
    passed: list[tuple[Floats, Counts, int]] = []
    for turn in range(_ROUNDS * len(now)):
        exit_ = turn % len(now)
        counts, right = _moved(sure, trace.correct, now, exit_, moves)
        row = best(counts, right)
        moved = now.copy()
        moved[exit_] = moves.thresholds[exit_][row]
        passed.append((moved, counts[row], int(right[row])))
        if turn >= len(now) and all((moved == old[0]).all() for old in passed[-len(now) :]):
            break  # a whole round changed nothing
        now = moved
    exits = trace.correct.shape[1]
    return Options(
        thresholds=np.array([p[0] for p in passed]).reshape(-1, len(now)),
        exit_counts=np.array([p[1] for p in passed], np.int64).reshape(-1, exits),
        right=np.array([p[2] for p in passed], np.int64),
        exact=False,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Some samples of a trace."""

    labels: npt.NDArray[np.int64]
    correct: Bools
    confidences: Mapping[str, npt.NDArray[np.float32]]


def _of_class(trace: TraceLike, label: int) -> _Part:
    rows = trace.labels == label
    return _Part(
        labels=trace.labels[rows],
        correct=trace.correct[rows],
        confidences={name: values[rows] for name, values in trace.confidences.items()},
    )


def _options(trace: TraceLike, measure: str, distinct: Sequence[Floats]) -> Options:
    if math.prod(len(some) for some in distinct) <= COMBINATIONS:
        return _all(trace, measure, distinct, exact=True)
    size = int(COMBINATIONS ** (1 / len(distinct)))
    grid = _all(
        trace, measure, [some[policy.evenly(len(some), size)] for some in distinct], exact=False
    )
    return joined(_together(trace, measure, np.unique(np.concatenate(distinct))), grid)


def _all(trace: TraceLike, measure: str, grids: Sequence[Floats], *, exact: bool) -> Options:
    found = policy.all_points(trace, measure, grids)
    return Options(
        thresholds=found.thresholds,
        exit_counts=found.exit_counts,
        right=found.correct_counts.sum(axis=1),
        exact=exact,
    )


def _together(trace: TraceLike, measure: str, grid: Floats) -> Options:
    found = policy.sweep(trace, measure=measure, grid=grid)
    early = trace.correct.shape[1] - 1
    return Options(
        thresholds=np.repeat(found.grid[:, None], early, axis=1),
        exit_counts=found.exit_counts,
        right=found.correct_counts.sum(axis=1),
        exact=False,
    )


def _moved(
    sure: npt.NDArray[np.float32], correct: Bools, now: Floats, exit_: int, moves: Steps
) -> tuple[Counts, Counts]:
    """Samples by exit (g, exits) and correct ones (g,) for each value of one exit's threshold.

    Of the samples that reach the exit, sorted by confidence, those below the threshold continue to
    later exits.
    """
    early = len(now)
    limits = now.astype(np.float32)
    before = policy.exits_taken(sure[:, :exit_], limits[:exit_])
    later = exit_ + 1 + policy.exits_taken(sure[:, exit_ + 1 : early], limits[exit_ + 1 :])
    order = moves.orders[exit_]
    here = order[before[order] == exit_]
    grid = moves.thresholds[exit_].astype(np.float32)
    staying = np.searchsorted(sure[here, exit_], grid, side="left")
    counts = np.empty((len(grid), early + 1), np.int64, order="F")
    counts[:, :exit_] = np.bincount(before, minlength=early + 1)[:exit_]
    counts[:, exit_] = len(here) - staying
    for k in range(exit_ + 1, early + 1):
        counts[:, k] = _running(later[here] == k)[staying]
    gone = before < exit_
    right = _running(correct[here, later[here]])[staying]
    right += np.count_nonzero(correct[here, exit_]) - _running(correct[here, exit_])[staying]
    return counts, right + np.count_nonzero(correct[gone, before[gone]])


def _running(some: Bools) -> Counts:
    """(n + 1,): how many of the first 0, 1, … n are true."""
    return np.concatenate([[0], np.cumsum(some)])
