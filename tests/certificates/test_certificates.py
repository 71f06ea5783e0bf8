"""Certificates against loops, SciPy's binomial, worked values and draws whose truth is known."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from hybrid import certificates, policy
from hybrid.errors import CertificateError, HybridError, ThresholdError, UnknownNameError
from hybrid.traces.trace import Trace
from tests.strategies import synthetic_trace, trace_of, traces_with_thresholds

deltas = st.floats(1e-6, 0.9)
gap_lists = st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=1, max_size=60)
every_method = pytest.mark.parametrize("method", list(certificates.METHODS))


def on_certify(trace: Trace) -> Trace:
    return replace(trace, split="certify")


def made_up(samples: int = 600, exits: int = 3, seed: int = 0) -> Trace:
    return synthetic_trace(samples=samples, exits=exits, seed=seed, split="certify")


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


# What is bounded


@given(traces_with_thresholds())
def test_gaps_and_disagreements_equal_a_loop_over_samples(
    drawn: tuple[Trace, tuple[float, ...]],
):
    trace, limits = drawn

    gaps = certificates.loss_gaps(trace, limits)
    differ = certificates.disagreements(trace, limits)

    sure = trace.confidences["max_probability"]
    assert len(gaps) == len(differ) == trace.samples > 0
    for s in range(trace.samples):
        taken = next(
            (i for i, limit in enumerate(limits) if sure[s, i] >= np.float32(limit)), len(limits)
        )
        early, final = trace.classes[s, taken], trace.classes[s, -1]
        assert gaps[s] == int(final == trace.labels[s]) - int(early == trace.labels[s])
        assert differ[s] == (early != final)


@given(traces_with_thresholds())
def test_the_mean_gap_is_the_accuracy_lost_and_regret_and_disagreement_are_no_less(
    drawn: tuple[Trace, tuple[float, ...]],
):
    trace, limits = drawn

    gap = certificates.loss_gaps(trace, limits).mean()

    outcome = policy.outcome(trace, limits)
    assert gap == pytest.approx(outcome.final_exit_accuracy - outcome.accuracy, abs=1e-12)
    regret = certificates.regrets(trace, limits).mean()
    assert gap <= regret <= certificates.disagreements(trace, limits).mean()


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


def test_a_band_of_50_points_and_10_000_samples_takes_well_under_a_second():
    rng = np.random.default_rng(0)
    table = rng.choice([-1, 0, 1], size=(50, 10_000), p=[0.01, 0.97, 0.02]).astype(np.int8)
    certificates.betting_bounds(table[:2], delta=0.001)

    times = []
    for _ in range(3):
        start = time.perf_counter()
        certificates.betting_bounds(table, delta=0.001)
        times.append(time.perf_counter() - start)

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


# Certificates


@every_method
def test_a_certificate_says_what_it_bounds_of_whom_and_how_surely(method: str):
    trace = made_up()

    made = certificates.certify(trace, (0.8, 0.6), delta=0.05, method=method)

    values = {
        "betting": certificates.loss_gaps(trace, (0.8, 0.6)),
        "regret": certificates.regrets(trace, (0.8, 0.6)),
        "disagreement": certificates.disagreements(trace, (0.8, 0.6)),
    }[method]
    assert made.observed == values.mean()
    assert made.bound >= made.observed
    assert (made.samples, made.split, made.confidence) == (600, "certify", 0.95)
    assert made.bounds == certificates.METHODS[method]


@every_method
def test_comparisons_share_delta(method: str):
    trace = made_up()

    shared = certificates.certify(trace, (0.8, 0.6), delta=0.05, method=method, comparisons=50)
    alone = certificates.certify(trace, (0.8, 0.6), delta=0.05 / 50, method=method)

    assert shared.bound == alone.bound
    assert (shared.delta, shared.comparisons) == (0.05, 50)


@every_method
def test_a_certificate_of_each_exit_is_that_of_those_who_leave_there(method: str):
    trace = made_up()
    limits = (0.9, 0.6)

    first, second = certificates.certify_exits(trace, limits, delta=0.05, method=method)

    taken = policy.exits_taken(trace.confidences["max_probability"][:, :2], limits)
    for number, made in enumerate((first, second)):
        here = taken == number
        assert made is not None
        assert made.samples == here.sum()
        part = replace(
            trace,
            labels=trace.labels[here],
            classes=trace.classes[here],
            confidences={k: v[here] for k, v in trace.confidences.items()},
        )
        alone = certificates.certify(part, limits, delta=0.05 / 2, method=method)
        assert (made.bound, made.observed) == (alone.bound, alone.observed)


def test_an_exit_that_nobody_takes_has_no_certificate():
    trace = on_certify(trace_of(confidences=[[0.1, 0.9, 1]] * 50, correct=[[1, 1, 1]] * 50))

    first, second = certificates.certify_exits(trace, (0.5, 0.5), delta=0.05)

    assert first is None
    assert second is not None


def test_a_trace_without_labels_has_a_disagreement_bound_and_no_other():
    trace = replace(made_up(), labels=np.full(600, -1))

    made = certificates.certify(trace, (0.8, 0.6), delta=0.05, method="disagreement")

    assert (
        made.bound
        == certificates.certify(made_up(), (0.8, 0.6), delta=0.05, method="disagreement").bound
    )  # labels are not read
    with pytest.raises(CertificateError, match=r"have no labels.*method disagreement"):
        certificates.certify(trace, (0.8, 0.6), delta=0.05)


@pytest.mark.parametrize(
    "bound, words",
    [
        (0.0086, "leaving early costs at most 0.9 points against always going on to its own final"),
        (0.02, "leaving early costs at most 2.0 points"),
        (0.0201, "leaving early costs at most 2.1 points"),  # never rounded down
        (-0.0086, "leaving early gains at least 0.8 points"),
        (-0.0004, "leaving early costs nothing against always going on to its own final"),
    ],
)
def test_the_sentence_rounds_so_that_the_promise_holds(bound: float, words: str):
    made = replace(
        certificates.certify(made_up(), (0.8, 0.6), delta=0.05), bound=bound, samples=2500
    )

    assert made.sentence.startswith(f"With 95 % confidence, {words}")
    assert made.sentence.endswith("on images like these (2,500 images).")


def test_a_certificate_as_json_has_every_field_and_the_confidence():
    made = certificates.certify(made_up(), (0.8, 0.6), delta=0.001, comparisons=3)

    assert made.to_dict() == {
        "method": "betting",
        "bounds": "accuracy lost by leaving early",
        "bound": made.bound,
        "confidence": 0.999,
        "delta": 0.001,
        "comparisons": 3,
        "samples": 600,
        "observed": made.observed,
        "split": "certify",
    }


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
    path = certificates.threshold_path(replace(trace, split="tune"), points=12)

    last = certificates.fixed_sequence(trace, path, max_loss=limit, delta=delta, method=method)

    bounds = [certificates.certify(trace, one, delta=delta, method=method).bound for one in path]
    assume(min(abs(bound - limit) for bound in bounds) > 2e-6)
    kept = [bound <= limit for bound in [*bounds, math.inf]]
    assert last == (kept.index(False) - 1 if kept[0] else None)


def test_a_path_goes_from_the_certain_ones_to_everybody_in_even_steps():
    trace = replace(made_up(2000), split="tune")

    path = certificates.threshold_path(trace, points=22)

    assert path[0] == (1.0, 1.0)
    assert path[-1] == (0.0, 0.0)
    assert len(path) == 22
    leaving = [policy.outcome(trace, one).edge_fraction for one in path]
    # the first and the last step are those beyond the samples
    assert np.diff(leaving[1:-1]) == pytest.approx(1 / 19, abs=0.01)


def test_a_path_cannot_be_fixed_on_the_split_that_certifies():
    with pytest.raises(CertificateError, match="fixed before certify is looked at"):
        certificates.threshold_path(made_up())


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


# What is refused


@every_method
@pytest.mark.parametrize("split", ["train", "tune", "test", "kitchen-tune"])
def test_nothing_is_certified_from_a_split_that_was_chosen_on_or_reports(method: str, split: str):
    trace = replace(made_up(), split=split)

    with pytest.raises(CertificateError, match=f"The {split} split certifies nothing"):
        certificates.certify(trace, (0.8, 0.6), delta=0.05, method=method)
    with pytest.raises(CertificateError, match=f"The {split} split certifies nothing"):
        certificates.band(trace, [(0.8, 0.6)], delta=0.05, method=method)
    with pytest.raises(CertificateError, match=f"The {split} split certifies nothing"):
        certificates.fixed_sequence(trace, [(0.8, 0.6)], max_loss=0.1, delta=0.05, method=method)


def test_a_split_of_ones_own_certifies():
    assert (
        certificates.certify(replace(made_up(), split="kitchen"), (0.8, 0.6), delta=0.05).bound
        < 0.2
    )


@pytest.mark.parametrize("delta", [0, 1, -0.1, 1.5, math.nan, math.inf])
def test_a_delta_outside_0_to_1_is_refused(delta: float):
    calls = [
        lambda: certificates.certify(made_up(), (0.8, 0.6), delta=delta),
        lambda: certificates.certify_exits(made_up(), (0.8, 0.6), delta=delta),
        lambda: certificates.band(made_up(), [(0.8, 0.6)], delta=delta),
        lambda: certificates.fixed_sequence(made_up(), [(0.8, 0.6)], max_loss=0.1, delta=delta),
        lambda: certificates.betting_bound([0, 1], delta=delta),
        lambda: certificates.clopper_pearson(1, 2, delta=delta),
    ]

    for call in calls:
        with pytest.raises(CertificateError, match="certifies nothing; give one above 0"):
            call()


@pytest.mark.parametrize(
    "call, kind, words",
    [
        (lambda: certificates.betting_bound([], delta=0.05), CertificateError, "from no samples"),
        (
            lambda: certificates.clopper_pearson(0, 0, delta=0.05),
            CertificateError,
            "from no samples",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8, 0.6), delta=0.05, method="luck"),
            UnknownNameError,
            "No method is called 'luck'; there are: betting, disagreement, regret",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8, 0.6), delta=0.05, comparisons=0),
            CertificateError,
            "0 comparisons cannot share a delta",
        ),
        (
            lambda: certificates.fixed_sequence(
                made_up(), [(0.8, 0.6)], max_loss=math.nan, delta=0.1
            ),
            CertificateError,
            "A largest loss of nan is none",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8,), delta=0.05),
            ThresholdError,
            "Too few thresholds",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8, 0.6), delta=0.05, measure="mood"),
            UnknownNameError,
            "No confidence measure is called 'mood'",
        ),
    ],
)
def test_what_cannot_be_certified_gives_one_sentence(
    call: Callable[[], object], kind: type[HybridError], words: str
):
    with pytest.raises(kind, match=words):
        call()
