"""Differences of splits against loops and SciPy."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid import zoo
from hybrid.data.labels import UNLABELLED
from hybrid.policy import shift

values = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60)


def test_an_answer_is_that_of_the_first_exit_that_is_sure() -> None:
    trace = zoo.trace("digits-vgg", "hybrid-2bit")
    sure = trace.confidences["margin"]

    said = shift.answers(trace, (0.9, 0.7), "margin")

    assert len(said) == trace.samples > 0
    for n in range(trace.samples):
        exit_ = 0 if sure[n, 0] >= np.float32(0.9) else 1 if sure[n, 1] >= np.float32(0.7) else 2
        assert said[n] == trace.classes[n, exit_]


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), max_size=40))
def test_the_confusion_counts_each_pair_that_has_a_label(pairs: list[tuple[int, int]]) -> None:
    labels, said = np.array(pairs, np.int64).reshape(-1, 2).T

    counted = shift.confusion(labels, said, 4)

    assert UNLABELLED == -1
    for row in range(4):
        for column in range(4):
            assert counted[row, column] == pairs.count((row, column))


@given(values, values)
def test_the_gap_is_the_kolmogorov_smirnov_statistic(one: list[float], other: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its p-value, which is not read
        expected = stats.ks_2samp(one, other).statistic

    assert shift.gap(one, other) == pytest.approx(expected)


@given(values)
def test_a_histogram_holds_every_sample_once(some: list[float]) -> None:
    found = shift.histogram(np.array(some, np.float32))

    edges = np.linspace(0, 1, shift.BINS + 1)
    assert found.sum() == pytest.approx(1)
    for b in range(shift.BINS):
        last = b == shift.BINS - 1
        inside = [x for x in some if edges[b] <= x < edges[b + 1] or (last and x == 1)]
        assert found[b] == pytest.approx(len(inside) / len(some))


def test_shares_and_how_much_of_them_would_have_to_move() -> None:
    one, other = shift.shares([0, 0, 1, 2], 4), shift.shares([1, 1, 1, 2], 4)

    np.testing.assert_array_equal(one, [0.5, 0.25, 0.25, 0])
    assert shift.variation(one, other) == 0.5  # the two zeros become ones
