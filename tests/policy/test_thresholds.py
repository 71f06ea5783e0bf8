"""The rule for leaving at an exit against a loop over samples; thresholds as users give them."""

import math

import numpy as np
import pytest
from hypothesis import given

from hybrid import policy
from hybrid.errors import ThresholdError
from tests.policy.loops import TraceAndThresholds, exit_of
from tests.strategies import (
    synthetic_trace,
    trace_of,
    traces_with_thresholds,
)


@given(traces_with_thresholds())
def test_exits_taken_equal_a_loop_over_samples(drawn: TraceAndThresholds):
    trace, limits = drawn
    confidences = trace.confidences["margin"][:, :-1]

    taken = policy.exits_taken(confidences, limits)

    assert taken.tolist() == [exit_of(row, limits) for row in confidences]


def test_a_sample_exactly_at_the_threshold_leaves():
    trace = trace_of(
        confidences=[[0.7, 0.0], [np.nextafter(np.float32(0.7), 0), 0]], correct=[[1, 1]] * 2
    )

    assert policy.outcome(trace, [0.7]).exit_counts == (1, 1)


def test_threshold_0_lets_every_sample_leave_at_the_first_exit():
    trace = synthetic_trace()

    assert policy.outcome(trace, [0, 0]).exit_counts == (200, 0, 0)


def test_threshold_1_lets_only_the_certain_leave():
    trace = trace_of(confidences=[[1.0, 0.2], [0.9999999, 0.2]], correct=[[0, 1], [0, 1]])

    assert policy.outcome(trace, [1]).exit_counts == (1, 1)
    assert policy.outcome(trace, [1]).accuracy == 0.5


def test_a_network_without_early_exit_answers_at_the_final_exit():
    trace = synthetic_trace(exits=1)

    result = policy.outcome(trace, [])

    assert result.exit_counts == (200,)
    assert result.edge_fraction == 0
    assert result.accuracy == result.final_exit_accuracy == trace.correct.mean()


def test_an_exit_that_was_not_computed_is_not_taken():
    assert policy.exits_taken([[np.nan, 0.9]], [0.0, 0.5]).tolist() == [1]


@pytest.mark.parametrize(
    "given_, exits, expected",
    [
        ("0.9,0.8", 2, (0.9, 0.8)),
        (" 0.9 , 1 ", 2, (0.9, 1.0)),
        (["0.5"], 1, (0.5,)),
        ([np.float64(0.25), 0], 2, (0.25, 0.0)),
        (np.array([0.5, 0.75]), 2, (0.5, 0.75)),
        ("", 0, ()),
        ((), 0, ()),
    ],
)
def test_thresholds_come_as_numbers_or_text(
    given_: object, exits: int, expected: tuple[float, ...]
):
    assert policy.check_thresholds(given_, exits) == expected


@pytest.mark.parametrize(
    "given_, exits, sentence",
    [
        ("0.9,high", 2, "Threshold 'high' is not a number; give one from 0 to 1"),
        ("0.9,", 2, "Threshold '' is not a number"),
        ([None], 1, "Threshold None is not a number"),
        ([True], 1, "Threshold True is not a number"),
        ([[0.5]], 1, r"Threshold \[0.5\] is not a number"),
        (["nan"], 1, "A threshold is NaN, which no confidence reaches"),
        ([1.5], 1, "Threshold 1.5 is outside 0 to 1"),
        (["-0.1"], 1, "Threshold '-0.1' is outside 0 to 1"),
        ([math.inf], 1, "Threshold inf is outside 0 to 1"),
        ([10**400], 1, "Threshold 10+ is outside 0 to 1"),
        ([0.5] * 3, 2, "Too many thresholds: 3 given, and this network has 2 early exits"),
        ([0.5], 2, "Too few thresholds: 1 given, and this network has 2 early exits"),
        ("", 1, "Too few thresholds: 0 given, and this network has 1 early exit; give"),
        ([0.5], 0, "This network has no early exit and takes no threshold; leave out the 1"),
        (0.5, 1, "0.5 is not a list of thresholds"),
        (None, 1, "None is not a list of thresholds"),
    ],
)
def test_thresholds_that_cannot_be_used_are_refused_in_one_sentence(
    given_: object, exits: int, sentence: str
):
    with pytest.raises(ThresholdError, match=sentence):
        policy.check_thresholds(given_, exits)
