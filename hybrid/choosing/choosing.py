"""Find the lowest-energy point that meets all limits, and the reasons against all others.

Points are chosen on `tune` and certified on `certify`; `test` is only for reporting. `rating` finds
each candidate's points, `proving` certifies them, and this module ranks them.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.choosing.answer import Answer, Point, ProfileCheck, RankedCandidate
from hybrid.choosing.candidates import Field
from hybrid.choosing.limits import Limits, excess_share, violations_of
from hybrid.choosing.proving import passed, proof_of, uncertified
from hybrid.choosing.rating import Rated, best_row, rate
from hybrid.energy import Profile
from hybrid.evaluation import Prices

__all__ = ["ParetoSet", "check_profiles", "choose", "pareto_sets"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_RUNNERS_UP = 3
_THREADS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class ParetoSet:
    """The Pareto-optimal points of one candidate as columns, for a figure.

    thresholds (m, early of the variant); figures: name of a limit → (m,); over (m,): see
    `excess_share`, 0 if every limit that can be checked on tune is met.
    """

    network: str
    mode: str
    variant: str
    bits: int
    thresholds: Floats
    figures: Mapping[str, Floats]
    over: Floats


def choose(field: Field, limits: Limits, prices: Prices | None = None) -> Answer:
    """The lowest-energy point that meets all limits; of equals, the most accurate.

    Args:
        field: from `collect_candidates`.
        prices: hardware profile, link and scope of the energy.
    """
    prices = prices or Prices()
    # numpy releases the interpreter's lock while it counts, so two threads use two cores
    with ThreadPoolExecutor(_THREADS) as pool:
        rated = list(
            pool.map(lambda one: rate(one, field.measure, limits, prices), field.candidates)
        )
        comparisons = sum(one.needs_proof for one in rated) if limits.certified else 0
        ranked = list(pool.map(lambda one: _rank(one, comparisons), rated))
    order = sorted(range(len(rated)), key=lambda place: _key(ranked[place][0], place))
    ranking, first = tuple(ranked[place][0] for place in order), order[0]
    best = ranking[0].point if ranking[0].kept else None
    reference = field.references[rated[first].candidate.card.dataset]
    return Answer(
        limits=limits,
        profile=prices.profile.name,
        cloud_profile=prices.cloud_name,
        link=prices.link.name,
        scope=prices.scope,
        measure=field.measure,
        references=field.references,
        best=best,
        proof=proof_of(rated[first], best, comparisons, reference) if best else None,
        runners_up=_runners_up(ranking, rated[first], ranked[first][1]),
        ranking=ranking,
        comparisons=comparisons,
        settings=sum(len(one.options.right) for one in rated),
        exact=all(one.options.exact for one in rated),
        absent=field.absent,
        images=field.images,
        labelled=field.labelled,
    )


def check_profiles(
    field: Field, limits: Limits, prices: Prices, best: Point, profiles: Sequence[Profile]
) -> tuple[ProfileCheck, ...]:
    """Check whether a choice remains the best one under other energy models.

    Each profile's own choice is certified separately. If you pick among them, certify again.
    """
    candidate = next(
        one
        for one in field.candidates
        if (one.network, one.mode.name, one.variant.name) == best.candidate
    )
    found = []
    for profile in profiles:
        there = replace(prices, profile=profile)
        own = Rated.of(candidate, field.measure, limits, there).point(best.thresholds)
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
    """The Pareto-optimal points of each candidate, at most this many."""
    found = []
    for candidate in field.candidates:
        rated = Rated.of(candidate, field.measure, limits, prices)
        best = policy.frontier(rated.table["energy_uj"], rated.options.right)
        some = rated.options.take(best[policy.evenly(len(best), points)])
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


def _rank(rated: Rated, comparisons: int) -> tuple[RankedCandidate, Counts]:
    """A candidate's best point or nearest miss, and the rows of its path that meet every limit."""
    if not len(rated.path):
        return _nearest_miss(rated), rated.path
    kept = passed(rated, comparisons)
    if len(kept):
        return RankedCandidate(point=rated.row(kept[-1]), violations=(), miss=0.0), kept
    point = rated.row(rated.path[0])
    violation = uncertified(rated, point, comparisons)
    miss = violation.excess / (violation.allowed or 1)
    return RankedCandidate(point=point, violations=(violation,), miss=miss), kept


def _nearest_miss(rated: Rated) -> RankedCandidate:
    limits = rated.limits
    row = best_row(rated.table, rated.options.right, limits)
    point = rated.row(row)
    miss = float(excess_share({k: v[[row]] for k, v in rated.table.items()}, limits)[0])
    violations = violations_of(point.tune.by_limit, limits)
    return RankedCandidate(point=point, violations=violations, miss=miss)


def _runners_up(
    ranking: Sequence[RankedCandidate], winner: Rated, rows: Counts
) -> tuple[Point, ...]:
    """Points of other variants first, then of the winner in another mode, then of the winner.

    Args:
        rows: those of the winner's path that meet every limit, the best point last.
    """
    kept = [ranked.point for ranked in ranking if ranked.kept]
    if not kept:
        return ()
    used = {(kept[0].network, kept[0].variant)}
    others: list[Point] = []
    rest: list[Point] = []
    for point in kept[1:]:
        (rest if (point.network, point.variant) in used else others).append(point)
        used.add((point.network, point.variant))
    chosen = (others + rest)[:_RUNNERS_UP]
    missing = _RUNNERS_UP - len(chosen)
    nexts = rows[::-1][1 : 1 + missing] if missing else rows[:0]
    return (*chosen, *(winner.row(row) for row in nexts))


def _key(ranked: RankedCandidate, place: int) -> tuple[float, ...]:
    tune = ranked.point.tune
    return (ranked.miss, not ranked.kept, tune.energy_pj, tune.loss_points, place)
