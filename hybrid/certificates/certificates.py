"""One bound at thresholds that were fixed beforehand, as a certificate in words and numbers."""

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
from hybrid.certificates.exact import exact_bound
from hybrid.errors import CertificateError, UnknownNameError
from hybrid.policy import TraceLike, check_thresholds, exits_taken
from hybrid.policy.points import early_confidences

__all__ = [
    "CLAIMS",
    "METHODS",
    "Answered",
    "Certificate",
    "Gaps",
    "certify",
    "certify_exits",
    "check_comparisons",
    "check_trace",
    "disagreements",
    "kind_of_claim",
    "loss_gaps",
    "regrets",
    "rounded_up",
    "tenths_up",
    "upper_bounds",
    "value_table",
    "without_cloud",
]

Gaps = npt.NDArray[np.int8]

METHODS = {
    "betting": "accuracy lost to early exits",
    "exact": "accuracy lost to early exits",
    "regret": "images that the final exit answers correctly and the exit taken incorrectly",
    "disagreement": "images that the exit taken and the final exit answer differently",
}
_AGAINST = "compared with sending every image through the whole network"
CLAIMS = {  # by `kind_of_claim`
    "cost": f"early exits cost at most {{points}} points of accuracy, {_AGAINST}",
    "gain": f"early exits gain at least {{points}} points of accuracy, {_AGAINST}",
    "none": f"early exits cost no accuracy, {_AGAINST}",
    "differ": "at most {points} % of the answers differ from the network's final exit",
}
_CHOSEN_ON = ("train", "tune", "test")
_OWN_TUNE = "-tune"  # suffix of the half of a user's own images that is for choosing


class Answered(TraceLike, Protocol):
    """The parts of a trace that a certificate reads."""

    @property
    def split(self) -> str:
        """The split of the samples."""

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """(n, exits): each exit's answer, the final exit last."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """With probability 1 - delta, the bounded quantity is at most `bound` on images like these.

    Args:
        method: a name of METHODS.
        bounds: the bounded quantity, in words.
        bound: fraction of the images, at most 1; negative if early exits gain accuracy.
        delta: chance that any of the `comparisons`, this bound included, does not hold.
        comparisons: how many bounds share delta.
        samples: labelled images that it was computed from.
        observed: the same fraction on these images.
        split: that the images are of.
        cloud: False if it is about a cloud that is down: see `without_cloud`.
    """

    method: str
    bounds: str
    bound: float
    delta: float
    comparisons: int
    samples: int
    observed: float
    split: str
    cloud: bool = True

    @property
    def confidence(self) -> float:
        """1 - delta."""
        return 1 - self.delta

    @property
    def sentence(self) -> str:
        """The certificate in words. The bound is rounded up, so that the number shown holds."""
        return (
            f"With {_percent(self.confidence)} confidence, {self.claim}, on images like these "
            f"({self.samples:,} images)."
        )

    @property
    def claim(self) -> str:
        """The certificate without confidence and samples."""
        tenths = tenths_up(self.bound)
        claim = CLAIMS[kind_of_claim(self.method, tenths)].format(points=f"{abs(tenths) / 10:.1f}")
        return claim if self.cloud else f"with the cloud down, {claim}"

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
        } | ({} if self.cloud else {"cloud": False})


def without_cloud(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> npt.NDArray[np.int64]:
    """(n,): the exit that answers each sample while the cloud is down.

    A sample that would go to the cloud is answered by its most confident early exit.
    """
    confidences = early_confidences(trace, measure)
    taken = exits_taken(confidences, check_thresholds(thresholds, confidences.shape[1]))
    return np.where(taken < confidences.shape[1], taken, confidences.argmax(axis=1))


def loss_gaps(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> Gaps:
    """D = f - e of every sample, (n,) in {-1, 0, 1}; its mean is the accuracy lost.

    Args and errors as in `hybrid.policy.outcome`.
    """
    correct = trace.correct
    return _gaps(correct, _taken(trace, thresholds, measure))


def regrets(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> npt.NDArray[np.bool_]:
    """(n,): correct at the final exit and incorrect at the exit taken; D clipped at 0."""
    return loss_gaps(trace, thresholds, measure) > 0


def disagreements(
    trace: Answered, thresholds: Sequence[float], measure: str = "max_probability"
) -> npt.NDArray[np.bool_]:
    """(n,): whether the exit taken and the final exit differ. No label is read."""
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
    cloud: bool = True,
) -> Certificate:
    """The certificate of the early exits at these thresholds.

    Args:
        trace: of the split `certify`, or of the user's own images that were not used for choosing.
        thresholds: one per early exit, fixed before anyone looked at the trace's labels.
        delta: in (0, 1): the accepted chance of a wrong bound, over all comparisons.
        method: a name of METHODS; `disagreement` reads no labels.
        comparisons: how many bounds share delta, this one among them.
        seed: of the order in which the betting bound reads the samples.
        cloud: False bounds the loss while the cloud is down, see `without_cloud`.

    Raises:
        CertificateError: a split used for choosing, no labels, or a delta outside 0 to 1.
        ThresholdError, UnknownNameError: as in `hybrid.policy.outcome`.
    """
    check_trace(trace, method)
    share = check_delta(delta) / check_comparisons(comparisons)
    answers = _taken if cloud else without_cloud
    values = _values(trace, answers(trace, thresholds, measure), method)
    return Certificate(
        method=method,
        bounds=METHODS[method],
        bound=float(upper_bounds(values[None], method, share, seed)[0]),
        delta=delta,
        comparisons=comparisons,
        samples=len(values),
        observed=float(values.mean()),
        split=trace.split,
        cloud=cloud,
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
    """A certificate for the images that leave at each early exit; None if none does.

    It bounds the accuracy that they lose compared with the final exit, as a fraction of the images
    that leave there. All hold together: early exits and comparisons share delta.

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
        found.append(
            None
            if not len(here)
            else Certificate(
                method=method,
                bounds=f"{METHODS[method]}, of the images that leave at exit {number}",
                bound=float(upper_bounds(here[None], method, share, seed)[0]),
                delta=delta,
                comparisons=shared,
                samples=len(here),
                observed=float(here.mean()),
                split=trace.split,
            )
        )
    return tuple(found)


