"""The interval of an accuracy in the browser is Python's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import policy
from hybrid.ui.explore import shares

JavaScript = Callable[[str, Any], Any]


def test_both_ends_are_those_of_python(javascript: JavaScript) -> None:
    rng = np.random.default_rng(5)
    samples = rng.integers(1, 20_000, 300).tolist()
    seen = [(int(rng.integers(0, n + 1)), n) for n in samples] + [(0, 7), (7, 7), (0, 1), (1, 1)]

    ends = javascript("(all) => all.map(([k, n]) => counting.wilson(k, n))", seen)

    assert ends == [[one.low, one.high] for one in (policy.wilson(k, n) for k, n in seen)]


def test_the_marks_of_the_classes_are_the_ends_of_their_intervals() -> None:
    counted = policy.PerClass(
        samples=np.array([40, 1000, 0]),
        exit_counts=np.array([[30, 10], [600, 400], [0, 0]]),
        correct_counts=np.array([[27, 9], [500, 400], [0, 0]]),
        final_exit_correct=np.array([38, 950, 0]),
    )

    marks = shares.per_class(counted, ["oak", "elm", "ash"]).data[-1]

    oak, elm = policy.wilson(36, 40), policy.wilson(900, 1000)
    assert list(marks.y) == ["oak", "elm", "ash"] * 2
    assert marks.x[[0, 1, 3, 4]].tolist() == [
        100 * p for p in (oak.low, elm.low, oak.high, elm.high)
    ]
    assert np.isnan(marks.x[[2, 5]]).all()
