"""Limits to the point that keeps them at least energy, and why everything else was left out.

Chosen on `tune`, certified on `certify`; `test` only reports. The candidates of a candidate that
keep every limit on tune, thinned to those that no other of them beats on energy and accuracy, are
its path, the most accurate first: fixed before a label of certify is read. Each path is tested in
this order until a point fails, at an equal part of delta, so with confidence 1 - delta none of the
points that passed, of no candidate, loses more than the limit.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hybrid import policy, zoo
from hybrid.certificates import certify, fewest_samples, fixed_sequence
from hybrid.choosing.answer import Answer, Figures, Point, ProfileCheck, Proof, RankedCandidate
from hybrid.choosing.candidates import Candidate, Field
from hybrid.choosing.limits import Limits, Violation, days_of_battery, excess_share, violations_of
from hybrid.choosing.search import Options, joined, refined
from hybrid.energy import ExitCosts, Profile
from hybrid.evaluation import Prices
from hybrid.policy import evenly

__all__ = ["ParetoSet", "check_profiles", "choose", "pareto_sets"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Table = dict[str, Floats]

_LEVELS = 3  # of loss, at which a path is refined
_PATH = 64  # points of a path; 2,500 images have no more within 2.5 points
_AT_ONCE = 16  # of a path at most, between looks at whether one has failed
_RUNNERS_UP = 3
_THREADS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class ParetoSet:
    """Some candidates of a candidate as columns, for a picture: no other of it beats them.

    thresholds (m, early of the variant); figures: name of a limit → (m,); over (m,): see
    `excess_share`, 0 where every limit that can be seen on tune is kept.
    """

    network: str
    mode: str
    variant: str
    bits: int
    thresholds: Floats
    figures: Mapping[str, Floats]
    over: Floats


def choose(field: Field, limits: Limits, prices: Prices | None = None) -> Answer:
    """The point of least energy among those that keep all limits; of equals the most accurate.

    Args:
        field: from `collect_candidates`.
        prices: hardware profile, link and scope of the energy.
    """
    prices = prices or Prices()
    # numpy lets go of the interpreter while it counts, so two threads use two cores
    with ThreadPoolExecutor(_THREADS) as pool:
        rated = list(
            pool.map(lambda one: _rate(one, field.measure, limits, prices), field.candidates)
        )
        asked = sum(one.needs_proof for one in rated) if limits.certified else 0
        ranking = list(pool.map(lambda one: _stand(one, limits, field.measure, asked), rated))
    places = sorted(range(len(rated)), key=lambda place: _order(ranking[place][0], place))
    first = places[0]
    best = ranking[first][0].point if ranking[first][0].kept else None
    return Answer(
        limits=limits,
        profile=prices.profile.name,
        link=prices.link.name,
        scope=prices.scope,
        measure=field.measure,
        references=field.references,
        best=best,
        proof=_proof(rated[first], best, field, limits, asked) if best else None,
        runners_up=tuple(_runners_up([ranking[place] for place in places], rated, places)),
        ranking=tuple(ranking[place][0] for place in places),
        comparisons=asked,
        settings=sum(len(one.options.right) for one in rated),
        exact=all(one.options.exact for one in rated),
        absent=field.absent,
        images=field.images,
        labelled=field.labelled,
    )


def check_profiles(
    field: Field, limits: Limits, prices: Prices, best: Point, profiles: Sequence[Profile]
) -> tuple[ProfileCheck, ...]:
    """Whether a choice stays the choice under other energy models.

    Each profile's own choice is certified by itself: who picks among them certifies anew.
    """
    candidate = next(
        one
        for one in field.candidates
        if (one.network, one.mode.name, one.variant.name) == best.candidate
    )
    found = []
    for profile in profiles:
        there = replace(prices, profile=profile)
        own = _point(_Rated.of(candidate, field.measure, limits, there), best.thresholds)
        found.append(
            ProfileCheck(
                profile=profile.name,
                own=own,
                violations=violations_of(own.tune.by_limit, limits),
                best=choose(field, limits, there).best,
            )
        )
    return tuple(found)


def pareto_sets(
    field: Field, limits: Limits, prices: Prices, *, points: int = 40
) -> tuple[ParetoSet, ...]:
    """Of each candidate at most so many of the candidates that no other of it beats."""
    found = []
    for candidate in field.candidates:
        rated = _Rated.of(candidate, field.measure, limits, prices)
        best = policy.frontier(rated.table["energy_uj"], rated.options.right)
        rows = best[evenly(len(best), points)]
        some = rated.options.take(rows)
        figures = rated.figures(some.exit_counts, some.right)
        found.append(
            ParetoSet(
                network=candidate.network,
                mode=candidate.mode.name,
                variant=candidate.variant.name,
                bits=candidate.variant.bits,
                thresholds=candidate.mode.all_thresholds(some.thresholds),
                figures=figures,
                over=excess_share(figures, limits),
            )
        )
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rated:
    """A candidate at prices: its options, their figures, and the path it is certified along."""

    candidate: Candidate
    measure: str
    limits: Limits
    costs: ExitCosts
    battery_costs: ExitCosts
    options: Options
    path: Counts  # rows of the options, the most accurate first

    @classmethod
    def of(cls, candidate: Candidate, measure: str, limits: Limits, prices: Prices) -> "_Rated":
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
    def needs_proof(self) -> bool:
        """True where certify is looked at: a path, labels, and something to lose."""
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
        """The figures of these names, (m,) each; without names every one there is."""
        seen = self.candidate.seen[purpose]

        def mean(per_exit: Sequence[float]) -> Floats:
            # As `policy.mean_cost`, which counts the samples anew each time: slow for many rows.
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

    @property
    def deciding(self) -> set[str]:
        """The figures that a choice reads: of many rows, no other is worth its time."""
        return {"loss_points", "energy_uj", *self.limits.on_figures}


def _rate(candidate: Candidate, measure: str, limits: Limits, prices: Prices) -> _Rated:
    """Price a candidate, refine what it offers, and fix its path."""
    rated = _Rated.of(candidate, measure, limits, prices)
    if not candidate.options.exact:
        more = joined(*_refined(rated))
        rated = replace(rated, options=joined(rated.options, more))
    return replace(rated, path=_path(rated))


def _path(rated: _Rated) -> Counts:
    table = rated.table
    keeps = np.flatnonzero(excess_share(table, rated.limits) == 0)
    best = policy.frontier(table["energy_uj"][keeps], rated.options.right[keeps])
    return keeps[best][::-1]


def _refined(rated: _Rated) -> Iterator[Options]:
    """Around some points of the path, one threshold at a time: cheaper at no more loss.

    Where nobody keeps the limits, around the nearest miss: nearer.
    """
    path, table = _path(rated), rated.table
    if len(path):
        starts = path[evenly(len(path), _LEVELS)]
        levels = [float(table["loss_points"][row]) for row in starts]
        wanted = [replace(rated.limits, max_loss_points=max(level, 0.0)) for level in levels]
    else:
        starts, wanted = np.array([_best(table, rated.options.right, rated.limits)]), [rated.limits]
    seen = rated.candidate.seen["tune"]
    for row, limits in zip(starts, wanted, strict=True):

        def best(counts: Counts, right: Counts, limits: Limits = limits) -> int:
            return _best(rated.figures(counts, right, names=rated.deciding), right, limits)

        start = rated.options.thresholds[row]
        yield refined(seen, rated.measure, rated.candidate.moves, start, best)


def _best(table: Table, right: Counts, limits: Limits) -> int:
    """The row that misses by the least; of these the cheapest, of these the most accurate."""
    rows = np.arange(len(right))
    for values in (excess_share(table, limits), table["energy_uj"], -right):
        rows = rows[values[rows] == values[rows].min()]
    return int(rows[0])


def _stand(
    rated: _Rated, limits: Limits, measure: str, asked: int
) -> tuple[RankedCandidate, Counts]:
    """Where a candidate stands, and the rows of its path that keep every limit."""
    if not len(rated.path):
        row = _best(rated.table, rated.options.right, limits)
        point = _point(rated, _thresholds(rated, row))
        violations = violations_of(point.tune.by_limit, limits)
        miss = float(excess_share({k: v[[row]] for k, v in rated.table.items()}, limits)[0])
        return RankedCandidate(point=point, violations=violations, miss=miss), rated.path
    proven = rated.path
    if limits.certified and not rated.candidate.reference:
        proven = _proven(rated, limits, measure, asked)
    if len(proven):
        point = _point(rated, _thresholds(rated, proven[-1]))
        return RankedCandidate(point=point, violations=(), miss=0.0), proven
    point = _point(rated, _thresholds(rated, rated.path[0]))
    violation = _unproven(rated, point, limits, measure, asked)
    miss = violation.excess / (violation.allowed or 1)
    return RankedCandidate(point=point, violations=(violation,), miss=miss), proven


def _proven(rated: _Rated, limits: Limits, measure: str, asked: int) -> Counts:
    """The first rows of the path that are certified to keep the limit of loss."""
    if not rated.needs_proof:
        return rated.path[:0]
    assert limits.max_loss_points is not None  # limits.certified says so
    assert limits.confidence is not None
    path = rated.path[evenly(len(rated.path), _PATH)]
    seen = rated.candidate.seen["certify"].against_reference
    done, at_once = 0, 1
    while done < len(path):
        part = path[done : done + at_once]
        last = fixed_sequence(
            seen,
            [_against(rated.options.thresholds[row]) for row in part],
            max_loss=min(limits.max_loss_points / 100, 1.0),
            delta=(1 - limits.confidence) / asked,
            measure=measure,
        )
        passed = 0 if last is None else last + 1
        done += passed
        if passed < len(part):
            break
        at_once = min(2 * at_once, _AT_ONCE)  # most paths fail early or late
    return path[:done]


def _unproven(rated: _Rated, point: Point, limits: Limits, measure: str, asked: int) -> Violation:
    """By how much the bound of a point that failed goes beyond the limit of loss."""
    assert limits.max_loss_points is not None
    assert limits.confidence is not None
    if not rated.needs_proof:  # there is no trace of certify
        return Violation(
            limit="loss_points", value=math.inf, allowed=limits.max_loss_points, certified=True
        )
    seen = rated.candidate.seen["certify"].against_reference
    made = certify(
        seen,
        _against(rated.candidate.mode.searched(point.thresholds)),
        delta=1 - limits.confidence,
        comparisons=asked,
        measure=measure,
    )
    return Violation(
        limit="loss_points",
        value=100 * made.bound,
        allowed=limits.max_loss_points,
        certified=True,
        samples=made.samples,
        fewest=fewest_samples(limits.max_loss_points / 100, delta=(1 - limits.confidence) / asked),
    )


def _proof(rated: _Rated, best: Point, field: Field, limits: Limits, asked: int) -> Proof | None:
    """The certificate of the best point: of the limit, or its own bound where there is none."""
    seen = rated.candidate.seen.get("certify")
    if limits.confidence is None or seen is None:
        return None
    if rated.candidate.reference:
        bound, observed, comparisons = 0.0, 0.0, max(asked, 1)
    else:
        own = certify(
            seen.against_reference,
            _against(rated.candidate.mode.searched(best.thresholds)),
            delta=1 - limits.confidence,
            comparisons=max(asked, 1),
            measure=field.measure,
        )
        bound, observed, comparisons = 100 * own.bound, 100 * own.observed, own.comparisons
        if limits.certified:
            bound = limits.max_loss_points or 0.0
    return Proof(
        bound_points=bound,
        confidence=limits.confidence,
        comparisons=comparisons,
        samples=seen.samples,
        observed_points=observed,
        reference=field.references[rated.candidate.card.dataset],
    )


def _runners_up(
    ordered: Sequence[tuple[RankedCandidate, Counts]],
    rated: Sequence[_Rated],
    places: Sequence[int],
) -> list[Point]:
    """Of other variants first, then of the same in another use, then the winner's next points."""
    kept = [ranked.point for ranked, _ in ordered if ranked.kept]
    if not kept:
        return []
    used = {(kept[0].network, kept[0].variant)}
    others: list[Point] = []
    rest: list[Point] = []
    for point in kept[1:]:
        (rest if (point.network, point.variant) in used else others).append(point)
        used.add((point.network, point.variant))
    chosen = (others + rest)[:_RUNNERS_UP]
    winner, rows = rated[places[0]], ordered[0][1]
    missing = _RUNNERS_UP - len(chosen)
    nexts = rows[::-1][1 : 1 + missing] if missing else rows[:0]
    return chosen + [_point(winner, _thresholds(winner, row)) for row in nexts]


