"""Operating points from thresholds. Works on arrays only; independent of networks.

Every count is a whole number and exact to the last sample. Every mean per sample is one sum over
exits, starting with the first, divided by the number of samples (`mean_cost`), so that a browser
that adds in the same order gets the same float64.
"""

from hybrid.policy.browser import payload
from hybrid.policy.curves import (
    GRID,
    AllPoints,
    ThresholdSweep,
    all_points,
    sweep,
    threshold_grid,
)
from hybrid.policy.frontiers import Frontier, evenly, frontier, frontier_on, undominated
from hybrid.policy.intervals import Interval, of_few, wilson
from hybrid.policy.points import (
    OperatingPoint,
    Outcome,
    PerClass,
    TraceLike,
    mean_cost,
    operating_point,
    outcome,
    per_class,
)
from hybrid.policy.thresholds import check_thresholds, exits_taken

__all__ = [
    "GRID",
    "AllPoints",
    "Frontier",
    "Interval",
    "OperatingPoint",
    "Outcome",
    "PerClass",
    "ThresholdSweep",
    "TraceLike",
    "all_points",
    "check_thresholds",
    "evenly",
    "exits_taken",
    "frontier",
    "frontier_on",
    "mean_cost",
    "of_few",
    "operating_point",
    "outcome",
    "payload",
    "per_class",
    "sweep",
    "threshold_grid",
    "undominated",
    "wilson",
]
