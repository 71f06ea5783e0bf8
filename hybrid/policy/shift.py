"""How the images of two splits differ, as a network sees them: traces to numbers.

No pixels are compared, only the confidences and answers of the exits.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.data.labels import UNLABELLED
from hybrid.traces.trace import Trace

__all__ = ["answers", "confusion", "gap", "histogram", "shares", "variation"]

BINS = 20

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def answers(trace: Trace, thresholds: Sequence[float], measure: str = "max_probability") -> Counts:
    """The answer to each sample (n,), at the exit it takes."""
    checked = policy.check_thresholds(thresholds, trace.all_exits - 1)
    taken = policy.exits_taken(trace.confidences[measure][:, :-1], checked)
    said: Counts = trace.classes[np.arange(trace.samples), taken]
    return said


def confusion(labels: npt.ArrayLike, said: npt.ArrayLike, classes: int) -> Counts:
    """How often a sample of class r is answered with class c: (classes, classes), row by label.

    Args:
        labels, said: (n,), 0 to classes - 1; samples without a label are left out.
    """
    truth, answered = np.asarray(labels), np.asarray(said)
    known = truth != UNLABELLED
    cells = truth[known] * classes + answered[known]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def histogram(confidences: npt.ArrayLike) -> Floats:
    """The share of the samples in each of `BINS` bins of equal width from 0 to 1.

    Args:
        confidences: (n,) in [0, 1]; a bin holds its lower end, the last its upper end too.
    """
    values = np.asarray(confidences, np.float64)
    counts, _ = np.histogram(values, bins=BINS, range=(0, 1))
    return np.asarray(counts / len(values))


def shares(classes_of: npt.ArrayLike, classes: int) -> Floats:
    """The share of each class (classes,) among labels or answers (n,)."""
    values = np.asarray(classes_of)
    return np.asarray(np.bincount(values, minlength=classes) / len(values))


def variation(one: Floats, other: Floats) -> float:
    """The total variation distance of two lists of shares, 0 to 1: half the sum of differences.

    >>> variation(np.array([0.5, 0.5]), np.array([0.8, 0.2]))
    0.3
    """
    return round(float(np.abs(one - other).sum()) / 2, 12)


def gap(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """The largest distance of two samples' cumulative distributions, 0 (alike) to 1 (apart).

    The two-sample Kolmogorov-Smirnov statistic.

    Args:
        one, other: (n,) and (m,) values.
    """
    first, second = np.sort(np.asarray(one)), np.sort(np.asarray(other))
    every = np.concatenate([first, second])
    below = [np.searchsorted(part, every, side="right") / len(part) for part in (first, second)]
    return float(np.abs(below[0] - below[1]).max())
