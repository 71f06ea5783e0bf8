"""Bounds against loops, SciPy's binomial, worked values and draws whose truth is known."""

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from hybrid import certificates
from tests.certificates.made_up import deltas

gap_lists = st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=1, max_size=60)


def gaps_of(samples: int, *, lost: int, gained: int) -> np.ndarray:
    """D of a split: so many that only the final exit gets right, so many that only the early."""
    return np.repeat([1, -1, 0], [lost, gained, samples - lost - gained])


def highest_wealth(gaps: Sequence[int], m: float, delta: float, seed: int = 0) -> float:
    """max_t K_t(m), one sample after another."""
    n = len(gaps)
    order = np.random.default_rng(seed).permutation(n)
    variance, total, squares = 0.25, 0.0, 0.0
    wealth, best = 1.0, 0.0
    for t, place in enumerate(order, start=1):
        x = (gaps[place] + 1) / 2
        bet = min(1.0, math.sqrt(2 * math.log(1 / delta) / (n * variance)))
        wealth *= 1 - bet * (x - m)
        best = max(best, wealth)
        total += x
        mean = (0.5 + total) / (t + 1)
        squares += (x - mean) ** 2
        variance = (0.25 + squares) / (t + 1)
    return best


# Betting


@pytest.mark.parametrize(
    "samples, lost, gained, worked",
    [(5000, 60, 40, 0.0086), (2500, 20, 8, 0.0098)],  # medians over orders
)
def test_the_betting_bounds_worked_values_are_medians_over_orders(
    samples: int, lost: int, gained: int, worked: float
):
    gaps = gaps_of(samples, lost=lost, gained=gained)
    rng = np.random.default_rng(1)

    orders = np.stack([rng.permutation(gaps) for _ in range(500)])
    median = np.median(certificates.betting_bounds(orders, delta=0.05))

    assert median == pytest.approx(worked, abs=0.0003)  # the order moves a bound by 0.001


@given(gap_lists, deltas, st.integers(0, 3))
def test_the_betting_bound_is_where_a_loop_over_samples_reaches_1_over_delta(
    gaps: list[int], delta: float, seed: int
):
    bound = certificates.betting_bound(gaps, delta=delta, seed=seed)

    m = (bound + 1) / 2
    if bound < 1:
        assert highest_wealth(gaps, m + 1e-9, delta, seed) >= (1 - 1e-9) / delta
    if m - 1e-6 > (np.mean(gaps) + 1) / 2:
        assert highest_wealth(gaps, m - 1e-6, delta, seed) < (1 + 1e-9) / delta


@given(st.floats(0.003, 0.5), st.floats(1e-4, 0.5))
@settings(max_examples=30)
def test_so_few_samples_without_a_loss_reach_a_bound_and_one_less_does_not(
    max_loss: float, delta: float
):
    fewest = certificates.fewest_samples(max_loss, delta=delta)

    assert fewest is not None
    assert certificates.betting_bound(np.zeros(fewest), delta=delta) <= max_loss + 2e-6
    if fewest > 1:
        assert certificates.betting_bound(np.zeros(fewest - 1), delta=delta) > max_loss - 2e-6


def test_no_number_of_samples_proves_that_nothing_is_lost():
    assert certificates.fewest_samples(0.0, delta=0.05) is None
    assert certificates.fewest_samples(1e-9, delta=0.05) is None


@given(gap_lists, deltas)
def test_the_betting_bound_lies_between_the_mean_seen_and_1(gaps: list[int], delta: float):
    bound = certificates.betting_bound(gaps, delta=delta)

    assert np.mean(gaps) <= bound + 1e-12
    assert bound <= 1


@given(gap_lists, deltas, st.floats(0, 1), st.floats(0, 1))
def test_wealth_never_falls_in_m(gaps: list[int], delta: float, one: float, other: float):
    less, more = sorted((one, other))

    p_less, p_more = (
        certificates.betting_p_values([gaps], max_loss=loss, delta=delta)[0]
        for loss in (less, more)
    )

    assert p_more <= p_less * (1 + 1e-12)


