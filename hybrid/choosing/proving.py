"""Certificates of rated candidates: how far along its path each one meets the loss limit.

Each path is fixed before any label of `certify` is read. It is tested from its start until a point
fails, and each path gets an equal part of delta. So, with confidence 1 - delta, no point that
passed, of any candidate, loses more than the limit.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybrid.certificates import Certificate, certify, fewest_samples, fixed_sequence
from hybrid.choosing.answer import Point, Proof
from hybrid.choosing.limits import Violation
from hybrid.choosing.rating import Rated
from hybrid.policy import evenly

__all__ = ["passed", "proof_of", "uncertified"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_PATH = 64  # points of a path; 2,500 images have no more within 2.5 points
_AT_ONCE = 16  # of a path at most, between looks at whether one has failed


def passed(rated: Rated, comparisons: int) -> Counts:
    """The rows at the start of a path that are certified to meet the loss limit.

    Args:
        comparisons: how many paths are tested; they share the risk of error, delta.
    """
    limits = rated.limits
    if rated.candidate.reference or not limits.certified:
        return rated.path
    if not rated.needs_proof:
        return rated.path[:0]
    assert limits.max_loss_points is not None  # limits.certified checks it
    assert limits.confidence is not None
    path = rated.path[evenly(len(rated.path), _PATH)]
    seen = rated.candidate.seen["certify"].against_reference
    done, at_once = 0, 1
    while done < len(path):
        part = path[done : done + at_once]
        last = fixed_sequence(
            seen,
            [_against_reference(rated.options.thresholds[row]) for row in part],
            max_loss=min(limits.max_loss_points / 100, 1.0),
            delta=(1 - limits.confidence) / comparisons,
            measure=rated.measure,
        )
        kept = 0 if last is None else last + 1
        done += kept
        if kept < len(part):
            break
        at_once = min(2 * at_once, _AT_ONCE)  # most paths fail early or late
    return path[:done]


def uncertified(rated: Rated, point: Point, comparisons: int) -> Violation:
    """By how much the bound of a point that failed exceeds the loss limit."""
    limits = rated.limits
    assert limits.max_loss_points is not None
    assert limits.confidence is not None
    if not rated.needs_proof:  # there is no trace of certify
        return Violation(
            limit="loss_points", value=math.inf, allowed=limits.max_loss_points, certified=True
        )
    made = _certificate(rated, point, limits.confidence, comparisons)
    delta = (1 - limits.confidence) / comparisons
    return Violation(
        limit="loss_points",
        value=100 * made.bound,
        allowed=limits.max_loss_points,
        certified=True,
        samples=made.samples,
        fewest=fewest_samples(limits.max_loss_points / 100, delta=delta),
    )


def proof_of(
    rated: Rated, best: Point, comparisons: int, reference: tuple[str, str]
) -> Proof | None:
    """The certificate of the best point: of the limit, or its own bound if there is no limit."""
    limits, shared = rated.limits, max(comparisons, 1)
    seen = rated.candidate.seen.get("certify")
    if limits.confidence is None or seen is None:
        return None
    bound, observed = 0.0, 0.0  # of the reference itself
    if not rated.candidate.reference:
        made = _certificate(rated, best, limits.confidence, shared)
        bound, observed = 100 * made.bound, 100 * made.observed
        if limits.certified:
            bound = limits.max_loss_points or 0.0
    return Proof(
        bound_points=bound,
        confidence=limits.confidence,
        comparisons=shared,
        samples=seen.samples,
        observed_points=observed,
        reference=reference,
    )


def _certificate(rated: Rated, point: Point, confidence: float, comparisons: int) -> Certificate:
    candidate = rated.candidate
    return certify(
        candidate.seen["certify"].against_reference,
        _against_reference(candidate.mode.searched(point.thresholds)),
        delta=1 - confidence,
        comparisons=comparisons,
        measure=rated.measure,
    )


def _against_reference(searched: Sequence[float] | Floats) -> tuple[float, ...]:
    """Thresholds for `CandidateTrace.against_reference`: every sample leaves at the last exit."""
    return (*map(float, searched), 0.0)
