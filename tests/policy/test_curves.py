"""Sweeps, all combinations and frontiers, against a loop over samples, to the last one."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid import policy
from hybrid.errors import ThresholdError, TraceError, UnknownNameError
from hybrid.traces.confidence import CODES
from hybrid.traces.trace import Trace
from tests.policy.loops import TraceAndThresholds, every_measure, loop, with_threshold
from tests.strategies import (
    costs_of,
    random_traces,
    synthetic_trace,
    thresholds,
    traces_with_thresholds,
)

grids = st.lists(thresholds, min_size=1, max_size=6).map(np.array)

few_numbers = st.integers(0, 4).map(float)


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


@given(st.lists(st.tuples(few_numbers, few_numbers), min_size=1, max_size=15))
def test_the_frontier_is_what_no_other_point_beats(rows: list[tuple[float, float]]):
    energy, accuracy = zip(*rows, strict=True)

    best = [rows[i] for i in policy.frontier(energy, accuracy)]

    def beaten(row: tuple[float, float]) -> bool:
        return any(e <= row[0] and a >= row[1] and (e, a) != row for e, a in rows)

    assert best == sorted({row for row in rows if not beaten(row)})


@given(
    trace=random_traces(max_samples=30),
    grid=grids.map(np.unique),
    steps=st.lists(st.floats(0.1, 10), min_size=4, max_size=4),
)
def test_what_can_never_be_on_a_frontier_is_left_out_and_nothing_else(
    trace: Trace, grid: np.ndarray, steps: list[float]
):
    every = policy.all_points(trace, "margin", grid)
    costs = np.cumsum(steps)[: trace.all_exits].tolist()  # each exit costs more than the last

    some = policy.undominated(every)

    best = policy.frontier(every.mean(costs), every.accuracy)
    kept = policy.frontier(some.mean(costs), some.accuracy)
    assert some.thresholds[kept].tolist() == every.thresholds[best].tolist()
    rows = list(zip(every.thresholds.tolist(), every.accuracy.tolist(), strict=True))
    expected = [
        limits
        for limits, right in rows
        if not any(
            better >= right and lower != limits and np.less_equal(lower, limits).all()
            for lower, better in rows
        )
    ]
    assert some.thresholds.tolist() == expected


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
