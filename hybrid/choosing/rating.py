"""A candidate at given prices: its points with their figures. Independent of every limit.

Points are refined at fixed levels of loss, so a limit never changes which points there are. That
is why a stricter limit cannot lead to a cheaper choice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hybrid import policy, zoo
from hybrid.choosing.answer import Figures, Point
from hybrid.choosing.candidates import Candidate, Field, class_accuracy
from hybrid.choosing.limits import Limits, days_of_battery, excess_share
from hybrid.choosing.search import Options, joined, refined
from hybrid.energy import ExitCosts
from hybrid.evaluation import Prices

__all__ = ["Rated", "Table", "best_row", "rate", "rate_all"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Table = dict[str, Floats]

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)  # points of loss at which to refine
_THREADS = 2
_NO_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, eq=False)
class Rated:
    """A candidate at given prices.

    Args:
        costs, battery_costs: per exit, in the scope asked for and in `device`.
        options: the candidate's threshold combinations, refined for these prices.
    """

    candidate: Candidate
    measure: str
    costs: ExitCosts
    battery_costs: ExitCosts
    options: Options

    @classmethod
    def of(cls, candidate: Candidate, measure: str, prices: Prices) -> "Rated":
        """The candidate with the options it came with."""
        return cls(
            candidate=candidate,
            measure=measure,
            costs=candidate.costs(prices),
            battery_costs=candidate.costs(replace(prices, scope="device")),
            options=candidate.options,
        )

    @property
    def needs_proof(self) -> bool:
        """True if its loss can be certified and is not 0 by definition."""
        return "certify" in self.candidate.seen and not self.candidate.reference

    @cached_property
    def priced(self) -> Table:
        """The loss and the energy of every option, (m,) each."""
        return self.figures(self.options.exit_counts, self.options.right, names=_PRICED)

    @cached_property
    def class_accuracy(self) -> Floats:
        """(m,): the lowest accuracy of a class at every option, as a fraction; takes seconds."""
        searched = class_accuracy(self.candidate, self.measure)
        more = self.options.thresholds[len(searched) :].tolist()
        return np.concatenate([searched, [self._worst_class("tune", row) for row in more]])

    def table(self, limits: Limits) -> Table:
        """The figures of every option that these limits are on, (m,) each; loss and energy too."""
        names = set(limits.on_figures) - {*_PRICED, _BY_CLASS}
        chosen = self.options
        found = dict(self.priced)
        if names:
            found |= self.figures(chosen.exit_counts, chosen.right, limits=limits, names=names)
        if _BY_CLASS in limits.on_figures:
            found[_BY_CLASS] = 100 * self.class_accuracy
        return found

    def figures(
        self,
        exit_counts: Counts,
        right: Counts,
        *,
        purpose: str = "tune",
        limits: Limits = _NO_LIMITS,
        names: Iterable[str] = (),
    ) -> Table:
        """The figures of these names, (m,) each; all but those by class if no name is given."""
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
            "p95_latency_ms": lambda: percentile(exit_counts, self.costs.latency_ms),
            "uplink_bytes": lambda: mean(self.costs.uplink_bytes),
            "edge_memory_kib": lambda: np.full(len(right), memory_kib),
            "accuracy_percent": lambda: 100 * right / seen.samples,
        }
        if limits.battery_joules is not None:
            battery_pj = self.battery_costs.energy_pj
            every["days"] = lambda: days_of_battery(mean(battery_pj), limits)
        return {name: every[name]() for name in names or every}

    def row(self, row: int | np.int64, limits: Limits) -> Point:
        """The point of one of the options."""
        thresholds = self.candidate.all_thresholds(self.options.thresholds[row])
        return self.point(thresholds, limits)

    def point(self, thresholds: Sequence[float], limits: Limits) -> Point:
        """The point at all thresholds of the variant, counted on tune and test.

        Args:
            limits: describe the battery, if there is one.
        """
        candidate = self.candidate
        figures = {
            purpose: self._figures_on(purpose, candidate.mode.searched(thresholds), limits)
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

    def _figures_on(self, purpose: str, searched: Sequence[float], limits: Limits) -> Figures:
        seen = self.candidate.seen[purpose]
        counted = policy.outcome(seen, searched, self.measure)
        counts, right = np.array([counted.exit_counts]), np.array([sum(counted.correct_counts)])
        found = self.figures(counts, right, purpose=purpose, limits=limits)
        table = {name: float(values[0]) for name, values in found.items()}
        return Figures(
            split=seen.split,
            samples=seen.samples,
            exit_fractions=self.candidate.mode.all_fractions(counted.exit_fractions),
            accuracy=counted.accuracy,
            class_accuracy=self._worst_class(purpose, searched),
            loss_points=table["loss_points"],
            energy_pj=float(policy.mean_cost(counts, self.costs.energy_pj)[0]),
            latency_ms=table["latency_ms"],
            p95_latency_ms=table["p95_latency_ms"],
            uplink_bytes=table["uplink_bytes"],
            edge_memory_kib=table["edge_memory_kib"],
            days=table.get("days"),
        )

    def _worst_class(self, purpose: str, searched: Sequence[float]) -> float:
        by_class = policy.per_class(self.candidate.seen[purpose], searched, self.measure)
        return float(np.nanmin(by_class.accuracy))


_PRICED = ("loss_points", "energy_uj")
_BY_CLASS = "class_accuracy_percent"


def rate_all(field: Field, prices: Prices) -> tuple[Rated, ...]:
    """Every candidate of a field at these prices, in the field's order."""
    # numpy releases the interpreter's lock while it counts, so two threads use two cores
    with ThreadPoolExecutor(_THREADS) as pool:
        return tuple(pool.map(lambda one: rate(one, field.measure, prices), field.candidates))


