"""Operating points, sweeps and all combinations against a loop over samples, to the last one."""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid import policy
from hybrid.energy import ExitCosts
from hybrid.errors import ThresholdError, TraceError, UnknownNameError
from hybrid.traces.confidence import CODES, MEASURES
from hybrid.traces.trace import Trace
from tests.strategies import (
    costs_of,
    grid_thresholds,
    random_traces,
    synthetic_trace,
    thresholds,
    trace_of,
    traces_with_thresholds,
)

TraceAndThresholds = tuple[Trace, tuple[float, ...]]

every_measure = pytest.mark.parametrize("measure", MEASURES)
grids = st.lists(thresholds, min_size=1, max_size=6).map(np.array)


def exit_of(confidences: Sequence[np.float32], limits: Sequence[float]) -> int:
    """The leaving rule, for one sample, as it is written down."""
    for i, limit in enumerate(limits):
        if confidences[i] >= np.float32(limit):
            return i
    return len(limits)


def loop(trace: Trace, limits: Sequence[float], measure: str) -> tuple[list[int], list[int]]:
    """Samples that take each exit, and how many of them are right there, one by one."""
    counts, right = [0] * trace.all_exits, [0] * trace.all_exits
    for s in range(trace.samples):
        taken = exit_of(trace.confidences[measure][s], limits)
        counts[taken] += 1
        right[taken] += int(trace.classes[s, taken] == trace.labels[s])
    return counts, right


def with_threshold(limits: tuple[float, ...], place: int | None, value: float) -> list[float]:
    """These thresholds with one, or with `None` all of them, replaced."""
    return [value if place in {i, None} else limit for i, limit in enumerate(limits)]


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
def test_exits_taken_equal_a_loop_over_samples(drawn: TraceAndThresholds):
    trace, limits = drawn
    confidences = trace.confidences["margin"][:, :-1]

    taken = policy.exits_taken(confidences, limits)

    assert taken.tolist() == [exit_of(row, limits) for row in confidences]


@given(traces_with_thresholds())
def test_fractions_are_counts_over_samples(drawn: TraceAndThresholds):
    trace, limits = drawn

    result = policy.outcome(trace, limits)

    assert sum(result.exit_fractions) == pytest.approx(1)
    assert result.edge_fraction == pytest.approx(1 - result.exit_fractions[-1])
    assert result.accuracy == sum(result.correct_counts) / trace.samples
    assert result.final_exit_accuracy == trace.correct[:, -1].mean()


@every_measure
@given(data=st.data(), drawn=traces_with_thresholds(), grid=grids)
def test_a_sweep_equals_the_outcome_at_each_threshold(
    data: st.DataObject, drawn: TraceAndThresholds, grid: np.ndarray, measure: str
):
    trace, limits = drawn
    moving = data.draw(st.sampled_from([None, *range(trace.all_exits - 1)]))

    swept = policy.sweep(
        trace,
        measure=measure,
        exit=moving,
        others=limits,
        grid=grid,
    )

    assert swept.grid.tolist() == sorted(grid.tolist())
    for g, value in enumerate(swept.grid):
        counts, right = loop(trace, with_threshold(limits, moving, value), measure)
        assert swept.exit_counts[g].tolist() == counts
        assert swept.correct_counts[g].tolist() == right


@given(drawn=traces_with_thresholds())
def test_a_sweep_prices_each_threshold_as_an_operating_point_does(drawn: TraceAndThresholds):
    trace, limits = drawn
    costs = costs_of(trace.all_exits)

    swept = policy.sweep(trace, grid=[0.0, 0.25, 0.5, 0.9999, 1.0])

    assert len(swept.grid) == 5
    for g, value in enumerate(swept.grid):
        point = policy.operating_point(
            trace, [value] * len(limits), costs=costs, twin_energy_pj=1.0, twin_accuracy=None
        )
        assert swept.edge_fraction[g] == point.outcome.edge_fraction
        assert swept.accuracy[g] == point.outcome.accuracy
        assert swept.mean(costs.energy_pj)[g] == point.energy_pj
        assert swept.mean(costs.latency_ms)[g] == point.latency_ms
        assert swept.mean(costs.uplink_bytes)[g] == point.uplink_bytes