@given(gap_lists, deltas, st.floats(0, 1))
def test_a_p_value_is_at_most_delta_exactly_where_the_bound_keeps_the_limit(
    gaps: list[int], delta: float, limit: float
):
    bound = certificates.betting_bound(gaps, delta=delta)
    assume(abs(bound - limit) > 2e-6)

    p_value = certificates.betting_p_values([gaps], max_loss=limit, delta=delta)[0]

    assert (p_value <= delta) == (bound <= limit)


def test_a_smaller_delta_asks_for_a_larger_bound():
    gaps = gaps_of(2500, lost=20, gained=8)

    bounds = [
        certificates.betting_bound(gaps, delta=delta) for delta in (0.2, 0.05, 0.01, 1e-4, 1e-6)
    ]

    assert bounds == sorted(bounds)
    assert len(set(bounds)) == 5


def test_more_samples_of_the_same_kind_give_a_smaller_bound():
    bounds = [
        certificates.betting_bound(gaps_of(100 * k, lost=2 * k, gained=k), delta=0.05)
        for k in (1, 10, 100, 1000)
    ]

    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] == pytest.approx(0.01, abs=0.002)


def test_many_rows_have_the_bounds_that_each_has_alone():
    rng = np.random.default_rng(5)
    rows = rng.choice([-1, 0, 1], size=(300, 1000), p=[0.02, 0.95, 0.03])

    together = certificates.betting_bounds(rows, delta=0.01, seed=3)

    alone = [certificates.betting_bound(row, delta=0.01, seed=3) for row in rows]
    assert together.tolist() == alone


def test_the_seed_fixes_the_order_and_so_the_bound():
    gaps = gaps_of(1000, lost=20, gained=8)

    bounds = [certificates.betting_bound(gaps, delta=0.05, seed=seed) for seed in (0, 0, 1, 2)]

    assert bounds[0] == bounds[1]
    assert len(set(bounds[1:])) == 3


@pytest.mark.parametrize("rates", [(0.012, 0.008), (0.05, 0.0), (0.3, 0.3), (0.002, 0.001)])
def test_the_betting_bound_fails_in_at_most_delta_of_the_draws(rates: tuple[float, float]):
    lost, gained = rates
    draws, delta = 1000, 0.1
    rng = np.random.default_rng(7)
    table = rng.choice([1, -1, 0], size=(draws, 1000), p=[lost, gained, 1 - lost - gained])

    failed = (certificates.betting_bounds(table, delta=delta) < lost - gained).mean()

    assert failed <= delta + 3 * math.sqrt(delta * (1 - delta) / draws)


@given(
    st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=1, max_size=60),
    st.floats(1e-6, 0.5),
    st.floats(1e-3, 1),
)
def test_a_fixed_bets_bound_is_where_a_loop_over_samples_reaches_1_over_delta(
    gaps: list[int], delta: float, squares: float
):
    lost, gained = np.array([gaps.count(1)]), np.array([gaps.count(-1)])

    bound = certificates.fixed_bet_bounds(
        lost, gained, len(gaps), deltas=[delta], squares=[squares]
    )[0]

    bet = min(0.95, math.sqrt(2 * math.log(1 / delta) / (len(gaps) * squares)))
    at, below = (
        math.prod(1 - bet * (gap - mean) for gap in gaps) for mean in (bound, bound - 2e-6)
    )
    least = max(-0.05, np.mean(gaps))
    assert least <= bound <= 1
    if bound < 1:
        assert at >= (1 - 1e-9) / delta
    if bound > least + 2e-6:
        assert below < (1 + 1e-9) / delta


@pytest.mark.parametrize("squares", [0.001, 0.02, 0.5])
def test_a_fixed_bets_bound_fails_in_at_most_delta_of_the_draws_whatever_the_guess(squares: float):
    draws, delta = 5000, 0.1
    rng = np.random.default_rng(8)
    lost, gained, _ = rng.multinomial(1000, [0.02, 0.01, 0.97], size=draws).T

    bounds = certificates.fixed_bet_bounds(lost, gained, 1000, deltas=delta, squares=squares)

    assert (bounds < 0.01).mean() <= delta + 3 * math.sqrt(delta * (1 - delta) / draws)