def tenths_up(fraction: float) -> int:
    """A fraction in tenths of a point, rounded up.

    >>> tenths_up(0.0086), tenths_up(0.02), tenths_up(-0.0086)
    (9, 20, -8)
    """
    return math.ceil(1000 * fraction - 1e-9)


def rounded_up(fraction: float) -> float:
    """A fraction in points, rounded up to a tenth.

    >>> rounded_up(0.0086), rounded_up(0.02), rounded_up(-0.0086)
    (0.9, 2.0, -0.8)
    """
    return tenths_up(fraction) / 10


def kind_of_claim(method: str, tenths: int) -> str:
    """The key in CLAIMS for a bound in tenths of a point."""
    if method == "disagreement":
        return "differ"
    return "cost" if tenths > 0 else "gain" if tenths < 0 else "none"


def check_trace(trace: Answered, method: str) -> None:
    """Refuse a trace that must not certify.

    Raises:
        CertificateError: a split used for choosing or reporting, or missing labels.
        UnknownNameError: an unknown method.
    """
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    if trace.split in _CHOSEN_ON or trace.split.endswith(_OWN_TUNE):
        raise CertificateError(
            f"The {trace.split} split certifies nothing; give a trace of certify, or of your own "
            "images that were not used for choosing."
        )
    if not len(trace.classes):
        raise CertificateError(NO_SAMPLES)
    if method != "disagreement" and (trace.labels < 0).any():
        raise CertificateError(
            "These images have no labels, so the accuracy lost cannot be bounded; use the method "
            "disagreement, which needs none."
        )


def check_comparisons(comparisons: int) -> int:
    """The number of bounds that share a delta, checked."""
    if comparisons < 1:
        raise CertificateError(f"{comparisons} comparisons cannot share a delta; give 1 or more.")
    return comparisons


def value_table(
    trace: Answered, points: Sequence[Sequence[float]], method: str, measure: str
) -> Gaps:
    """(k, n): the values whose mean a method bounds, at each of many thresholds."""
    return np.stack([_values(trace, _taken(trace, one, measure), method) for one in points])


def upper_bounds(table: Gaps, method: str, delta: float, seed: int) -> Floats:
    """(k,): the method's bound of each row of `value_table`, each at delta."""
    if method == "betting":
        return betting_bounds(table, delta=delta, seed=seed)
    lost, gained = ((table == value).sum(axis=1, dtype=np.int64) for value in (1, -1))
    if method == "exact":
        both = zip(lost.tolist(), gained.tolist(), strict=True)
        return np.array([exact_bound(*one, table.shape[1], delta=delta) for one in both])
    bounds: Floats = clopper_pearson(lost, table.shape[1], delta=delta)
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
    """(n,): the values whose mean a method bounds."""
    if method == "disagreement":
        return _disagree(trace.classes, taken).astype(np.int8)
    gaps = _gaps(trace.correct, taken)
    return np.maximum(gaps, 0) if method == "regret" else gaps


def _percent(fraction: float) -> str:
    """A percentage without needless digits.

    >>> _percent(0.95), _percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{round(100 * fraction, 6):g} %"
