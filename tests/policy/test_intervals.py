"""Intervals of a fraction, compared with their definition and with sums over the binomial."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid import policy

Z = 1.959964


@st.composite
def seen(draw: st.DrawFn) -> tuple[int, int]:
    samples = draw(st.integers(1, 3000))
    return draw(st.integers(0, samples)), samples


@given(seen())
def test_the_ends_are_the_fractions_that_the_test_just_accepts(of: tuple[int, int]) -> None:
    successes, samples = of
    grid = np.linspace(0, 1, 20_001)
    accepted = grid[(successes / samples - grid) ** 2 <= Z**2 * grid * (1 - grid) / samples + 1e-15]

    found = policy.wilson(successes, samples)

    assert found.low == pytest.approx(accepted.min(), abs=1e-4)
    assert found.high == pytest.approx(accepted.max(), abs=1e-4)


@pytest.mark.parametrize("samples", [12, 60, 359])
def test_it_covers_the_true_fraction_in_95_of_100_cases_on_average(samples: int) -> None:
    intervals = [policy.wilson(k, samples) for k in range(samples + 1)]
    truths = np.linspace(0.02, 0.98, 97)

    covered = [
        sum(
            math.comb(samples, k) * p**k * (1 - p) ** (samples - k)
            for k, one in enumerate(intervals)
            if one.low <= p <= one.high
        )
        for p in truths.tolist()
    ]

    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.83  # discrete: near the ends it swings, as the literature has it


@given(seen())
def test_it_holds_what_was_seen_and_mirrors_the_opposite(of: tuple[int, int]) -> None:
    successes, samples = of
    found, opposite = policy.wilson(successes, samples), policy.wilson(samples - successes, samples)

    assert 0 <= found.low <= successes / samples <= found.high <= 1
    assert opposite.low == pytest.approx(1 - found.high, abs=1e-12)


def test_a_figure_has_an_interval_where_half_of_it_is_over_a_point() -> None:
    # 1.96 · √(0.9 · 0.1 / n) = 0.01 at n = 3,457
    assert policy.of_few(9_000, 10_000) is None
    assert policy.of_few(3_200 * 9 // 10, 3_200) is not None
    assert policy.of_few(3_600 * 9 // 10, 3_600) is None
    assert policy.of_few(0, 0) is None
