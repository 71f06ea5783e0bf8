"""A path walked down, and every setting of a free slider: bounds that hold together."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hybrid import certificates
from hybrid.certificates.cells import gap_counts, positions
from hybrid.traces.confidence import CODES
from hybrid.traces.trace import Trace
from tests.certificates.made_up import VALUES, band_of, deltas, every_method, made_up, on_certify
from tests.strategies import trace_of, traces_with_thresholds

# A path, walked down


def path_trace() -> Trace:
    """Of 4,000, 200 leave at 0.8 that lose, and 200 at 0.7 that gain: the loss rises and falls."""
    sure = np.repeat([0.95, 0.8, 0.7, 0.1], [2000, 200, 200, 1600])
    early = np.repeat([1, 0, 1, 0], [2000, 200, 200, 1600])
    final = np.repeat([1, 1, 0, 1], [2000, 200, 200, 1600])
    return on_certify(
        trace_of(confidences=np.stack([sure, sure], 1), correct=np.stack([early, final], 1))
    )


PATH = [(1.0,), (0.9,), (0.8,), (0.7,)]


@pytest.mark.parametrize("method", ["betting", "regret"])
def test_the_first_point_that_fails_is_not_certified_nor_any_after_it(method: str):
    trace = path_trace()

    last = certificates.fixed_sequence(trace, PATH, max_loss=0.02, delta=0.05, method=method)

    assert last == 1
    # by betting the last point would pass by itself, and still is not reached
    assert certificates.certify(trace, PATH[3], delta=0.05).bound < 0.02
    assert certificates.certify(trace, PATH[2], delta=0.05).bound > 0.02


def test_a_path_that_never_fails_is_certified_to_its_end():
    assert certificates.fixed_sequence(path_trace(), PATH, max_loss=0.2, delta=0.05) == 3


def test_a_path_whose_first_point_fails_is_not_certified_at_all():
    assert certificates.fixed_sequence(path_trace(), PATH[2:], max_loss=0.02, delta=0.05) is None
    assert certificates.fixed_sequence(path_trace(), [], max_loss=0.02, delta=0.05) is None


@every_method
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 1000), limit=st.floats(0, 0.3), delta=deltas)
def test_all_points_up_to_the_last_certified_keep_the_limit_and_the_next_does_not(
    method: str, seed: int, limit: float, delta: float
):
    trace = made_up(100, seed=seed)
    path = [(value, value) for value in np.linspace(1, 0, 6).tolist()]

    last = certificates.fixed_sequence(trace, path, max_loss=limit, delta=delta, method=method)

    bounds = [certificates.certify(trace, one, delta=delta, method=method).bound for one in path]
    assume(min(abs(bound - limit) for bound in bounds) > 2e-6)
    kept = [bound <= limit for bound in [*bounds, math.inf]]
    assert last == (kept.index(False) - 1 if kept[0] else None)


# Every setting of a free slider


def cells_of(*boxes: tuple[tuple[int, ...], tuple[int, ...]]) -> certificates.Cells:
    low, high = (np.array(ends) for ends in zip(*boxes, strict=True))
    return certificates.Cells(low=low, high=high, shares=np.full(len(boxes), 1 / len(boxes)))


@given(traces_with_thresholds(max_samples=30), st.data())
def test_the_counts_of_a_cell_are_the_worst_exit_of_each_sample_over_its_settings(
    drawn: tuple[Trace, tuple[float, ...]], data: st.DataObject
):
    trace, inside = drawn
    slack = st.integers(0, CODES)
    at = np.floor(positions(inside)).astype(int)
    low = tuple(max(0, one - data.draw(slack)) for one in at.tolist())
    high = tuple(min(CODES, one + 1 + data.draw(slack)) for one in at.tolist())
    cells = cells_of((low, high))

    lost, gained = gap_counts(trace, cells, correct=trace.correct, measure="max_probability")

    sure = trace.confidences["max_probability"]
    worst = []
    for s in range(trace.samples):
        takes = []
        for i in range(len(low)):
            if sure[s, i] >= np.float32(low[i] / CODES):
                takes.append(i)
            if sure[s, i] >= np.float32(high[i] / CODES):
                break
        else:
            takes.append(len(low))
        least = min(bool(trace.correct[s, i]) for i in takes)
        worst.append(int(trace.correct[s, -1]) - least)
    assert (lost[0], gained[0]) == (worst.count(1), worst.count(-1))
    gaps = certificates.loss_gaps(trace, inside)
    assert (np.array(worst) >= gaps).all()


@every_method
@given(seed=st.integers(0, 500), at=st.tuples(st.integers(0, CODES), st.integers(0, CODES)))
@settings(max_examples=30, deadline=None)
def test_the_band_is_at_least_what_was_seen_at_any_setting(
    method: str, seed: int, at: tuple[int, int]
):
    trace, tune = made_up(200, seed=seed), made_up(200, seed=seed + 1)
    found = band_of(trace, tune, method=method)
    thresholds = tuple(one / CODES for one in at)

    bound = found.bound(thresholds)

    values = VALUES[method](trace, thresholds)
    assert bound >= values.mean()
    inside = ((found.low <= at) & (np.array(at) <= found.high)).all(axis=1)
    assert bound == found.bounds[inside].min()


def test_a_single_setting_is_bounded_as_by_itself_at_its_share():
    trace, tune = made_up(), made_up(seed=1)
    cells = cells_of(((8000, 6000), (8000, 6000)), ((0, 0), (CODES, CODES)))

    made = certificates.band(trace, cells, guide=tune, delta=0.05, part=0.5)

    gaps = certificates.loss_gaps(trace, (0.8, 0.6))
    alone = certificates.fixed_bet_bounds(
        np.array([(gaps > 0).sum()]),
        np.array([(gaps < 0).sum()]),
        600,
        deltas=0.05 * 0.5 / 2,
        squares=(abs(certificates.loss_gaps(tune, (0.8, 0.6))).sum() + 1) / 600,
    )
    assert made.bound((0.8, 0.6)) == alone[0]
    assert made.bound((0.8, 0.61)) > alone[0]


@pytest.mark.parametrize("early", [1, 2, 3, 4, 5])
def test_cells_cover_every_setting_and_share_all_of_delta(early: int):
    tune = made_up(300, exits=early + 1)

    cells = certificates.slider_cells(tune, np.full((3, early), 0.7))

    assert cells.shares.sum() == pytest.approx(1)
    assert (cells.low <= cells.high).all()
    assert len(cells.low) < 1100
    rng = np.random.default_rng(0)
    for at in [*rng.integers(0, CODES + 1, (200, early)), np.zeros(early), np.full(early, CODES)]:
        assert ((cells.low <= at) & (at <= cells.high)).all(axis=1).any()


def test_cells_do_not_depend_on_labels_and_the_start_has_a_cell_of_its_own():
    tune = made_up(300)
    other = replace(tune, labels=(tune.labels + 1) % 10)

    cells, again = (certificates.slider_cells(one, [(0.7, 0.6)]) for one in (tune, other))

    assert cells.low.tolist() == again.low.tolist()
    assert cells.shares.tolist() == again.shares.tolist()
    start = (cells.low == 8000).all(axis=1) & (cells.high == 8000).all(axis=1)
    assert cells.shares[start].sum() == pytest.approx(0.25)


def test_the_bounds_of_all_settings_together_fail_in_at_most_delta_of_the_draws():
    world, tune = made_up(20_000, seed=3), made_up(500, seed=4)
    rng = np.random.default_rng(5)
    settings_of = np.concatenate([np.full((1, 2), 0.8), rng.uniform(0, 1, (60, 2))])
    truths = [certificates.loss_gaps(world, one).mean() for one in settings_of]
    draws, delta, failed = 200, 0.2, 0

    for _ in range(draws):
        some = part_of(world, rng.choice(world.samples, 500, replace=False))
        made = band_of(some, tune, delta=delta)
        failed += any(
            truth > made.bound(one) for truth, one in zip(truths, settings_of, strict=True)
        )

    assert failed / draws <= delta + 3 * math.sqrt(delta * (1 - delta) / draws)


def part_of(world: Trace, rows: npt.NDArray[np.int64]) -> Trace:
    return replace(
        world,
        labels=world.labels[rows],
        classes=world.classes[rows],
        confidences={name: values[rows] for name, values in world.confidences.items()},
    )