def rate(candidate: Candidate, measure: str, prices: Prices) -> Rated:
    """Price a candidate and refine its options."""
    rated = Rated.of(candidate, measure, prices)
    if candidate.options.exact:
        return rated
    return replace(rated, options=joined(rated.options, *_refined(rated)))


def best_row(table: Table, right: Counts, limits: Limits) -> int:
    """The row with the smallest miss; of equals, the cheapest, and then the most accurate."""
    rows = np.arange(len(right))
    for values in (excess_share(table, limits), table["energy_uj"], -right):
        rows = rows[values[rows] == values[rows].min()]
    return int(rows[0])


def percentile(exit_counts: Counts, latency_ms: Sequence[float], percent: int = 95) -> Floats:
    """(m,): the time within which this percentage of the images is answered.

    Exact, because every image that takes an exit is answered after the same time.

    >>> percentile(np.array([[95, 5], [94, 6]]), [2.0, 60.0])
    array([ 2., 60.])
    """
    order = np.argsort(latency_ms, kind="stable")
    answered = np.cumsum(exit_counts[:, order], axis=1)
    enough = 100 * answered >= percent * answered[:, -1:]
    found: Floats = np.asarray(latency_ms, np.float64)[order][enough.argmax(axis=1)]
    return found


def _refined(rated: Rated) -> Iterator[Options]:
    """Improve a point at each level of loss, one threshold at a time: less energy at no more loss.

    At a level that no point reaches, the search starts from the least loss and reduces it.
    """
    seen, done = rated.candidate.seen["tune"], set[int]()
    for level in LEVELS:
        limits = Limits(max_loss_points=level, confidence=None)
        row = best_row(rated.priced, rated.options.right, limits)
        if row in done:
            continue
        done.add(row)

        def best(counts: Counts, right: Counts, limits: Limits = limits) -> int:
            return best_row(rated.figures(counts, right, names=_PRICED), right, limits)

        start = rated.options.thresholds[row]
        yield refined(seen, rated.measure, rated.candidate.moves, start, best)