def test_a_sweep_without_a_grid_takes_1001_thresholds():
    swept = policy.sweep(synthetic_trace())

    assert swept.grid.tolist() == [step / 1000 for step in range(1001)]


@given(trace=random_traces(), grid=grids)
def test_all_points_equal_the_outcome_of_each_combination(trace: Trace, grid: np.ndarray):
    points = policy.all_points(trace, "entropy", grid)

    combinations = list(itertools.product(sorted(grid.tolist()), repeat=trace.all_exits - 1))
    assert [tuple(row) for row in points.thresholds.tolist()] == combinations
    for m, limits in enumerate(combinations[:40]):
        counts, right = loop(trace, limits, "entropy")
        assert points.exit_counts[m].tolist() == counts
        assert points.correct_counts[m].tolist() == right


def test_every_exit_can_have_a_grid_of_its_own():
    trace, costs = synthetic_trace(), costs_of(3)

    points = policy.all_points(trace, grid=[np.array([0.3, 0.6, 0.9]), np.array([0.5])])

    assert points.thresholds.tolist() == [[0.3, 0.5], [0.6, 0.5], [0.9, 0.5]]
    for limits, counts, energy in zip(
        points.thresholds, points.exit_counts, points.mean(costs.energy_pj), strict=True
    ):
        point = policy.operating_point(
            trace, limits, costs=costs, twin_energy_pj=1.0, twin_accuracy=None
        )
        assert tuple(counts) == point.outcome.exit_counts
        assert energy == point.energy_pj


@pytest.mark.parametrize("exits", [1, 2, 3, 4])
def test_all_points_of_the_default_grid_are_outcomes(exits: int):
    trace = synthetic_trace(exits=exits, samples=60)

    points = policy.all_points(trace, "margin")

    assert len(points.accuracy) <= 4_000_000
    for m in np.linspace(0, len(points.accuracy) - 1, 15).astype(int):
        result = policy.outcome(trace, points.thresholds[m], "margin")
        assert tuple(points.exit_counts[m]) == result.exit_counts
        assert tuple(points.correct_counts[m]) == result.correct_counts
        assert points.accuracy[m] == result.accuracy
        assert points.edge_fraction[m] == result.edge_fraction


few_numbers = st.integers(0, 4).map(float)


@given(st.lists(st.tuples(few_numbers, few_numbers), min_size=1, max_size=15))
def test_the_frontier_is_what_no_other_point_beats(rows: list[tuple[float, float]]):
    energy, accuracy = zip(*rows, strict=True)

    best = [rows[i] for i in policy.frontier(energy, accuracy)]

    def beaten(row: tuple[float, float]) -> bool:
        return any(e <= row[0] and a >= row[1] and (e, a) != row for e, a in rows)

    assert best == sorted({row for row in rows if not beaten(row)})


def test_of_equal_points_the_first_stands_for_all():
    assert policy.frontier([2.0, 1.0, 1.0], [0.9, 0.5, 0.5]).tolist() == [1, 0]


def test_no_point_has_an_empty_frontier():
    assert policy.frontier([], []).tolist() == []


@given(random_traces(max_exits=2), st.integers(3, 9))
def test_a_threshold_grid_lies_on_the_sliders_steps(trace: Trace, size: int):
    grid = policy.threshold_grid(trace.confidences["margin"][:, 0], size)

    assert (grid[0], grid[-1]) == (0.0, 1.0)
    assert len(grid) <= size
    assert all(value == round(value * CODES) / CODES for value in grid.tolist())
    assert (np.diff(grid) > 0).all()


def test_a_threshold_grid_is_dense_where_confidences_crowd():
    sure = 1 - np.geomspace(1e-3, 1, 10_000).astype(np.float32)

    grid = policy.threshold_grid(sure, 103)

    leaving = [(sure >= np.float32(value)).mean() for value in grid]
    assert max(np.abs(np.diff(leaving))) < 0.06  # an even grid of this size: 0.33 in its last step


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


