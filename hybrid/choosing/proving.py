"""Certificates of rated candidates: how far along each path the loss limit is met.

Every path is fixed before any label of `certify` is read. It is tested from its start until a point
fails, at its share of delta. So, with confidence 1 - delta, no point that passed, of any candidate,
loses more than the limit.

The bets of a test are those for 95 % confidence, whatever is asked for: any bets fixed beforehand
are valid. So a point that passes at some limit and confidence also passes at a looser one.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hybrid.certificates import (
    betting_bounds,
    betting_p_values,
    certify,
    expected_samples,
    loss_gaps,
    without_cloud,
)
from hybrid.choosing.answer import Point, Proof
from hybrid.choosing.candidates import CandidateTrace
from hybrid.choosing.limits import Limits, Violation
from hybrid.choosing.paths import Path
from hybrid.choosing.rating import Rated

__all__ = ["Beyond", "beyond", "certified_rows", "gaps_at", "passed", "proof_of"]

Counts = npt.NDArray[np.int64]
Gaps = npt.NDArray[np.int8]
GapsAt = Callable[[int], Gaps]
Beyond = tuple[int, Violation]  # a row, and by how much it fails

_BETS = 0.05  # the delta that bets are sized for


def passed(
    path: Path, gaps: GapsAt, *, max_loss_points: float, confidence: float, start: int = 0
) -> int:
    """How many points of a path are certified to lose at most so much.

    Args:
        gaps: from the number of a point to the loss of each image of `certify`, (n,).
        start: so many are known to be, because they were at a lower limit.
    """
    done, delta = start, (1 - confidence) * path.share
    while done < len(path.rows):
        p_value = betting_p_values(
            gaps(done)[None], max_loss=max_loss_points / 100, delta=_bets(path)
        )[0]
        if p_value > delta:
            break
        done += 1
    return done


def certified_rows(paths: Sequence[Path], stops: Sequence[int], place: int) -> Counts:
    """The certified options of one candidate.

    Args:
        stops: how many points of each path passed.
        place: the candidate's, in the field.
    """
    found = [
        path.rows[:stop][path.owners[:stop] == place]
        for path, stop in zip(paths, stops, strict=True)
    ]
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def gaps_at(rated: Sequence[Rated], path: Path, step: int, purpose: str = "certify") -> Gaps:
    """(n,): by how much each image loses against the reference at one point of a path."""
    one = rated[path.owners[step]]
    seen = one.candidate.seen[purpose].against_reference
    return loss_gaps(seen, _against_reference(one.options.thresholds[path.rows[step]]), one.measure)


def beyond(
    rated: Sequence[Rated],
    paths: Sequence[Path],
    stops: Sequence[int],
    limits: Limits,
    place: int,
    wanted: npt.NDArray[np.bool_],
) -> Beyond | None:
    """Of a candidate's wanted options that failed, the one that a lower bound would certify.

    Args:
        wanted: (m,), which options would be chosen if they were certified.

    Returns:
        None if no path has such a point.
    """
    found = []
    for path, stop in zip(paths, stops, strict=True):
        mine = path.owners[stop:] == place
        mine[mine] = wanted[path.rows[stop:][mine]]
        if mine.any():
            step = stop + int(mine.argmax())
            found.append((*_hardest(rated, path, stop, step, limits), path, step))
    if not found:
        return None
    least, hardest, path, step = min(found, key=lambda one: one[0])
    return int(path.rows[step]), _violation(rated, path, hardest, limits, least)


def proof_of(
    rated: Rated,
    best: Point,
    limits: Limits,
    *,
    comparisons: tuple[int, int],
    reference: tuple[str, str],
) -> Proof | None:
    """The certificate of the best point: of the limit, or its own bound if there is no limit.

    Args:
        comparisons: how many paths, and points on all of them, it was found among; 0 if no limit
            is certified.
    """
    seen = rated.candidate.seen.get("certify")
    if limits.confidence is None or seen is None:
        return None
    bound, observed = 0.0, 0.0  # of the reference itself
    if not rated.candidate.reference:
        thresholds = _against_reference(rated.candidate.mode.searched(best.thresholds))
        made = certify(
            seen.against_reference, thresholds, delta=1 - limits.confidence, measure=rated.measure
        )
        observed = 100 * made.observed
        bound = 100 * made.bound
        if limits.certified:
            assert limits.max_loss_points is not None
            bound = limits.max_loss_points
    paths, points = comparisons
    return Proof(
        bound_points=bound,
        confidence=limits.confidence,
        comparisons=paths if limits.certified else 1,
        samples=seen.samples,
        observed_points=observed,
        reference=reference,
        without_cloud_points=_without_cloud(rated, seen, best, limits.confidence, points or 1),
    )


def _without_cloud(
    rated: Rated, seen: CandidateTrace, best: Point, confidence: float, points: int
) -> float | None:
    """The bound of the loss while the cloud is down, in points; None if it answers nothing.

    The point was found by its losses with the cloud on the same images, so the bound holds for all
    points together that could have been found. These were fixed on tune.
    """
    if best.mode != "hybrid":
        return None
    exits = without_cloud(seen, best.thresholds, rated.measure)
    forced = seen.correct[np.arange(seen.samples), exits].astype(np.int8)
    gaps = seen.against_reference.correct[:, -1].astype(np.int8) - forced
    return 100 * float(betting_bounds(gaps[None], delta=(1 - confidence) / points)[0])


def _hardest(
    rated: Sequence[Rated], path: Path, stop: int, step: int, limits: Limits
) -> tuple[float, int]:
    """The lowest loss limit at which a point of a path is certified, in points, and what sets it.

    Those before it must pass as well; up to `stop` they do. The second number is the one of them
    with the highest bound.
    """
    assert limits.confidence is not None
    delta = (1 - limits.confidence) * path.share

    def bound(number: int) -> float:
        gaps = gaps_at(rated, path, number)[None]
        return 100 * float(betting_bounds(gaps, delta=delta, bets_delta=_bets(path))[0])

    return max((bound(number), number) for number in range(stop, step + 1))


def _violation(
    rated: Sequence[Rated], path: Path, step: int, limits: Limits, least: float
) -> Violation:
    assert limits.max_loss_points is not None
    assert limits.confidence is not None
    tune, certify_ = (gaps_at(rated, path, step, purpose) for purpose in ("tune", "certify"))
    # Both splits together are the better estimate, unless they show that it is too low.
    estimates = [
        expected_samples(
            gaps,
            max_loss=limits.max_loss_points / 100,
            delta=(1 - limits.confidence) * path.share,
        )
        for gaps in (np.concatenate([tune, certify_]), certify_)
    ]
    more = [one for one in estimates if one is None or one > len(certify_)]
    return Violation(
        limit="loss_points",
        value=least,
        allowed=limits.max_loss_points,
        certified=True,
        samples=len(certify_),
        enough=more[0] if more else len(certify_) + 1,
    )


def _bets(path: Path) -> float:
    return _BETS * path.share


def _against_reference(searched: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Thresholds for `CandidateTrace.against_reference`: every sample leaves at the last exit."""
    return (*map(float, searched), 0.0)
