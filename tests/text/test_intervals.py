"""The interval of an accuracy of few images, in words."""

from dataclasses import replace

import pytest

from hybrid import policy
from hybrid.text import intervals, point
from tests.text.test_point import POINT


def counted(*, samples: int, correct: int) -> policy.OperatingPoint:
    """A point at which every image takes the first exit."""
    outcome = replace(
        POINT.outcome, samples=samples, exit_counts=(samples, 0), correct_counts=(correct, 0)
    )
    return replace(POINT, outcome=outcome)


# Solved by hand from (correct / 60 - p)² = 1.96² p (1 - p) / 60.
@pytest.mark.parametrize(
    "correct, low, high", [(0, "0.0", "6.0"), (31, "39.3", "63.8"), (60, "94.0", "100.0")]
)
def test_the_accuracy_of_few_images_has_an_interval(correct: int, low: str, high: str) -> None:
    few = counted(samples=60, correct=correct)

    assert intervals.between(correct, 60) == f"{low} % to {high} %"
    assert point.interval(few, labelled=True) == (
        "60 images are few: with 95 % confidence, the accuracy on images like these is between "
        f"{low} % and {high} %."
    )


def test_many_images_and_those_without_labels_have_none() -> None:
    assert intervals.between(9000, 10_000) == ""
    assert point.interval(counted(samples=10_000, correct=9000), labelled=True) == ""
    assert point.interval(counted(samples=60, correct=50), labelled=False) == ""
