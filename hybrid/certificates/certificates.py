"""One bound at thresholds that were fixed beforehand: what a certificate says, and of whom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hybrid.certificates.bounds import (
    NO_SAMPLES,
    Floats,
    betting_bounds,
    check_delta,
    clopper_pearson,
)
from hybrid.errors import CertificateError, UnknownNameError
from hybrid.policy import TraceLike, check_thresholds, exits_taken
from hybrid.policy.points import early_confidences

__all__ = [
    "METHODS",
    "Answered",
    "Certificate",
    "Gaps",
    "certify",
    "certify_exits",
    "check_comparisons",
    "check_trace",
    "disagreements",
    "loss_gaps",
    "regrets",
    "rounded_up",
    "upper_bounds",
    "value_table",
]

Gaps = npt.NDArray[np.int8]

METHODS = {
    "betting": "accuracy lost to early exits",
    "regret": "images that the final exit answers correctly and the exit taken incorrectly",
    "disagreement": "images that the exit taken and the final exit answer differently",
}
_CHOSEN_ON = ("train", "tune", "test")
_OWN_TUNE = "-tune"  # how the half of a user's own images ends that is there to choose on


class Answered(TraceLike, Protocol):
    """What a certificate reads of a trace."""

    @property
    def split(self) -> str:
        """The split the samples are of."""

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """(n, exits): each exit's answer, the final exit last."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """With probability 1 - delta, what it bounds is at most `bound` on images like these.

    Args:
        method: a name of METHODS.
        bounds: what is bounded, in words.
        bound: fraction of the images, at most 1; negative where leaving early is sure to gain.
        delta: chance that this bound, or any other of the `comparisons`, does not hold.
        comparisons: how many bounds share delta.
        samples: labelled images that it was computed from.
        observed: the same fraction on these images.
        split: that the images are of.
    """

    method: str
    bounds: str
    bound: float
    delta: float
    comparisons: int
    samples: int
    observed: float
    split: str

    @property
    def confidence(self) -> float:
        """1 - delta."""
        return 1 - self.delta

    @property
    def sentence(self) -> str:
        """The promise in words; the bound is rounded up, so that what is read holds too."""
        return (
            f"With {_percent(self.confidence)} confidence, {self.claim}, on images like these "
            f"({self.samples:,} images)."
        )

    @property
    def claim(self) -> str:
        """What is promised, without confidence and samples."""
        points = rounded_up(self.bound)
        if self.method == "disagreement":
            return f"at most {points:.1f} % of the answers differ from the network's final exit"
        against = "compared with sending every image through the whole network"
        if points > 0:
            return f"early exits cost at most {points:.1f} points of accuracy, {against}"
        if points < 0:
            return f"early exits gain at least {-points:.1f} points of accuracy, {against}"
        return f"early exits cost no accuracy, {against}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "method": self.method,
            "bounds": self.bounds,
            "bound": self.bound,
            "confidence": round(self.confidence, 12),
            "delta": self.delta,
            "comparisons": self.comparisons,
            "samples": self.samples,
            "observed": self.observed,
            "split": self.split,
        }


def loss_gaps(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> Gaps:
    """D = f - e of every sample, (n,) in {-1, 0, 1}; its mean is the accuracy that is lost.

    Args and errors as in `hybrid.policy.outcome`.
    """
    correct = trace.correct
    return _gaps(correct, _taken(trace, thresholds, measure))


def regrets(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> npt.NDArray[np.bool_]:
    """(n,): right at the final exit and wrong at the exit it takes; D clipped at 0."""
    return loss_gaps(trace, thresholds, measure) > 0


def disagreements(
    trace: Answered, thresholds: Sequence[float], measure: str = "max_probability"
) -> npt.NDArray[np.bool_]:
    """(n,): another class at the exit it takes than at the final exit. No label is read."""
    return _disagree(trace.classes, _taken(trace, thresholds, measure))


def certify(
    trace: Answered,
    thresholds: Sequence[float],
    *,
    delta: float,
    method: str = "betting",
    measure: str = "max_probability",
    comparisons: int = 1,
    seed: int = 0,
) -> Certificate:
    """The certificate of leaving early at these thresholds.

    Args:
        trace: of the split `certify`, or of one of the user's own that nothing was chosen on.
        thresholds: one per early exit, fixed before anyone looked at the trace's labels.
        delta: in (0, 1): the chance of a wrong bound that is accepted, over all comparisons.
        method: a name of METHODS; `disagreement` reads no labels.
        comparisons: how many bounds share delta, this one among them.
        seed: of the order in which the betting bound reads the samples.

    Raises:
        CertificateError: a split that was chosen on, no labels, or a delta outside.
        ThresholdError, UnknownNameError: as in `hybrid.policy.outcome`.
    """
    check_trace(trace, method)
    share = check_delta(delta) / check_comparisons(comparisons)
    values = _values(trace, _taken(trace, thresholds, measure), method)
    return Certificate(
        method=method,
        bounds=METHODS[method],
        bound=float(upper_bounds(values[None], method, share, seed)[0]),
        delta=delta,
        comparisons=comparisons,
        samples=len(values),
        observed=float(values.mean()),
        split=trace.split,
    )


def certify_exits(
    trace: Answered,
    thresholds: Sequence[float],
    *,
    delta: float,
    method: str = "betting",
    measure: str = "max_probability",
    comparisons: int = 1,
    seed: int = 0,
) -> tuple[Certificate | None, ...]:
    """A certificate of those that leave at each early exit; None where nobody does.

    It says what they lose against the final exit's answer, as a fraction of those that leave
    there. All hold at once: delta is shared by the early exits, and by the comparisons.

    Args and errors as in `certify`.
    """
    check_trace(trace, method)
    taken = _taken(trace, thresholds, measure)
    values, early = _values(trace, taken, method), len(thresholds)
    shared = comparisons * early
    share = check_delta(delta) / check_comparisons(shared) if early else delta
    found: list[Certificate | None] = []
    for number in range(early):
        here = values[taken == number]
        if not len(here):
            found.append(None)
            continue
        found.append(
            Certificate(
                method=method,
                bounds=f"{METHODS[method]}, of those that leave at exit {number}",
                bound=float(upper_bounds(here[None], method, share, seed)[0]),
                delta=delta,
                comparisons=shared,
                samples=len(here),
                observed=float(here.mean()),
                split=trace.split,
            )
        )
    return tuple(found)


def rounded_up(fraction: float) -> float:
    """A fraction in points, rounded up to a tenth.

    >>> rounded_up(0.0086), rounded_up(0.02), rounded_up(-0.0086)
    (0.9, 2.0, -0.8)
    """
    return math.ceil(1000 * fraction - 1e-9) / 10


def check_trace(trace: Answered, method: str) -> None:
    """Refuse what no certificate may come from.

    Raises:
        CertificateError: a split that was chosen on or only reports, or labels that are missing.
        UnknownNameError: a method that there is not.
    """
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    if trace.split in _CHOSEN_ON or trace.split.endswith(_OWN_TUNE):
        raise CertificateError(
            f"The {trace.split} split certifies nothing; give a trace of certify, or of a split "
            "of your own that nothing was chosen on."
        )
    if not len(trace.classes):
        raise CertificateError(NO_SAMPLES)
    if method != "disagreement" and (trace.labels < 0).any():
        raise CertificateError(
            "These images have no labels, so the accuracy lost cannot be bounded; ask for the "
            "method disagreement, which needs none."
        )


def check_comparisons(comparisons: int) -> int:
    """How many bounds share a delta, if it is at least one."""
    if comparisons < 1:
        raise CertificateError(f"{comparisons} comparisons cannot share a delta; give 1 or more.")
    return comparisons


def value_table(
    trace: Answered, points: Sequence[Sequence[float]], method: str, measure: str
) -> Gaps:
    """(k, n): what a method takes the mean of, at each of many thresholds."""
    return np.stack([_values(trace, _taken(trace, one, measure), method) for one in points])


def upper_bounds(table: Gaps, method: str, delta: float, seed: int) -> Floats:
    """(k,): the method's bound of each row of `value_table`, each at delta."""
    if method == "betting":
        return betting_bounds(table, delta=delta, seed=seed)
    failures = table.sum(axis=1, dtype=np.int64)
    bounds: Floats = clopper_pearson(failures, table.shape[1], delta=delta)
    return bounds


def _taken(trace: TraceLike, thresholds: Sequence[float], measure: str) -> npt.NDArray[np.int64]:
    """(n,): the exit each sample takes."""
    confidences = early_confidences(trace, measure)
    return exits_taken(confidences, check_thresholds(thresholds, confidences.shape[1]))


def _gaps(correct: npt.NDArray[np.bool_], taken: npt.NDArray[np.int64]) -> Gaps:
    early = correct[np.arange(len(taken)), taken].astype(np.int8)
    return correct[:, -1].astype(np.int8) - early


def _disagree(
    classes: npt.NDArray[np.int64], taken: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    differ: npt.NDArray[np.bool_] = classes[np.arange(len(taken)), taken] != classes[:, -1]
    return differ


def _values(trace: Answered, taken: npt.NDArray[np.int64], method: str) -> Gaps:
    """(n,): what a method takes the mean of."""
    if method == "disagreement":
        return _disagree(trace.classes, taken).astype(np.int8)
    gaps = _gaps(trace.correct, taken)
    return np.maximum(gaps, 0) if method == "regret" else gaps


def _percent(fraction: float) -> str:
    """As few digits as say it.

    >>> _percent(0.95), _percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{round(100 * fraction, 6):g} %"
