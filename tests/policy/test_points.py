"""Operating points against a loop over samples and figures worked out by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid import policy
from hybrid.energy import ExitCosts
from tests.policy.loops import TraceAndThresholds, every_measure, exit_of, loop
from tests.strategies import (
    costs_of,
    synthetic_trace,
    trace_of,
    traces_with_thresholds,
)

COSTS = ExitCosts(
    energy_pj=(10.0, 20.0, 70.0), latency_ms=(1.0, 2.0, 30.0), uplink_bytes=(0.0, 0.0, 100.0)
)
# Two samples leave at exit 0, one at exit 1, one goes on; three of them are right.
FOUR = trace_of(
    confidences=[[0.9, 0.0, 0.0], [0.8, 0.9, 0.0], [0.1, 0.9, 0.0], [0.1, 0.1, 0.0]],
    correct=[[1, 1, 1], [0, 1, 1], [0, 1, 0], [0, 0, 1]],
)


@every_measure
@given(traces_with_thresholds())
def test_an_outcome_equals_a_loop_over_samples(measure: str, drawn: TraceAndThresholds):
    trace, limits = drawn

    result = policy.outcome(trace, limits, measure)

    counts, right = loop(trace, limits, measure)
    assert result.exit_counts == tuple(counts)
    assert result.correct_counts == tuple(right)
    assert result.final_exit_correct == sum(trace.classes[:, -1] == trace.labels)
    assert (result.samples, result.thresholds, result.measure) == (trace.samples, limits, measure)


@given(traces_with_thresholds())
def test_fractions_are_counts_over_samples(drawn: TraceAndThresholds):
    trace, limits = drawn

    result = policy.outcome(trace, limits)

    assert sum(result.exit_fractions) == pytest.approx(1)
    assert result.edge_fraction == pytest.approx(1 - result.exit_fractions[-1])
    assert result.accuracy == sum(result.correct_counts) / trace.samples
    assert result.final_exit_accuracy == trace.correct[:, -1].mean()


def test_a_hundred_thousand_samples_are_counted_as_a_few_are():
    few, times = synthetic_trace(samples=205), 500
    many = replace(
        few,
        labels=np.tile(few.labels, times),
        classes=np.tile(few.classes, (times, 1)),
        confidences={name: np.tile(sure, (times, 1)) for name, sure in few.confidences.items()},
    )

    counted, once = policy.outcome(many, [0.6, 0.6]), policy.outcome(few, [0.6, 0.6])

    assert counted.samples == times * once.samples
    assert counted.exit_counts == tuple(times * count for count in once.exit_counts)
    assert counted.correct_counts == tuple(times * count for count in once.correct_counts)


@given(traces_with_thresholds(), st.integers(4, 6))
def test_per_class_equals_a_loop_over_samples(drawn: TraceAndThresholds, classes: int):
    trace, limits = drawn

    made = policy.per_class(trace, limits, "entropy", classes=classes)

    assert len(made.samples) == classes
    for c in range(classes):
        members = [s for s in range(trace.samples) if trace.labels[s] == c]
        taken = [exit_of(trace.confidences["entropy"][s], limits) for s in members]
        assert made.samples[c] == len(members)
        for i in range(trace.all_exits):
            right = [trace.correct[s, i] for s, t in zip(members, taken, strict=True) if t == i]
            assert made.exit_counts[c, i] == len(right)
            assert made.correct_counts[c, i] == sum(right)
        assert made.final_exit_correct[c] == sum(trace.correct[s, -1] for s in members)


def test_per_class_fractions_are_those_of_the_class():
    trace = synthetic_trace(classes=3)

    made = policy.per_class(trace, [0.6, 0.7])

    for c in range(3):
        taken = policy.exits_taken(
            trace.confidences["max_probability"][trace.labels == c, :2], [0.6, 0.7]
        )
        assert made.exit_fractions[c].tolist() == [(taken == i).mean() for i in range(3)]
        assert (
            made.accuracy[c]
            == trace.correct[trace.labels == c][np.arange(len(taken)), taken].mean()
        )
        assert made.final_exit_accuracy[c] == trace.correct[trace.labels == c, -1].mean()


def test_a_class_without_samples_has_no_accuracy():
    made = policy.per_class(synthetic_trace(classes=2), [0.5, 0.5], classes=3)

    assert made.samples[2] == 0
    assert np.isnan(made.accuracy[2])
    assert np.isnan(made.final_exit_accuracy[2])
    assert np.isnan(made.exit_fractions[2]).all()


def four(**changed: float | None) -> policy.OperatingPoint:
    twin = {"twin_energy_pj": 110.0, "twin_accuracy": 0.875} | changed
    return policy.operating_point(FOUR, [0.5, 0.5], costs=COSTS, **twin)


def test_an_operating_point_by_hand():
    point = four()

    assert point.outcome.exit_counts == (2, 1, 1)
    assert point.outcome.correct_counts == (1, 1, 1)
    assert point.outcome.accuracy == 3 / 4
    assert point.energy_pj == (2 * 10 + 20 + 70) / 4
    assert point.latency_ms == (2 * 1 + 2 + 30) / 4
    assert point.uplink_bytes == 100 / 4
    assert point.energy_reduction == 110 / 27.5
    assert point.accuracy_difference == 0.75 - 0.875


def test_an_operating_point_becomes_json():
    written = json.loads(json.dumps(four().as_row(), allow_nan=False))

    assert written == {
        "samples": 4,
        "thresholds": [0.5, 0.5],
        "measure": "max_probability",
        "exit_counts": [2, 1, 1],
        "exit_fractions": [0.5, 0.25, 0.25],
        "edge_fraction": 0.75,
        "accuracy": 0.75,
        "final_exit_accuracy": 0.75,
        "twin_accuracy": 0.875,
        "energy_pj": 27.5,
        "twin_energy_pj": 110.0,
        "energy_reduction": 4.0,
        "latency_ms": 8.5,
        "uplink_bytes": 25.0,
    }


def test_without_a_twins_trace_there_is_no_difference_to_it():
    point = four(twin_accuracy=None)

    assert point.accuracy_difference is None
    assert point.as_row()["twin_accuracy"] is None


def test_a_point_that_costs_nothing_reduces_without_bound_and_is_still_json():
    free = ExitCosts(energy_pj=(0.0, 0.0, 0.0), latency_ms=(0.0,) * 3, uplink_bytes=(0.0,) * 3)

    point = policy.operating_point(
        FOUR, [0.5, 0.5], costs=free, twin_energy_pj=1.0, twin_accuracy=None
    )

    assert point.energy_reduction == math.inf
    assert point.as_row()["energy_reduction"] is None


def test_costs_of_another_network_are_refused():
    with pytest.raises(ValueError, match="2 costs were given for 3 exits"):
        policy.operating_point(
            FOUR, [0.5, 0.5], costs=costs_of(2), twin_energy_pj=1.0, twin_accuracy=None
        )
