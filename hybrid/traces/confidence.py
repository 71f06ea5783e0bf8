"""Confidences in [0, 1] from logits, temperature scaling, and calibration.

The exit rule, used everywhere: a sample leaves at the first exit whose confidence, as float32, is
>= its threshold, as float32. `to_codes` turns confidences into whole numbers that give the same
decision for every threshold T / 10,000, so that the browser can count with whole numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CODES",
    "MEASURES",
    "Reliability",
    "auroc",
    "entropy",
    "fit_temperature",
    "margin",
    "max_probability",
    "reliability",
    "softmax",
    "to_codes",
]

Floats = npt.NDArray[np.float64]

CODES = 10_000  # steps of the threshold grid: thresholds T / CODES for T = 0 … CODES
_GRID = (np.arange(CODES + 1) / CODES).astype(np.float32)
_TEMPERATURES = (0.05, 20.0)  # range of fit_temperature


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities exp(z / T) / sum exp(z / T), in float64.

    Args:
        logits: (n, classes).
        temperature: T > 0; above 1 makes the probabilities more even.

    Returns:
        (n, classes), each row with sum 1.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    weights: Floats = np.exp(scaled)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def max_probability(probabilities: Floats) -> Floats:
    """Probability of the most likely class.

    Args:
        probabilities: (n, classes), rows with sum 1.

    Returns:
        (n,) in [0, 1].
    """
    return _unit(probabilities.max(axis=1))


def margin(probabilities: Floats) -> Floats:
    """Probability of the most likely class minus that of the second; with one class, 1.

    Args:
        probabilities: (n, classes), rows with sum 1.

    Returns:
        (n,) in [0, 1].
    """
    if probabilities.shape[1] == 1:
        return _unit(probabilities[:, 0])
    top = np.partition(probabilities, -2, axis=1)[:, -2:]  # (n, 2)
    return _unit(top[:, 1] - top[:, 0])


def entropy(probabilities: Floats) -> Floats:
    """1 - H(p) / ln C, where H is the entropy in nats and C the number of classes.

    1 for a certain answer, 0 for an even one; with one class, 1. The rule H < T of Long et al.,
    "Conditionally Deep Hybrid Neural Networks Across Edge and Cloud", is confidence > 1 - T / ln C.

    Args:
        probabilities: (n, classes), rows with sum 1.

    Returns:
        (n,) in [0, 1].
    """
    classes = probabilities.shape[1]
    if classes == 1:
        return np.ones(len(probabilities))
    # log of 0 is never taken: where p is 0, p ln p is 0 by its limit
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return _unit(1 + (probabilities * logs).sum(axis=1) / np.log(classes))


MEASURES: dict[str, Callable[[Floats], Floats]] = {
    f.__name__: f for f in (max_probability, margin, entropy)
}


def to_codes(confidence: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Whole numbers that compare with any threshold on the grid as the confidences do.

    The code is the largest T with float32(T / 10,000) <= confidence, so `code >= T` is true
    exactly when `confidence >= float32(T / 10,000)` is.

    Args:
        confidence: any shape, float32 in [0, 1].

    Returns:
        The same shape, 0 to 10,000.

    >>> to_codes(np.array([0.0, 0.00009, 0.5, 1.0], np.float32))
    array([    0,     0,  5000, 10000], dtype=uint16)
    """
    steps = np.searchsorted(_GRID, np.asarray(confidence, np.float32), side="right") - 1
    return steps.astype(np.uint16)


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The temperature that makes the labels most likely: the lowest negative log-likelihood.

    The loss is convex in b = 1 / T, so its slope, the mean of E_p[z] - z_label under p =
    softmax(b z), rises with b and is bisected. Source: Guo et al., "On Calibration of Modern
    Neural Networks", ICML 2017, section 4.2.

    Args:
        logits: (n, classes).
        labels: (n,), 0 to classes - 1.

    Returns:
        T from 0.05 to 20 (an end of the range if the loss still falls there); 1 if no
        temperature changes anything.
    """
    scores = np.asarray(logits, np.float64)
    target = scores[np.arange(len(scores)), np.asarray(labels)]

    def slope(temperature: float) -> float:
        expected = (softmax(scores, temperature) * scores).sum(axis=1)
        return float(np.mean(expected - target))

    low, high = _TEMPERATURES
    if slope(low) == slope(high):
        return 1.0
    if slope(low) <= 0:
        return low
    if slope(high) >= 0:
        return high
    while high / low > 1 + 1e-9:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float(np.sqrt(low * high))


def auroc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """How often a correct answer has more confidence than an incorrect one; ties count half.

    This is the area under the ROC curve of failure prediction (the Mann-Whitney statistic).

    Args:
        confidence: (n,).
        correct: (n,) bool.

    Returns:
        0 to 1; NaN if all answers are correct or all are incorrect.
    """
    hits = np.asarray(correct, bool)
    values, rank = np.unique(np.asarray(confidence), return_inverse=True)
    right = np.bincount(rank[hits], minlength=len(values))
    wrong = np.bincount(rank[~hits], minlength=len(values))
    pairs = int(right.sum()) * int(wrong.sum())
    if not pairs:
        return float("nan")
    surer = np.cumsum(wrong) - wrong  # incorrect answers strictly below each value
    return float(right @ (2 * surer + wrong)) / (2 * pairs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reliability:
    """Confidence against accuracy, by bins of equal width.

    | field           | shape       |                                                             |
    |-----------------|-------------|-------------------------------------------------------------|
    | edges           | (bins + 1,) | bin b holds edges[b] < c <= edges[b + 1]; bin 0 holds 0 too |
    | counts          | (bins,)     | samples in the bin                                          |
    | mean_confidence | (bins,)     | NaN in an empty bin                                         |
    | accuracy        | (bins,)     | NaN in an empty bin                                         |

    `expected_calibration_error` is the mean of |accuracy - mean confidence|, weighted by counts.
    """

    edges: Floats
    counts: npt.NDArray[np.int64]
    mean_confidence: Floats
    accuracy: Floats
    expected_calibration_error: float


def reliability(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15
) -> Reliability:
    """Sort samples into bins by confidence and compute each bin's accuracy.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Args:
        confidence: (n,) in [0, 1], n > 0.
        correct: (n,) bool.
        bins: number of bins, of equal width.
    """
    sure, hits = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], sure, side="left")  # (n,), 0 to bins - 1
    counts = np.bincount(place, minlength=bins)
    filled = np.where(counts, counts, np.nan)
    mean_confidence = np.bincount(place, sure, minlength=bins) / filled
    accuracy = np.bincount(place[hits], minlength=bins) / filled
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))  # an empty bin weighs nothing
    return Reliability(
        edges=edges,
        counts=counts,
        mean_confidence=mean_confidence,
        accuracy=accuracy,
        expected_calibration_error=float(gaps @ counts) / len(sure),
    )


def _unit(values: Floats) -> Floats:
    # rounding in the last place can leave [0, 1] by an ulp
    clipped: Floats = np.clip(values, 0, 1)
    return clipped
