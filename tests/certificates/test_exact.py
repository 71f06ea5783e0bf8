"""The exact bound against every outcome of small samples, the binomial, and draws."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hybrid import certificates

counts = st.integers(1, 40).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda lost: st.tuples(st.just(lost), st.integers(0, n - lost), st.just(n))
    )
)


def test_the_p_value_is_the_chance_of_all_outcomes_that_speak_as_much_against_the_mean():
    samples, mean = 7, 0.3

    assert len(outcomes(samples)) == 36  # lost and gained, at most 7 together
    for lost, gained in outcomes(samples):
        found = certificates.exact_p_value(lost, gained, samples, max_loss=mean)

        against = [
            one
            for one in outcomes(samples)
            if ratio(*one, samples, mean) >= ratio(lost, gained, samples, mean) - 1e-9
        ]
        by_share = [
            sum(chance(*one, samples, mean, gains) for one in against)
            for gains in np.linspace(0, (1 - mean) / 2, 400)
        ]
        assert found == pytest.approx(max(by_share), rel=1e-3)


def outcomes(samples: int) -> list[tuple[int, int]]:
    pairs = itertools.product(range(samples + 1), repeat=2)
    return [(lost, gained) for lost, gained in pairs if lost + gained <= samples]


def chance(lost: int, gained: int, samples: int, mean: float, gains: float) -> float:
    equal = samples - lost - gained
    ways = math.comb(samples, lost) * math.comb(samples - lost, gained)
    shares = (mean + gains, gains, max(0.0, 1 - mean - 2 * gains))
    return float(ways * math.prod(np.power(shares, (lost, gained, equal))))


def ratio(lost: int, gained: int, samples: int, mean: float) -> float:
    """The log likelihood ratio to the best distribution of this mean, by trying many."""
    if lost - gained >= samples * mean:
        return 0.0
    seen = np.array([lost, gained, samples - lost - gained])
    gains = np.linspace(0, (1 - mean) / 2, 20_001)
    shares = np.stack([mean + gains, gains, np.maximum(1 - mean - 2 * gains, 0)])
    with np.errstate(divide="ignore", invalid="ignore"):
        fits = np.where(seen[:, None] > 0, seen[:, None] * np.log(shares), 0).sum(axis=0)
        best = np.where(seen > 0, seen * np.log(seen / samples), 0).sum()
    return round(float(best - fits.max()), 6)


@given(counts, st.floats(0.001, 0.5))
@settings(max_examples=30)
@example((5, 7, 16), 0.375)  # whose p-value rises again from 0.31 to 0.72, at a mean of 0.02
def test_the_p_value_falls_to_delta_at_the_bound(seen: tuple[int, int, int], delta: float):
    lost, gained, samples = seen
    bound = certificates.exact_bound(*seen, delta=delta)
    before = np.linspace(bound - 1e-4, bound, 12)

    assert certificates.exact_p_value(*seen, max_loss=bound) <= delta
    if before[0] > (lost - gained) / samples:
        p_values = [certificates.exact_p_value(*seen, max_loss=mean) for mean in before]
        assert max(p_values) > delta - 0.01


@given(counts, st.floats(0.001, 0.5))
@settings(max_examples=30)
def test_the_bound_is_at_least_what_was_seen_and_rises_with_confidence(
    seen: tuple[int, int, int], delta: float
):
    lost, gained, samples = seen

    bound = certificates.exact_bound(*seen, delta=delta)

    assert (lost - gained) / samples - 1e-12 <= bound <= 1
    assert bound <= certificates.exact_bound(*seen, delta=delta / 10) + 1e-5


@pytest.mark.parametrize("samples, delta", [(180, 0.05), (40, 0.01)])
def test_without_loss_or_gain_the_bound_is_the_one_of_a_coin(samples: int, delta: float):
    bound = certificates.exact_bound(0, 0, samples, delta=delta)

    # if the mean is m, nothing happens at most (1 - m)^n of the time: when there is no gain
    assert bound == pytest.approx(1 - delta ** (1 / samples), abs=0.004)
    assert bound >= 1 - delta ** (1 / samples) - 1e-5


@pytest.mark.parametrize("shares", [(0.03, 0.01), (0.012, 0.012), (0.05, 0.0), (0.2, 0.15)])
def test_the_exact_bound_fails_in_at_most_delta_of_the_draws_and_not_much_less(
    shares: tuple[float, float],
):
    lost, gained = shares
    draws, delta, samples = 4000, 0.1, 500
    rng = np.random.default_rng(9)
    table = rng.multinomial(samples, [lost, gained, 1 - lost - gained], size=draws)[:, :2]
    different, times = np.unique(table, axis=0, return_counts=True)

    broken = [
        certificates.exact_p_value(*one, samples, max_loss=lost - gained) <= delta
        for one in different.tolist()
    ]

    failed = times[np.array(broken)].sum() / draws
    assert delta / 2 < failed <= delta + 3 * math.sqrt(delta * (1 - delta) / draws)


def test_for_the_worked_counts_the_exact_bound_is_well_below_that_of_betting():
    gaps = np.repeat([1, -1, 0], [79, 22, 2399])  # cifar10-resnet32 at 4 bits and 0.8
    orders = np.stack([np.random.default_rng(seed).permutation(gaps) for seed in range(100)])
    for number in (1, 5, 10):
        delta = certificates.spent(number, 0.05)

        exact = certificates.exact_bound(79, 22, 2500, delta=delta)

        assert exact < np.median(certificates.betting_bounds(orders, delta=delta)) - 0.002
