"""Compares a user's split with the test split: confidences and answers; no widgets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid import policy
from hybrid.evaluation import disagreement
from hybrid.policy import shift
from hybrid.text import intervals, numbers
from hybrid.traces.trace import Trace
from hybrid.ui.charts import Box
from hybrid.ui.view import View

__all__ = ["Beside", "beside", "headlines", "verdict"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Beside:
    """A user's split and the test split at the same thresholds.

    | field          | shape              |                                              |
    |----------------|--------------------|----------------------------------------------|
    | confidences    | (2, exits, bins)   | histogram of each exit's confidence, own first |
    | means, gaps    | (2, exits), (exits,) | mean confidence; distance of the two       |
    | answers        | (2, classes)       | share of each answer                         |
    | labels         | (classes,)         | share of each label; None without labels     |
    | confusion      | (classes, classes) | label × answer; None without labels          |
    | per_class      |                    | the outcome by label; None without labels    |
    """

    own: policy.Outcome
    test: policy.Outcome
    confidences: NDArray[np.float64]
    means: NDArray[np.float64]
    gaps: tuple[float, ...]
    answers: tuple[NDArray[np.float64], NDArray[np.float64]]
    labels: NDArray[np.float64] | None
    confusion: NDArray[np.int64] | None
    per_class: policy.PerClass | None

    @property
    def variation(self) -> float:
        """Half the sum of the differences of the class shares: 0 if they are equal."""
        return shift.variation(*self.answers)


def beside(own: Trace, test: Trace, view: View, *, classes: int) -> Beside:
    """Both splits at the view's thresholds."""
    both = (own, test)
    outcomes = [policy.outcome(t, view.thresholds, view.measure) for t in both]
    said = [shift.answers(t, view.thresholds, view.measure) for t in both]
    sure = [t.confidences[view.measure] for t in both]
    exits = range(own.all_exits)
    return Beside(
        own=outcomes[0],
        test=outcomes[1],
        confidences=np.array([[shift.histogram(c[:, i]) for i in exits] for c in sure]),
        means=np.array([c.mean(axis=0, dtype=np.float64) for c in sure]),
        gaps=tuple(shift.gap(sure[0][:, i], sure[1][:, i]) for i in exits),
        answers=(shift.shares(said[0], classes), shift.shares(said[1], classes)),
        labels=shift.shares(own.labels, classes) if own.labelled else None,
        confusion=shift.confusion(own.labels, said[0], classes) if own.labelled else None,
        per_class=policy.per_class(own, view.thresholds, view.measure, classes=classes)
        if own.labelled
        else None,
    )


def verdict(compared: Beside, exit_names: Sequence[str]) -> str:
    """Sentences: on which images the first exit is more confident, and how many stop early."""
    own, test = compared.means[:, 0]
    if compared.own.edge_fraction == test == 0:  # a static network has nothing to leave at
        return ""
    edge = (
        f"{numbers.percent(compared.own.edge_fraction)} of your images are answered at the edge, "
        f"{numbers.percent(compared.test.edge_fraction)} of the test images."
    )
    return f"{_confidence(exit_names[0], own, test)}; {edge}"


def _confidence(exit_name: str, own: float, test: float) -> str:
    """Mean confidence of an exit on both splits, in words.

    >>> _confidence("Exit 1", 0.9, 0.8161)
    'Exit 1 is more confident on your images (0.900 on average) than on the test images (0.816)'
    >>> _confidence("Exit 1", 0.8162, 0.8161)
    'Exit 1 is as confident on your images as on the test images (0.816 on average)'
    """
    yours, others = numbers.fixed(own, 3), numbers.fixed(test, 3)
    if yours == others:
        return (
            f"{exit_name} is as confident on your images as on the test images ({yours} on average)"
        )
    return (
        f"{exit_name} is {'more' if own > test else 'less'} confident on your images "
        f"({yours} on average) than on the test images ({others})"
    )


def _interval(own: policy.Outcome) -> tuple[Box, ...]:
    """The interval of the accuracy, if it is of few images."""
    words = intervals.between(own.correct, own.samples) if own.labelled else ""
    return (Box("Accuracy is between", words, "95 % confidence", intervals.HELP),) if words else ()


def headlines(own: Trace, compared: Beside, view: View) -> tuple[Box, ...]:
    """The user's split in numbers, the test split's below each."""
    apart = disagreement(own, view.thresholds, view.measure)
    known = compared.own.labelled
    return (
        Box("Images", numbers.count(own.samples), "labelled" if known else "without labels"),
        Box(
            "At the edge",
            numbers.percent(compared.own.edge_fraction),
            f"test images {numbers.percent(compared.test.edge_fraction)}",
        ),
        Box(
            "Accuracy",
            numbers.percent(compared.own.accuracy, 2) if known else "unknown",
            f"test images {numbers.percent(compared.test.accuracy, 2)}",
        ),
        *_interval(compared.own),
        Box(
            "Early answer differs",
            numbers.percent(apart, 2),
            "from the final exit's",
        ),
    )
