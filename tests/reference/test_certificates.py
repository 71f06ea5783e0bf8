"""Our bounds and tests are those of MAPIE, which comes with the extra `reference`."""

import numpy as np
import pytest

from hybrid import certificates
from tests.strategies import synthetic_trace

pytest.importorskip("mapie", reason="mapie is not installed; it comes with the extra `reference`")


def mapies_bound(in_order: np.ndarray, delta: float, *, among: np.ndarray) -> float:
    """MAPIE's WSR bound of m, from gaps in the order in which they are bet on."""
    from mapie.risk_control.methods import get_r_hat_plus

    # it takes a column of losses for each m that it looks among; all of them are the same here
    losses = np.repeat((in_order[:, None] + 1) / 2, len(among), axis=1)
    return float(get_r_hat_plus(losses, among, "rcps", "wsr", delta, sigma_init=0.25)[1][0])


@pytest.mark.parametrize("delta", [0.2, 0.05, 0.001])
@pytest.mark.parametrize("losses", [1, 2, 3])
def test_the_betting_bound_is_mapies_wsr_bound(delta: float, losses: int):
    # Losses first: above m = 1/2 wealth only rises after them, so it peaks at either half's end.
    rest = np.random.default_rng(losses).choice([0, -1], size=400 - losses, p=[0.995, 0.005])
    in_order = np.concatenate([np.ones(losses), rest])
    gaps = np.empty_like(in_order)
    gaps[np.random.default_rng(0).permutation(len(gaps))] = in_order

    theirs = mapies_bound(in_order, delta, among=np.linspace(0.495, 0.525, 151))

    ours = (certificates.betting_bound(gaps, delta=delta) + 1) / 2
    assert ours > 0.5
    assert theirs - 0.0002 <= ours <= theirs  # the first of the grid from ours on


@pytest.mark.parametrize("seed", range(5))
def test_the_betting_bound_is_never_below_mapies_wsr_bound(seed: int):
    # MAPIE adds up the peaks of the two halves; together they may lie above any wealth there was.
    gaps = np.random.default_rng(seed).choice([-1, 0, 1], size=400, p=[0.03, 0.9, 0.07])
    in_order = gaps[np.random.default_rng(0).permutation(400)]

    theirs = mapies_bound(in_order, 0.05, among=np.linspace(0.45, 0.65, 101))

    assert (certificates.betting_bound(gaps, delta=0.05) + 1) / 2 >= theirs - 0.002


@pytest.mark.parametrize("seed", range(20))
def test_a_fixed_sequence_stops_where_mapies_does(seed: int):
    from mapie.risk_control.fwer_control import FWERFixedSequenceTesting

    trace = synthetic_trace(samples=500, exits=2, seed=seed, split="certify")
    path = [(t,) for t in np.linspace(1, 0, 25).tolist()]
    table = np.stack([certificates.loss_gaps(trace, one) for one in path])
    p_values = certificates.betting_p_values(table, max_loss=0.03, delta=0.1)

    ours = certificates.fixed_sequence(trace, path, max_loss=0.03, delta=0.1)

    theirs = FWERFixedSequenceTesting(n_starts=1).run(p_values, delta=0.1)
    assert list(range(0 if ours is None else ours + 1)) == theirs.tolist()


def test_the_exact_binomial_p_value_is_mapies_for_a_loss_of_0_and_1():
    from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value

    failures = np.arange(0, 60, 3)

    theirs = compute_hoeffding_bentkus_p_value(failures / 1000, 1000, 0.06, binary=True)[:, 0]

    ours = certificates.clopper_pearson_p_values(failures, 1000, max_rate=0.06)
    # theirs is the smaller one of this and Hoeffding's, which never is below it
    assert ours == pytest.approx(theirs, rel=1e-9)