def test_a_band_of_50_points_and_10_000_samples_takes_well_under_a_second():
    rng = np.random.default_rng(0)
    table = rng.choice([-1, 0, 1], size=(50, 10_000), p=[0.01, 0.97, 0.02]).astype(np.int8)
    certificates.betting_bounds(table[:2], delta=0.001)

    times = []
    for _ in range(3):
        start = time.process_time()
        certificates.betting_bounds(table, delta=0.001)
        times.append(time.process_time() - start)

    assert min(times) < 0.5


# The exact binomial


@pytest.mark.parametrize(
    "failures, delta, worked", [(60, 0.05, 1.49), (25, 0.05, 0.70), (25, 0.05 / 50, 0.89)]
)
def test_clopper_pearsons_worked_values_of_5000_samples(failures: int, delta: float, worked: float):
    assert round(100 * certificates.clopper_pearson(failures, 5000, delta=delta), 2) == worked


@given(st.integers(1, 3000), st.floats(0, 1), deltas)
def test_clopper_pearson_is_scipys_exact_interval(samples: int, share: float, delta: float):
    failures = round(share * samples)

    bound = certificates.clopper_pearson(failures, samples, delta=delta)

    exact = stats.binomtest(failures, samples, alternative="less").proportion_ci(1 - delta)
    assert bound == pytest.approx(exact.high, rel=1e-6)
    if delta <= 0.5:  # k is the median of a binomial whose mean is k
        assert bound >= failures / samples
    if failures < samples:  # at the bound, so few failures have the chance delta
        assert stats.binom.cdf(failures, samples, bound) == pytest.approx(delta, rel=1e-6)


@given(st.integers(1, 500), st.floats(0, 1), deltas, st.floats(0.001, 0.999))
def test_the_binomial_p_value_is_at_most_delta_exactly_where_the_bound_keeps_the_limit(
    samples: int, share: float, delta: float, limit: float
):
    failures = np.array([round(share * samples)])
    bound = certificates.clopper_pearson(failures, samples, delta=delta)[0]
    assume(abs(bound - limit) > 1e-9)

    p_value = certificates.clopper_pearson_p_values(failures, samples, max_rate=limit)[0]

    assert p_value == pytest.approx(stats.binom.cdf(failures[0], samples, limit), abs=1e-12)
    assert (p_value <= delta) == (bound <= limit)


@pytest.mark.parametrize("losses, gains, limit", [(60, 40, 0.012), (20, 5, 0.01), (0, 0, 0.02)])
def test_about_half_of_as_many_samples_as_are_expected_to_be_enough_are(
    losses: int, gains: int, limit: float
) -> None:
    gaps = np.array([1] * losses + [-1] * gains + [0] * (5000 - losses - gains))
    rng = np.random.default_rng(0)

    samples = certificates.expected_samples(gaps, max_loss=limit, delta=0.05)

    assert samples is not None

    def passing(size: int) -> float:
        draws = rng.choice(gaps, (60, size))
        return float((certificates.betting_bounds(draws, delta=0.05) <= limit).mean())

    assert passing(4 * samples) > 0.8
    assert passing(samples // 4) < 0.2


def test_samples_that_lose_as_much_as_the_limit_are_never_enough() -> None:
    gaps = [1] * 10 + [0] * 990

    assert certificates.expected_samples(gaps, max_loss=0.01, delta=0.05) is None


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_with_the_same_bets_less_confidence_never_widens_a_bound(
    seed: int, one: float, other: float
) -> None:
    gaps = np.random.default_rng(seed).choice([-1, 0, 0, 0, 1], (1, 60))

    bounds = [
        certificates.betting_bounds(gaps, delta=delta, bets_delta=0.05)[0]
        for delta in sorted((one, other))
    ]

    assert bounds[0] >= bounds[1]
    same = certificates.betting_bounds(gaps, delta=one, bets_delta=one)
    assert same == certificates.betting_bounds(gaps, delta=one)
