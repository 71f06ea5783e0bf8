"""Pareto-optimal points: searched on one trace, measured on another."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid.energy import ExitCosts
from hybrid.policy.curves import AllPoints
from hybrid.policy.points import Counts, Floats, TraceLike, mean_cost, outcome

__all__ = ["Frontier", "evenly", "frontier", "frontier_on", "undominated"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier:
    """Pareto-optimal points, with their figures on the images to report on.

    | field                   | shape      |                                                     |
    |-------------------------|------------|-----------------------------------------------------|
    | thresholds              | (m, early) |                                                     |
    | energy_pj               | (m,)       | mean per sample, rising                             |
    | edge_fraction, accuracy | (m,)       | fractions of all samples                            |
    """

    thresholds: Floats
    energy_pj: Floats
    edge_fraction: Floats
    accuracy: Floats


def frontier_on(
    searched: AllPoints,
    test: TraceLike,
    costs: ExitCosts,
    *,
    measure: str = "max_probability",
    most: int | None = None,
) -> Frontier:
    """The frontier of points that were counted on one trace, measured on another trace.

    Args:
        searched: points counted on `tune`; their frontier at these costs is taken.
        test: a trace of the same variant on the images to report on.
        measure: the confidence measure that the points were counted with.
        most: keep at most this many points, evenly spaced along the frontier.

    Raises:
        UnknownNameError, TraceError: as in `outcome`.
    """
    best = frontier(searched.mean(costs.energy_pj), searched.accuracy)
    thresholds = searched.thresholds[best[evenly(len(best), most or len(best))]]
    outcomes = [outcome(test, some, measure) for some in thresholds.tolist()]
    energy_pj = mean_cost(np.array([one.exit_counts for one in outcomes]), costs.energy_pj)
    order = np.argsort(energy_pj, kind="stable")
    return Frontier(
        thresholds=thresholds[order],
        energy_pj=energy_pj[order],
        edge_fraction=np.array([one.edge_fraction for one in outcomes])[order],
        accuracy=np.array([one.accuracy for one in outcomes])[order],
    )


def undominated(points: AllPoints) -> AllPoints:
    """Of all combinations of thresholds, those that can be on a frontier whatever the prices are.

    Lower thresholds never let a sample go further. So a point is left out if another one, none of
    whose thresholds is higher, is at least as accurate: it is at least as cheap too, provided that
    no exit costs less than one before it.

    Args:
        points: of grids in which no threshold is given twice.
    """
    shape = [len(np.unique(column)) for column in points.thresholds.T]
    right = points.correct_counts.sum(axis=-1).reshape(shape)
    best = right
    for axis in range(len(shape)):
        best = np.maximum.accumulate(best, axis=axis)
    better = np.ones(shape, np.bool_)
    for axis in range(len(shape)):
        after, before = _shifted(axis, 1, None), _shifted(axis, None, -1)
        better[after] &= right[after] > best[before]
    kept = better.ravel()
    return AllPoints(
        thresholds=points.thresholds[kept],
        exit_counts=points.exit_counts[kept],
        correct_counts=points.correct_counts[kept],
    )


def _shifted(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    """Everything along the first axes, and from start to stop along this one."""
    return (*(slice(None) for _ in range(axis)), slice(start, stop))


def frontier(energy_pj: npt.ArrayLike, accuracy: npt.ArrayLike) -> Counts:
    """Indices of the Pareto-optimal points, by rising energy and rising accuracy.

    A point beats another if it is at least as good on both axes and better on one. Of points
    that are equal on both axes, only the first is kept.

    Args:
        energy_pj: (m,), lower is better.
        accuracy: (m,), higher is better.

    >>> frontier([3.0, 1.0, 2.0, 2.0], [0.9, 0.5, 0.4, 0.8])
    array([1, 3, 0])
    """
    spent, right = np.asarray(energy_pj, np.float64), np.asarray(accuracy, np.float64)
    order = np.lexsort((-right, spent))  # cheapest first, the most accurate of equals first
    best_so_far = np.maximum.accumulate(right[order])
    better = np.ones(len(order), np.bool_)
    better[1:] = right[order][1:] > best_so_far[:-1]
    return order[better]


def evenly(size: int, wanted: int) -> Counts:
    """At most `wanted` of the indices 0 to size - 1, evenly spaced, with both ends.

    >>> evenly(9, 3), evenly(2, 5)
    (array([0, 4, 8]), array([0, 1]))
    """
    return np.unique(np.linspace(0, size - 1, min(size, wanted)).round().astype(np.int64))
