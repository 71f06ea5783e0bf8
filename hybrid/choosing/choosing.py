"""Find the lowest-energy point that meets all limits, and the reasons against all others.

Points are chosen on `tune` and certified on `certify`; `test` is only for reporting. `rating` finds
each candidate's points, `paths` and `proving` certify them, and this module ranks them.

A stricter limit never leads to less energy. Which points there are, and which of them are tested
in which order, depends on no limit; a limit only removes some of them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.choosing.answer import (
    Answer,
    Point,
    ProfileCheck,
    Proof,
    RankedCandidate,
    Uncertifiable,
)
from hybrid.choosing.candidates import Field
from hybrid.choosing.limits import Limits, Violation, excess_share, violations_of
from hybrid.choosing.paths import Path, paths_of
from hybrid.choosing.proving import Beyond, beyond, certified_rows, gaps_at, passed, proof_of
from hybrid.choosing.rating import Rated, Table, best_row, rate_all
from hybrid.energy import Profile
from hybrid.errors import LimitError
from hybrid.evaluation import Prices

__all__ = ["PricedField", "check_profiles", "choose", "priced_field"]

Counts = npt.NDArray[np.int64]

_RUNNERS_UP = 3
_THREADS = 2
_KEPT = 2  # prices whose points are kept in memory, 40 MB for twenty networks with three exits


@dataclass(frozen=True, kw_only=True, eq=False)
class PricedField:
    """A field at some prices: everything that no limit changes.

    Args:
        rated: the candidates, in the field's order.
        paths: along which certificates are tested.
    """

    field: Field
    prices: Prices
    rated: tuple[Rated, ...]
    paths: tuple[Path, ...]

    def stops(self, max_loss_points: float, confidence: float, since: Sequence[int]) -> list[int]:
        """How many points of each path are certified to lose at most so much.

        Args:
            since: so many of each path are known to be.
        """

        def walk(path: Path, start: int) -> int:
            return passed(
                path,
                lambda step: gaps_at(self.rated, path, step),
                max_loss_points=max_loss_points,
                confidence=confidence,
                start=start,
            )

        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(walk, self.paths, since))


_PRICED: WeakKeyDictionary[Field, list[PricedField]] = WeakKeyDictionary()


def priced_field(field: Field, prices: Prices) -> PricedField:
    """A field at prices; computed once and kept, for the last few prices."""
    kept = _PRICED.setdefault(field, [])
    for one in kept:
        if one.prices == prices:
            return one
    rated = rate_all(field, prices)
    made = PricedField(field=field, prices=prices, rated=rated, paths=paths_of(rated))
    kept[:] = [*kept, made][-_KEPT:]
    return made


def choose(field: Field, limits: Limits, prices: Prices | None = None) -> Answer:
    """The lowest-energy point that meets all limits; of equals, the most accurate.

    Args:
        field: from `collect_candidates`.
        prices: hardware profile, link and scope of the energy.

    Raises:
        LimitError: an accuracy is limited, but the images have no labels.
    """
    check_labels(field, limits)
    priced = priced_field(field, prices or Prices())
    judged = _judge(priced, limits)
    places = range(len(judged))
    ranked = [one.ranked for one in judged]
    order = sorted(places, key=lambda place: _key(ranked[place], place))
    winner = judged[order[0]]
    best = ranked[order[0]].point if ranked[order[0]].kept else None
    paths = len(priced.paths) if limits.certified else 0
    reference = field.references[winner.rated.candidate.card.dataset]
    return Answer(
        limits=limits,
        profile=priced.prices.profile.name,
        cloud_profile=priced.prices.cloud_name,
        link=priced.prices.link.name,
        scope=priced.prices.scope,
        measure=field.measure,
        references=field.references,
        best=best,
        proof=_proof(winner, best, limits, priced, reference),
        without=_without(judged),
        uncertifiable=_uncertifiable(judged, best),
        runners_up=_runners_up([ranked[place] for place in order], winner),
        ranking=tuple(ranked[place] for place in order),
        comparisons=paths,
        settings=sum(len(one.options.right) for one in priced.rated),
        exact=all(one.options.exact for one in priced.rated),
        absent=field.absent,
        networks=field.networks,
        images=field.images,
        labelled=field.labelled,
        deployed=field.deployed,
    )


def _proof(
    winner: "_Judged",
    best: Point | None,
    limits: Limits,
    priced: PricedField,
    reference: tuple[str, str],
) -> Proof | None:
    """The certificate of the best point, which was found among so many paths and points."""
    if best is None:
        return None
    paths = priced.paths if limits.certified else ()
    points = sum(len(path.rows) for path in paths)
    return proof_of(
        winner.rated, best, limits, comparisons=(len(paths), points), reference=reference
    )


def check_labels(field: Field, limits: Limits) -> None:
    """Refuse a limit on accuracy where it is not known.

    Raises:
        LimitError: the images have no labels.
    """
    wanted = {"accuracy_percent", "class_accuracy_percent"} & set(limits.on_figures)
    if wanted and not field.labelled:
        raise LimitError(
            "These images have no labels, so their accuracy is unknown and cannot be limited; "
            "limit the accuracy lost instead."
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
        own = Rated.of(candidate, field.measure, there).point(best.thresholds, limits)
        found.append(
            ProfileCheck(
                profile=profile.name,
                own=own,
                violations=violations_of(own.tune.by_limit, limits),
                best=choose(field, limits, there).best,
            )
        )
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """A candidate under limits.

    Args:
        keeps: (m,), which options meet every limit on tune.
        proven: the rows of those that are also certified, if they must be.
        beyond: see `proving.beyond`; None also if the rest needs no less energy.
    """

    rated: Rated
    limits: Limits
    table: Table
    keeps: npt.NDArray[np.bool_]
    proven: Counts
    beyond: Beyond | None

    @cached_property
    def ranked(self) -> RankedCandidate:
        """Its best point or nearest miss."""
        if len(self.proven):
            point = self.point(self.cheapest(self.proven))
            return RankedCandidate(point=point, violations=(), miss=0.0)
        if not self.keeps.any():
            return self._nearest_miss()
        row, violation = self.beyond or (
            self.cheapest(np.flatnonzero(self.keeps)), _no_proof(self.rated, self.limits)
        )  # fmt: skip
        miss = violation.excess / (violation.allowed or 1)
        return RankedCandidate(point=self.point(row), violations=(violation,), miss=miss)

    def point(self, row: int) -> Point:
        return self.rated.row(row, self.limits)

    def cheapest(self, rows: Counts) -> int:
        """Of these rows, the one of least energy; of equals, the most accurate."""
        order = np.lexsort((-self.rated.options.right[rows], self.table["energy_uj"][rows]))
        return int(rows[order[0]])

    def _nearest_miss(self) -> RankedCandidate:
        row = best_row(self.table, self.rated.options.right, self.limits)
        point = self.point(row)
        some = {name: values[[row]] for name, values in self.table.items()}
        violations = violations_of(point.tune.by_limit, self.limits)
        miss = float(excess_share(some, self.limits)[0])
        return RankedCandidate(point=point, violations=violations, miss=miss)


def _judge(priced: PricedField, limits: Limits) -> list[_Judged]:
    stops = [0] * len(priced.paths)
    if limits.certified:
        assert limits.max_loss_points is not None
        assert limits.confidence is not None
        stops = priced.stops(limits.max_loss_points, limits.confidence, stops)
    found = []
    for place, rated in enumerate(priced.rated):
        table = rated.table(limits)
        keeps = excess_share(table, limits) == 0
        proven = np.flatnonzero(keeps)
        if limits.certified and not rated.candidate.reference:
            rows = certified_rows(priced.paths, stops, place)
            proven = rows[keeps[rows]]
        found.append(
            _Judged(
                rated=rated, limits=limits, table=table, keeps=keeps, proven=proven, beyond=None
            )
        )
    if not limits.certified:
        return found
    least = min(
        (float(one.table["energy_uj"][one.proven].min()) for one in found if len(one.proven)),
        default=np.inf,
    )

    def missed(place: int) -> Beyond | None:
        one = found[place]
        wanted = one.keeps.copy()
        wanted[one.proven] = False
        if len(one.proven):
            wanted &= one.table["energy_uj"] < least
        return beyond(priced.rated, priced.paths, stops, limits, place, wanted)

    with ThreadPoolExecutor(_THREADS) as pool:
        missing = pool.map(missed, range(len(found)))
        return [replace(one, beyond=some) for one, some in zip(found, missing, strict=True)]


def _no_proof(rated: Rated, limits: Limits) -> Violation:
    """A candidate none of whose points can be certified at any limit."""
    assert limits.max_loss_points is not None
    seen = rated.candidate.seen.get("certify")
    return Violation(
        limit="loss_points",
        value=np.inf,
        allowed=limits.max_loss_points,
        certified=True,
        samples=seen.samples if seen else 0,
    )


def _without(judged: Sequence[_Judged]) -> Point | None:
    """The best point if the loss is only measured on tune."""
    found = []
    for place, one in enumerate(judged):
        rows = np.flatnonzero(one.keeps)
        if len(rows):
            row = one.cheapest(rows)
            lost = one.table["loss_points"][row]
            found.append((one.table["energy_uj"][row], lost, place, row))
    if not found:
        return None
    *_, place, row = min(found)
    return judged[place].point(row)


def _uncertifiable(judged: Sequence[_Judged], best: Point | None) -> tuple[Uncertifiable, ...]:
    """The points that only the certificate rules out, nearest first."""
    found = []
    for one in judged:
        if one.beyond is not None:
            row, violation = one.beyond
            found.append(_ruled_out(one.point(row), violation))
        elif one.keeps.any() and not len(one.proven):
            found.append(_ruled_out(one.ranked.point, one.ranked.violations[0]))
    most = best.tune.energy_pj if best else np.inf
    found = [one for one in found if one.point.tune.energy_pj < most]
    return tuple(sorted(found, key=lambda one: (one.bound_points, one.point.tune.energy_pj)))


def _ruled_out(point: Point, violation: Violation) -> Uncertifiable:
    return Uncertifiable(
        point=point,
        bound_points=violation.value,
        images=violation.enough,
        samples=violation.samples,
    )


def _runners_up(ranking: Sequence[RankedCandidate], winner: _Judged) -> tuple[Point, ...]:
    """Points of other variants first, then of the winner in another mode, then of the winner."""
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
    right = winner.rated.options.right[winner.proven]
    best = policy.frontier(winner.table["energy_uj"][winner.proven], right)
    nexts = winner.proven[best][1 : 1 + _RUNNERS_UP - len(chosen)]
    return (*chosen, *(winner.point(int(row)) for row in nexts))


def _key(ranked: RankedCandidate, place: int) -> tuple[float, ...]:
    tune = ranked.point.tune
    return (ranked.miss, not ranked.kept, tune.energy_pj, tune.loss_points, place)
