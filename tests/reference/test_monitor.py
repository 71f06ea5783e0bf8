"""MAPIE's RiskMonitoring, which needs every label, agrees with a monitor that audits everything."""

import numpy as np
import pytest

from hybrid.monitor.audit import weighted_losses
from hybrid.monitor.evidence import Evidence, kelly_bets

pytest.importorskip("mapie", reason="mapie is not installed; it comes with the extra `reference`")

EPSILON, ALPHA, IMAGES = 0.05, 0.01, 5_000


def ours(losses: np.ndarray) -> float:
    """Images to our alarm, with every image audited; inf if there is none."""
    ones = np.ones(100)
    bets = kelly_bets(ones * EPSILON, ones, epsilon=EPSILON, worst=0)
    z = weighted_losses(np.full(len(losses), EPSILON), 1.0, np.full(len(losses), True), losses)
    return first(Evidence(bets, epsilon=EPSILON).add(z).wealth >= -np.log(ALPHA))


def theirs(losses: np.ndarray) -> float:
    """Images to MAPIE's alarm; it keeps half of its level for a reference, which is given here."""
    from mapie.exchangeability_testing import RiskMonitoring

    watch = RiskMonitoring("accuracy", test_level=2 * ALPHA, threshold=EPSILON, warn=False)
    watch.update(np.ones(len(losses)), 1.0 - losses)
    return first(watch.online_risk_lower_bound_sequence_history > EPSILON)


def first(over: np.ndarray) -> float:
    return int(over.argmax()) + 1 if over.any() else np.inf


@pytest.mark.parametrize("seed", range(5))
def test_neither_raises_an_alarm_while_the_promise_holds(seed: int):
    losses = (np.random.default_rng(seed).random(IMAGES) < 0.8 * EPSILON).astype(float)

    assert ours(losses) == theirs(losses) == np.inf


@pytest.mark.parametrize("seed", range(5))
def test_both_raise_an_alarm_when_it_does_not_and_ours_is_not_later(seed: int):
    losses = (np.random.default_rng(seed).random(IMAGES) < 3 * EPSILON).astype(float)

    assert ours(losses) <= theirs(losses) < IMAGES