COSTS = ExitCosts(
    energy_pj=(10.0, 20.0, 70.0), latency_ms=(1.0, 2.0, 30.0), uplink_bytes=(0.0, 0.0, 100.0)
)
# Two samples leave at exit 0, one at exit 1, one goes on; three of them are right.
FOUR = trace_of(
    confidences=[[0.9, 0.0, 0.0], [0.8, 0.9, 0.0], [0.1, 0.9, 0.0], [0.1, 0.1, 0.0]],
    correct=[[1, 1, 1], [0, 1, 1], [0, 1, 0], [0, 0, 1]],
)


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


def follow(payload: dict, steps: Sequence[int]) -> tuple[list[int], list[int]]:
    """What the browser does with a payload: the loop of its documentation, on bytes alone."""
    samples, exits = payload["samples"], payload["exits"]
    codes = np.frombuffer(payload["codes"].tobytes(), "<u2")
    correct = payload["correct"].tobytes()
    stride = (samples + 7) // 8
    counts, right = [0] * exits, [0] * exits
    for s in range(samples):
        i = 0
        while i < exits - 1 and codes[i * samples + s] < steps[i]:
            i += 1
        counts[i] += 1
        right[i] += (correct[i * stride + (s >> 3)] >> (s & 7)) & 1
    return counts, right


@every_measure
@given(data=st.data(), trace=random_traces(max_samples=20))
def test_a_browser_counts_the_same_at_every_step_of_the_slider(
    data: st.DataObject, trace: Trace, measure: str
):
    early = trace.all_exits - 1
    limits = data.draw(st.lists(grid_thresholds, min_size=early, max_size=early))

    counts, right = follow(
        policy.payload(trace, measure), [round(limit * CODES) for limit in limits]
    )

    result = policy.outcome(trace, limits, measure)
    assert tuple(counts) == result.exit_counts
    assert tuple(right) == result.correct_counts


def test_the_payload_is_small():
    payload = policy.payload(synthetic_trace(samples=1001), "margin")

    assert payload["codes"].nbytes == 2 * 2 * 1001  # early exits × bytes of a uint16 × samples
    assert payload["correct"].nbytes == 3 * 126  # exits × bytes for 1,001 bits
    assert payload["grid"] == CODES


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


def test_an_unknown_measure_names_the_known_ones():
    with pytest.raises(
        UnknownNameError, match=r"'margins'; there are: entropy, .*Did you mean margin"
    ):
        policy.outcome(synthetic_trace(), [0.5, 0.5], "margins")


def test_a_sweep_of_an_exit_that_does_not_exist_is_refused():
    with pytest.raises(ThresholdError, match="There is no early exit 2; this network has 2"):
        policy.sweep(synthetic_trace(), exit=2, others=[0.5, 0.5])


@pytest.mark.parametrize("grid", [[], [0.5, np.nan], [-0.1], [1.1], 0.5])
def test_a_grid_that_is_no_list_of_thresholds_is_refused(grid: object):
    with pytest.raises(ThresholdError, match="at least one, each from 0 to 1"):
        policy.sweep(synthetic_trace(), grid=grid)


def test_a_grid_for_every_exit_is_needed():
    with pytest.raises(ThresholdError, match="1 grids of thresholds were given for 2 early exits"):
        policy.all_points(synthetic_trace(), grid=[np.array([0.5])])


def test_more_combinations_than_can_be_listed_are_refused():
    with pytest.raises(ThresholdError, match="1,003,003,001 combinations of thresholds are"):
        policy.all_points(synthetic_trace(exits=4), grid=policy.GRID)


@dataclass(frozen=True)
class Nothing:
    """A trace without samples."""

    labels = np.zeros(0, np.int64)
    correct = np.zeros((0, 2), np.bool_)
    confidences = {"margin": np.zeros((0, 2), np.float32)}  # noqa: RUF012


def test_a_trace_without_samples_is_refused():
    with pytest.raises(TraceError, match="This trace has no sample, so there is nothing to count"):
        policy.outcome(Nothing(), [0.5], "margin")
