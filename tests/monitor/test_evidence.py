"""The bets: equal to a plain loop, fair under the promise, and slow to a false alarm."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.monitor.audit import weighted_losses
from hybrid.monitor.evidence import FACTORS, Evidence, kelly_bets

EPSILON = 0.1
BETS = (0.05, 0.1, 0.2, 0.4, 0.6)


def by_loop(losses: Sequence[float], bets: Sequence[float]) -> tuple[list[float], list[float]]:
    """W and the e-CUSUM after every image, image by image."""
    weights = list(FACTORS.values())
    started, recent, wealth, detector = [0.8] * len(bets), [1.0] * len(bets), [], []
    for image, loss in enumerate(losses):
        past = image // 1000
        if image and image % 1000 == 0:
            part = 0.2 / math.log2(past + 1) - 0.2 / math.log2(past + 2)
            started = [one + part for one in started]
        factors = [1 + bet * (loss - EPSILON) for bet in bets]
        started = [one * factor for one, factor in zip(started, factors, strict=True)]
        recent = [max(one, 1) * factor for one, factor in zip(recent, factors, strict=True)]
        kept = 0.2 / math.log2(past + 2)
        wealth.append(kept + sum(w * s for w, s in zip(weights, started, strict=True)))
        detector.append(sum(w * m for w, m in zip(weights, recent, strict=True)))
    return wealth, detector


@given(st.integers(0, 2**32 - 1), st.integers(1, 2500), st.lists(st.integers(0, 2500), max_size=4))
@settings(max_examples=25, deadline=None)
def test_the_evidence_is_that_of_a_plain_loop_however_it_is_cut(
    seed: int, images: int, cuts: list[int]
):
    losses = np.random.default_rng(seed).choice([0.05, -0.2, 3.0], images, p=[0.9, 0.06, 0.04])
    state = Evidence(BETS, epsilon=EPSILON)

    paths = [state.add(part) for part in np.split(losses, sorted(min(c, images) for c in cuts))]

    wealth, recent = by_loop(losses.tolist(), BETS)
    assert np.concatenate([p.wealth for p in paths]) == pytest.approx(np.log(wealth), abs=1e-6)
    assert np.concatenate([p.recent for p in paths]) == pytest.approx(np.log(recent), abs=1e-6)


def test_many_devices_are_each_as_if_alone():
    losses = np.random.default_rng(0).choice([0.0, 5.0], (3, 1500), p=[0.98, 0.02])

    together = Evidence(BETS, epsilon=EPSILON, shape=(3,)).add(losses)

    alone = [Evidence(BETS, epsilon=EPSILON).add(row) for row in losses]
    assert together.wealth == pytest.approx(np.stack([path.wealth for path in alone]))
    assert together.recent == pytest.approx(np.stack([path.recent for path in alone]))


def mean_wealth(rates: Sequence[float], pi: Sequence[float], expected: float) -> float:
    """E[W] after as many images as there are rates, over every course they can take."""
    total = 0.0
    courses = itertools.product([(False, 0), (True, 0), (True, 1)], repeat=len(rates))
    for course in courses:
        chance = 1.0
        for (drawn, loss), rate, p in zip(course, rates, pi, strict=True):
            chance *= p * (rate if loss else 1 - rate) if drawn else 1 - p
        losses = weighted_losses(
            [expected] * len(rates), pi, [one for one, _ in course], [loss for _, loss in course]
        )
        total += chance * math.exp(Evidence(BETS, epsilon=EPSILON).add(losses).wealth[-1])
    return total


@given(st.lists(st.tuples(st.floats(0.5, 1), st.floats(0, EPSILON)), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_under_the_promise_the_mean_evidence_is_at_most_1(images: list[tuple[float, float]]):
    pi, rates = zip(*images, strict=True)

    assert mean_wealth(rates, pi, expected=0.3) <= 1 + 1e-9


def test_at_the_promise_the_mean_evidence_is_exactly_1():
    assert mean_wealth([EPSILON] * 6, [0.5, 0.8, 1.0, 0.6, 0.5, 0.9], 0.2) == pytest.approx(1)


def at_the_promise(runs: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Weighted losses (runs, images) whose mean is the promise, with a poor expectation."""
    expected, pi = rng.uniform(0, 0.3, (runs, images)), rng.uniform(0.2, 0.9, (runs, images))
    drawn, loss = rng.random((runs, images)) < pi, rng.random((runs, images)) < EPSILON
    return weighted_losses(expected, pi, drawn, loss)


def test_of_many_devices_that_keep_the_promise_at_most_alpha_ever_alarm():
    runs = 1000
    losses = at_the_promise(runs, 2000, np.random.default_rng(1))

    path = Evidence(BETS, epsilon=EPSILON, shape=(runs,)).add(losses)

    for alpha in (0.5, 0.2, 0.05):
        false = (path.wealth >= -math.log(alpha)).any(axis=1).mean()
        assert false <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def test_the_restarting_test_takes_as_long_to_a_false_alarm_as_it_says():
    runs, length = 300, 100
    losses = at_the_promise(runs, 4000, np.random.default_rng(2))

    over = Evidence(BETS, epsilon=EPSILON, shape=(runs,)).add(losses).recent >= math.log(length)

    times = np.where(over.any(axis=1), over.argmax(axis=1) + 1, over.shape[1])
    assert times.mean() >= length


def test_a_change_after_many_images_is_found_by_both_tests():
    rng = np.random.default_rng(3)
    rates = np.repeat([0.02, 0.5], [40_000, 2_000])
    losses = np.where(rng.random(42_000) < 0.5, 2.0 * (rng.random(42_000) < rates), 0.0)

    path = Evidence(BETS, epsilon=EPSILON).add(losses)

    for logs, limit in ((path.wealth, math.log(100)), (path.recent, math.log(1e6))):
        alarms = np.flatnonzero(logs >= limit)
        assert 40_000 <= alarms[0] < 41_000


def test_a_bet_is_the_best_of_a_grid_for_its_factor():
    m, pi = np.array([0.02, 0.1, 0.3, 0.0]), np.array([0.1, 0.3, 0.5, 1.0])
    worst = float((m - m / pi).min())
    epsilon = float(m.mean())

    bets = kelly_bets(m, pi, epsilon=epsilon, worst=worst)

    grid = np.linspace(0, 0.9 / (epsilon - worst), 4001)
    for bet, factor in zip(bets, FACTORS, strict=True):
        growth = np.zeros(len(grid))
        for expected, p in zip(m, pi, strict=True):
            rate = min(1.0, factor * expected)
            for chance, z in (
                (p * rate, expected + (1 - expected) / p),
                (p * (1 - rate), expected - expected / p),
                (1 - p, expected),
            ):
                growth += chance * np.log(1 + grid * (z - epsilon)) / 4
        assert bet == pytest.approx(grid[growth.argmax()], abs=2 * grid[1])


def test_without_an_image_nothing_changes():
    state = Evidence(BETS, epsilon=EPSILON)

    path = state.add(np.zeros(0))

    assert len(path.wealth) == len(path.recent) == state.images == 0