def _order(ranked: RankedCandidate, place: int) -> tuple[float, ...]:
    tune = ranked.point.tune
    return (ranked.miss, not ranked.kept, tune.energy_pj, tune.loss_points, place)


def _point(rated: _Rated, thresholds: Sequence[float]) -> Point:
    """A candidate's point at all its thresholds, with figures counted anew on tune and test."""
    candidate = rated.candidate
    variant = candidate.variant
    figures = {
        purpose: _figures(rated, purpose, candidate.mode.searched(thresholds))
        for purpose in ("tune", "test")
        if purpose in candidate.seen
    }
    return Point(
        network=candidate.network,
        mode=candidate.mode.name,
        variant=variant.name,
        bits=variant.bits,
        thresholds=tuple(thresholds),
        measure=rated.measure,
        weights_sha256=variant.files[zoo.WEIGHTS],
        tune=figures["tune"],
        test=figures.get("test"),
    )


def _figures(rated: _Rated, purpose: str, searched: Sequence[float]) -> Figures:
    seen = rated.candidate.seen[purpose]
    counted = policy.outcome(seen, searched, rated.measure)
    counts, right = np.array([counted.exit_counts]), np.array([sum(counted.correct_counts)])
    table = {k: float(v[0]) for k, v in rated.figures(counts, right, purpose=purpose).items()}
    return Figures(
        split=seen.split,
        samples=seen.samples,
        exit_fractions=rated.candidate.mode.all_fractions(counted.exit_fractions),
        accuracy=counted.accuracy,
        loss_points=table["loss_points"],
        energy_pj=float(policy.mean_cost(counts, rated.costs.energy_pj)[0]),
        latency_ms=table["latency_ms"],
        uplink_bytes=table["uplink_bytes"],
        edge_memory_kib=table["edge_memory_kib"],
        days=table.get("days"),
    )


def _thresholds(rated: _Rated, row: int | np.int64) -> tuple[float, ...]:
    return rated.candidate.all_thresholds(rated.options.thresholds[row])


def _against(searched: Sequence[float] | Floats) -> tuple[float, ...]:
    """Thresholds for `CandidateTrace.against_reference`: at its own last exit everybody leaves."""
    return (*map(float, searched), 0.0)
