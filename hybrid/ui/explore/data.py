"""The data of Explore that do not depend on the sliders, computed by `hybrid.ui.cache`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hybrid import energy, policy
from hybrid.text import numbers
from hybrid.traces.trace import Trace
from hybrid.zoo import Card

__all__ = ["Alternative", "ExploreData", "ExplorePrices", "Frontier", "StaticPoint"]


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
    def energy_unit(self) -> tuple[float, str]:
        """Size in pJ and name of the unit for the costs of one sample."""
        return numbers.energy_unit(max(self.costs.energy_pj))

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
    """The data of Explore that do not depend on the sliders."""

    card: Card
    labelled: bool  # if False, the trace's labels are the final exit's answers
    trace: Trace
    prices: ExplorePrices
    frontiers: tuple[Frontier, ...]
    statics: tuple[StaticPoint, ...]
    alternatives: tuple[Alternative, ...]  # none if accuracy is unknown
    together: policy.ThresholdSweep
