"""A path walked down and a grid for a free slider: bounds that hold together."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hybrid import certificates
from hybrid.traces.trace import Trace
from tests.certificates.made_up import deltas, every_method, made_up, on_certify
from tests.strategies import trace_of

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
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), limit=st.floats(0, 0.3), delta=deltas)
def test_all_points_up_to_the_last_certified_keep_the_limit_and_the_next_does_not(
    method: str, seed: int, limit: float, delta: float
):
    trace = made_up(200, seed=seed)
    path = [(value, value) for value in np.linspace(1, 0, 12).tolist()]

    last = certificates.fixed_sequence(trace, path, max_loss=limit, delta=delta, method=method)

    bounds = [certificates.certify(trace, one, delta=delta, method=method).bound for one in path]
    assume(min(abs(bound - limit) for bound in bounds) > 2e-6)
    kept = [bound <= limit for bound in [*bounds, math.inf]]
    assert last == (kept.index(False) - 1 if kept[0] else None)


# A grid for a free slider


@every_method
def test_a_band_is_a_certificate_at_every_point_with_delta_shared_by_all_on_offer(method: str):
    trace = made_up()
    grid = [(0.9, 0.9), (0.8, 0.6), (0.3, 0.2)]

    made = certificates.band(trace, grid, delta=0.05, offers=12, method=method)

    alone = [
        certificates.certify(trace, one, delta=0.05, comparisons=3 * 12, method=method)
        for one in grid
    ]
    assert [made.certificate(one) for one in grid] == alone
    assert made.comparisons == 36


def test_between_the_points_nothing_is_certified_and_the_nearest_is_offered():
    made = certificates.band(made_up(), [(0.9, 0.9), (0.8, 0.6), (0.3, 0.2)], delta=0.05)

    assert made.certificate((0.8, 0.61)) is None
    assert certificates.nearest(made, (0.8, 0.61)) == (0.8, 0.6)
    assert made.certificate(certificates.nearest(made, (0.1, 0.1))) is not None


def test_of_two_points_equally_near_the_more_careful_is_offered():
    made = certificates.band(made_up(exits=2), [(0.4,), (0.6,)], delta=0.05)

    assert certificates.nearest(made, (0.5,)) == (0.6,)


def test_where_one_slider_moves_all_the_nearest_has_equal_thresholds():
    made = certificates.band(made_up(), [(0.9, 0.9), (0.6, 0.5), (0.3, 0.3)], delta=0.05)

    assert certificates.nearest(made, (0.55, 0.55)) == (0.6, 0.5)
    assert certificates.nearest(made, (0.55, 0.55), together=True) == (0.3, 0.3)


@pytest.mark.parametrize("exits", [1, 2, 3, 4, 5])
def test_a_sliders_grid_has_each_point_once_and_where_the_sliders_start(exits: int):
    grid = certificates.slider_grid(exits)

    assert len({tuple(point) for point in grid.tolist()}) == len(grid) <= 250
    assert [0.8] * exits in grid.tolist()
    assert (abs(grid * 1000 - np.round(grid * 1000)) < 1e-9).all()  # where a slider can stand
