"""The data of Explore that do not depend on the sliders, computed by `hybrid.ui.cache`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid import energy, policy
from hybrid.traces.trace import Trace
from hybrid.zoo import Card

__all__ = [
    "Alternative",
    "ExploreData",
    "ExplorePrices",
    "Frontier",
    "Ranges",
    "StaticPoint",
]


@dataclass(frozen=True, kw_only=True)
class ExplorePrices:
    """Costs of one sample by the exit it takes, and the baseline's.

    parts: part → mean energy in pJ per sample that takes exit i, one number per exit; the values
    of one exit sum to `costs.energy_pj` of that exit. twin_parts: part → pJ per sample.
    """

    costs: energy.ExitCosts
    parts: Mapping[str, tuple[float, ...]]
    twin_energy_pj: float
    twin_accuracy: float | None
    twin_parts: Mapping[str, float]

    @property
    def most_pj(self) -> float:
        """The most that any part takes of one sample, the baseline's parts included."""
        return max(max(costs) for costs in (*self.parts.values(), tuple(self.twin_parts.values())))

    def mean_parts(self, outcome: policy.Outcome) -> dict[str, float]:
        """Part → mean energy in pJ per sample of an outcome."""
        counts = np.array(outcome.exit_counts)
        return {part: float(policy.mean_cost(counts, pj)) for part, pj in self.parts.items()}


@dataclass(frozen=True, kw_only=True)
class StaticPoint:
    """A static network as a point: the same architecture, no early exits, all on the device."""

    bits: int
    accuracy: float
    energy_pj: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Frontier(policy.Frontier):
    """The Pareto-optimal points of one bit width, as searched on one split and shown on another.

    The figures are those of the split that is shown. If there is no other split, the search used
    the same one.
    """

    bits: int


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Ends of the axes that fit one bit width, whatever its thresholds.

    accuracy: in percent, with a common threshold. parts: energy by part, in the figures' unit.
    """

    accuracy: tuple[float, float]
    parts: tuple[float, float]

    @staticmethod
    def fitting(
        accuracies: Sequence[float], twin_accuracy: float | None, *, most: float
    ) -> "Ranges":
        """Ends with some room around these accuracies and from 0 to this energy."""
        shown = [*accuracies, *([] if twin_accuracy is None else [twin_accuracy])]
        low, high = 100 * min(shown, default=0.0), 100 * max(shown, default=1.0)
        room = max(0.06 * (high - low), 0.5)
        return Ranges(accuracy=(low - room, high + room), parts=(0.0, 1.05 * most))


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A point of the chart; a static network has no thresholds."""

    bits: int
    thresholds: tuple[float, ...]
    accuracy: float
    energy_pj: float

    @property
    def is_static(self) -> bool:
        """Whether it is a static network."""
        return not self.thresholds


@dataclass(frozen=True, kw_only=True, eq=False)
class ExploreData:
    """The data of Explore that do not depend on the sliders and need no search."""

    card: Card
    labelled: bool  # if False, the trace's labels are the final exit's answers
    trace: Trace
    prices: ExplorePrices
    energy_unit: tuple[float, str]  # size in pJ and name; the same for all bit widths
    ranges: Ranges
    statics: tuple[StaticPoint, ...]
    together: policy.ThresholdSweep
