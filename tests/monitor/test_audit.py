"""Audits: drawn by confidence, with a share that was asked for, and weighted without bias."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.monitor import AuditPolicy, Expectation
from hybrid.monitor.audit import fit_expectation, fit_policy, weighted_losses

shares = st.floats(0.001, 1)
probabilities = st.floats(0.001, 1)
EXPECTED = Expectation(intercepts=(0.5, -1.0), slope=-1.2)


@given(st.floats(0, 1), probabilities, st.floats(0, 1))
def test_the_mean_of_a_weighted_loss_is_the_loss(expected: float, pi: float, loss: float):
    drawn, not_drawn = weighted_losses([expected] * 2, [pi] * 2, [True, False], [loss] * 2)

    assert pi * drawn + (1 - pi) * not_drawn == pytest.approx(loss, abs=1e-9)


def test_a_loss_that_is_always_known_is_not_weighted():
    losses = [0.0, 1.0, 0.3]

    assert weighted_losses([0.9] * 3, [1.0] * 3, [True] * 3, losses) == pytest.approx(losses)


@given(
    st.floats(-3, 3),
    st.floats(-5, 0),
    shares,
    st.lists(st.floats(0, 1), min_size=1, max_size=50),
)
def test_a_policy_draws_the_share_that_was_asked_for(
    intercept: float, slope: float, share: float, confidences: list[float]
):
    exits = np.zeros(len(confidences), int)
    expected = Expectation(intercepts=(intercept,), slope=slope)

    policy = fit_policy(expected, exits, confidences, share=share)

    chances = policy.probabilities(exits, confidences)
    assert chances.mean() == pytest.approx(share, rel=1e-6)
    assert chances.min() >= 0.25 * share * (1 - 1e-12)


def test_an_answer_with_four_times_the_expectation_is_drawn_twice_as_often():
    policy = AuditPolicy(expectation=EXPECTED, scale=0.2, least=1e-6)
    exits, confidences = [0, 1, 1], [0.7, 0.8, 0.99]

    m, pi = EXPECTED.at(exits, confidences), policy.probabilities(exits, confidences)

    assert (pi[0] / pi[1]) ** 2 == pytest.approx(m[0] / m[1])
    assert (pi[1] / pi[2]) ** 2 == pytest.approx(m[1] / m[2])


def test_the_draws_have_the_probabilities_that_are_noted():
    policy = fit_policy(EXPECTED, [0] * 3, [0.6, 0.9, 0.99], share=0.3)
    confidences = np.tile([0.6, 0.9, 0.99], 20_000)

    chances, drawn = policy.draw(np.zeros(60_000, int), confidences, np.random.default_rng(3))

    often = drawn.reshape(-1, 3).mean(axis=0)
    assert np.abs(often - chances[:3]).max() < 5 * np.sqrt(0.25 / 20_000)


def test_the_expectation_is_fitted_by_the_likelihood_with_its_priors():
    rng = np.random.default_rng(0)
    exits, confidences = rng.integers(0, 2, 400), rng.uniform(0.6, 0.999, 400)
    differs = rng.random(400) < 0.6 * (1 - confidences) * (1 + exits)

    fitted = fit_expectation(exits, confidences, differs, early=2)

    def likelihood(first: float, second: float, slope: float) -> float:
        """Plain sums: the samples, one more per exit, and the prior of the slope."""
        x = np.log(confidences / (1 - confidences))
        where = np.concatenate([exits, [0, 1]])
        odds = np.array([first, second])[where] + slope * np.concatenate([x, [x.mean()] * 2])
        seen = np.concatenate([differs, [0.5, 0.5]])
        fits = seen * -np.log1p(np.exp(-odds)) + (1 - seen) * -np.log1p(np.exp(odds))
        return float(fits.sum() - (slope + 1) ** 2 / 2)

    best = np.array([*fitted.intercepts, fitted.slope])
    around = [likelihood(*(best + step)) for step in (*np.eye(3) * 0.01, *np.eye(3) * -0.01)]
    assert likelihood(*best) > max(around)


def test_an_exit_that_never_differs_still_has_an_expectation():
    exits, confidences = np.repeat([0, 1], 200), np.tile(np.linspace(0.8, 0.999, 200), 2)
    differs = (exits == 0) & (np.arange(400) % 10 == 0)

    expected = fit_expectation(exits, confidences, differs, early=2).at([0, 1], [0.9, 0.9])

    assert 0 < expected[1] < expected[0]


def test_more_confidence_never_makes_a_disagreement_more_likely():
    confidences = np.linspace(0.5, 0.999, 300)

    upside_down = fit_expectation([0] * 300, confidences, confidences > 0.9, early=1)

    assert upside_down.slope == 0


def test_confidences_of_0_and_1_have_an_expectation():
    assert np.isfinite(EXPECTED.at([0, 0], [0.0, 1.0])).all()
