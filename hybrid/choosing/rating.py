"""A candidate at given prices and limits: the figures of its points, and its path.

The path lists the candidate's points that meet every limit on `tune`, reduced to those that no
other point beats on both energy and accuracy; the most accurate comes first. Certificates are
tested along it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hybrid import policy, zoo
from hybrid.choosing.answer import Figures, Point
from hybrid.choosing.candidates import Candidate
from hybrid.choosing.limits import Limits, days_of_battery, excess_share
from hybrid.choosing.search import Options, joined, refined
from hybrid.energy import ExitCosts
from hybrid.evaluation import Prices

__all__ = ["Rated", "Table", "best_row", "rate"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Table = dict[str, Floats]

_LEVELS = 3  # of loss, at which a path is refined


@dataclass(frozen=True, kw_only=True, eq=False)
class Rated:
    """A candidate at given prices and limits.

    Args:
        costs, battery_costs: per exit, in the scope asked for and in `device`.
        options: the candidate's threshold combinations, refined for these prices and limits.
        path: rows of the options, the most accurate first; empty if none meets the limits.
    """

    candidate: Candidate
    measure: str
    limits: Limits
    costs: ExitCosts
    battery_costs: ExitCosts
    options: Options
    path: Counts

    @classmethod
    def of(cls, candidate: Candidate, measure: str, limits: Limits, prices: Prices) -> "Rated":
        """The candidate with the options it came with, and no path yet."""
        return cls(
            candidate=candidate,
            measure=measure,
            limits=limits,
            costs=candidate.costs(prices),
            battery_costs=candidate.costs(replace(prices, scope="device")),
            options=candidate.options,
            path=np.empty(0, np.int64),
        )

    @cached_property
    def table(self) -> Table:
        """The deciding figures of every option, (m,) each."""
        chosen = self.options
        return self.figures(chosen.exit_counts, chosen.right, names=self.deciding)

    @property
    def deciding(self) -> set[str]:
        """The figures that the choice depends on; only these are computed for many rows."""
        return {"loss_points", "energy_uj", *self.limits.on_figures}

    @property
    def needs_proof(self) -> bool:
        """True if its loss must be certified and there are images to do so."""
        can = "certify" in self.candidate.seen
        return can and bool(len(self.path)) and not self.candidate.reference

    def figures(
        self,
        exit_counts: Counts,
        right: Counts,
        *,
        purpose: str = "tune",
        names: Iterable[str] = (),
    ) -> Table:
        """The figures of these names, (m,) each; all of them if no name is given."""
        seen = self.candidate.seen[purpose]

        def mean(per_exit: Sequence[float]) -> Floats:
            # As `policy.mean_cost`, which adds up the samples of each row: slow for many rows.
            total = np.zeros(len(right))
            for i, cost in enumerate(per_exit):
                total += exit_counts[:, i] * cost
            return total / seen.samples

        memory_kib = self.candidate.edge_memory_kib
        every: dict[str, Callable[[], Floats]] = {
            "loss_points": lambda: seen.loss_points(right),
            "energy_uj": lambda: mean(self.costs.energy_pj) / 1e6,
            "latency_ms": lambda: mean(self.costs.latency_ms),
            "uplink_bytes": lambda: mean(self.costs.uplink_bytes),
            "edge_memory_kib": lambda: np.full(len(right), memory_kib),
        }
        if self.limits.battery_joules is not None:
            battery_pj = self.battery_costs.energy_pj
            every["days"] = lambda: days_of_battery(mean(battery_pj), self.limits)
        return {name: every[name]() for name in names or every}

    def row(self, row: int | np.int64) -> Point:
        """The point of one of the options."""
        return self.point(self.candidate.all_thresholds(self.options.thresholds[row]))

    def point(self, thresholds: Sequence[float]) -> Point:
        """The point at all thresholds of the variant, counted on tune and test."""
        candidate = self.candidate
        figures = {
            purpose: self._figures_on(purpose, candidate.mode.searched(thresholds))
            for purpose in ("tune", "test")
            if purpose in candidate.seen
        }
        return Point(
            network=candidate.network,
            mode=candidate.mode.name,
            variant=candidate.variant.name,
            bits=candidate.variant.bits,
            thresholds=tuple(thresholds),
            measure=self.measure,
            weights_sha256=candidate.variant.files[zoo.WEIGHTS],
            tune=figures["tune"],
            test=figures.get("test"),
        )

    def _figures_on(self, purpose: str, searched: Sequence[float]) -> Figures:
        seen = self.candidate.seen[purpose]
        counted = policy.outcome(seen, searched, self.measure)
        counts, right = np.array([counted.exit_counts]), np.array([sum(counted.correct_counts)])
        table = {k: float(v[0]) for k, v in self.figures(counts, right, purpose=purpose).items()}
        return Figures(
            split=seen.split,
            samples=seen.samples,
            exit_fractions=self.candidate.mode.all_fractions(counted.exit_fractions),
            accuracy=counted.accuracy,
            loss_points=table["loss_points"],
            energy_pj=float(policy.mean_cost(counts, self.costs.energy_pj)[0]),
            latency_ms=table["latency_ms"],
            uplink_bytes=table["uplink_bytes"],
            edge_memory_kib=table["edge_memory_kib"],
            days=table.get("days"),
        )


def rate(candidate: Candidate, measure: str, limits: Limits, prices: Prices) -> Rated:
    """Price a candidate, refine its options, and fix its path."""
    rated = Rated.of(candidate, measure, limits, prices)
    if not candidate.options.exact:
        more = joined(*_refined(rated))
        rated = replace(rated, options=joined(rated.options, more))
    return replace(rated, path=_path(rated))


def best_row(table: Table, right: Counts, limits: Limits) -> int:
    """The row with the smallest miss; of equals, the cheapest, and then the most accurate."""
    rows = np.arange(len(right))
    for values in (excess_share(table, limits), table["energy_uj"], -right):
        rows = rows[values[rows] == values[rows].min()]
    return int(rows[0])


def _path(rated: Rated) -> Counts:
    table = rated.table
    keeps = np.flatnonzero(excess_share(table, rated.limits) == 0)
    best = policy.frontier(table["energy_uj"][keeps], rated.options.right[keeps])
    return keeps[best][::-1]


def _refined(rated: Rated) -> Iterator[Options]:
    """Improve some points of the path, one threshold at a time: less energy at no greater loss.

    If no point meets the limits, the search starts from the nearest miss and reduces the miss.
    """
    path, table = _path(rated), rated.table
    if len(path):
        starts = path[policy.evenly(len(path), _LEVELS)]
        levels = [float(table["loss_points"][row]) for row in starts]
        wanted = [replace(rated.limits, max_loss_points=max(level, 0.0)) for level in levels]
    else:
        nearest = best_row(table, rated.options.right, rated.limits)
        starts, wanted = np.array([nearest]), [rated.limits]
    seen = rated.candidate.seen["tune"]
    for row, limits in zip(starts, wanted, strict=True):

        def best(counts: Counts, right: Counts, limits: Limits = limits) -> int:
            return best_row(rated.figures(counts, right, names=rated.deciding), right, limits)

        start = rated.options.thresholds[row]
        yield refined(seen, rated.measure, rated.candidate.moves, start, best)
