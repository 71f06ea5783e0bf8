"""What is certified now: bounds that hold, also while the disagreement changes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.monitor.audit import weighted_losses
from hybrid.monitor.recertify import Windows, mean_bound


def wealth_by_loop(losses: list[float], mean: float, highest: float) -> float:
    """The mean of the bets' wealth at a mean, image by image."""
    total = 0.0
    for part in range(7):
        wealth = 1.0
        for loss in losses:
            wealth *= 1 + 0.95 / highest / 2**part * (mean - loss)
        total += wealth / 7
    return total


@given(st.lists(st.sampled_from([0.0, 0.1, -0.2, 4.0]), min_size=1, max_size=60))
@settings(deadline=None)
def test_the_bound_is_where_a_plain_loop_refutes_larger_means(losses: list[float]):
    bound = mean_bound(np.array(losses), highest=4.0, delta=0.2)

    if bound < 1:
        assert (
            wealth_by_loop(losses, bound - 1e-6, 4.0)
            < 5
            < wealth_by_loop(losses, bound + 1e-6, 4.0)
        )
    else:
        assert wealth_by_loop(losses, 1.0, 4.0) <= 5 * (1 + 1e-9)


def drifting(rng: np.random.Generator, images: int) -> tuple[np.ndarray, float]:
    """Weighted losses whose rate rises within the window, and their true mean."""
    rates = np.linspace(0.0, 0.2, images)
    expected, pi = rng.uniform(0, 0.2, images), rng.uniform(0.1, 0.5, images)
    drawn, loss = rng.random(images) < pi, rng.random(images) < rates
    return weighted_losses(expected, pi, drawn, loss), float(rates.mean())


def test_bounds_are_rarely_violated_also_if_the_rate_changes_within_the_window():
    rng, delta, windows = np.random.default_rng(0), 0.2, 400

    drawn = [drifting(rng, 400) for _ in range(windows)]
    violated = [mean_bound(z, highest=10.0, delta=delta) < mean for z, mean in drawn]

    assert np.mean(violated) <= delta + 3 * math.sqrt(delta * (1 - delta) / windows)


def test_more_images_tighten_the_bound():
    rng = np.random.default_rng(0)
    losses = np.where(rng.random(40_000) < 0.1, 10.0 * (rng.random(40_000) < 0.05), 0.0)

    short, long = (mean_bound(losses[:n], highest=10.0, delta=0.05) for n in (2_000, 40_000))

    assert losses.mean() < long < short < 1
    assert long < 0.05 + 0.015


@given(st.lists(st.integers(0, 250), max_size=12))
@settings(max_examples=20, deadline=None)
def test_windows_are_whole_and_follow_each_other_however_the_losses_come(sizes: list[int]):
    losses = np.random.default_rng(0).random(sum(sizes))
    windows = Windows(100, highest=2.0, delta=0.1)

    for part in np.split(losses, np.cumsum(sizes)[:-1]) if sizes else []:
        windows.add(part)

    assert [(one.begin, one.end) for one in windows.found] == [
        (begin, begin + 100) for begin in range(0, sum(sizes) - 99, 100)
    ]
    for number, one in enumerate(windows.found, start=1):
        part = losses[one.begin : one.end]
        delta = 0.1 * 6 / (math.pi * number) ** 2  # all of them add up to 0.1
        assert one.bound == mean_bound(part, highest=2.0, delta=delta)
        assert one.observed == pytest.approx(part.mean())


def test_only_the_latest_windows_are_kept_with_their_part_of_delta(
    monkeypatch: pytest.MonkeyPatch,
):
    losses = np.random.default_rng(0).uniform(size=(8, 50))
    every = Windows(50, highest=2.0, delta=0.05)
    every.add(losses.ravel())

    monkeypatch.setattr("hybrid.monitor.recertify._KEPT", 3)
    latest = Windows(50, highest=2.0, delta=0.05)
    latest.add(losses.ravel())

    assert list(latest.found) == list(every.found)[-3:]
    assert [one.end for one in latest.found] == [300, 350, 400]
