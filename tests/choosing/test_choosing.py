"""Choosing against a plain loop over every outcome, and what it promises of certificates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hybrid import certificates, choosing, energy, evaluation
from hybrid.choosing import MODES, Answer, Field, Limits, search
from hybrid.choosing.candidates import Candidate, see
from hybrid.choosing.choosing import priced_field
from hybrid.choosing.curves import pareto_sets
from hybrid.evaluation import Prices
from hybrid.text.candidate import reason
from hybrid.traces.trace import Trace
from tests.choosing.made_up import candidates_of, card_of, every_outcome, looped
from tests.strategies import random_traces, synthetic_trace

MEASURE = "max_probability"
OBSERVED = {"confidence": None}
scopes = st.sampled_from(energy.SCOPES)


@st.composite
def fields(draw: st.DrawFn, max_exits: int = 3) -> tuple[Trace, Trace, Field]:
    """A hybrid's trace of tune, its twin's, and the field of both."""
    trace = replace(draw(random_traces(max_samples=7, max_exits=max_exits)), split="tune")
    answers = draw(st.lists(st.integers(0, 3), min_size=trace.samples, max_size=trace.samples))
    twin = twin_of(trace, np.array(answers))
    certified = replace(trace, split="certify"), replace(twin, split="certify")
    return trace, twin, candidates_of(trace, certified[0], (twin, certified[1]))


def twin_of(trace: Trace, answers: Any) -> Trace:
    """A static trace of the same images that answers so."""
    made = synthetic_trace(samples=1, exits=1)
    confidences = {name: values[:, -1:] for name, values in trace.confidences.items()}
    about = {"labels": trace.labels, "classes": answers[:, None], "confidences": confidences}
    return replace(made, variant="static-32bit", split=trace.split, **about)


def drawn(samples: int, exits: int, *, seed: int = 0) -> Field:
    """A field with splits of its own, all of the same network."""
    splits = [synthetic_trace(samples=samples, exits=exits, seed=seed + i, split=name)
              for i, name in enumerate(("tune", "certify"))]  # fmt: skip
    twins = tuple(twin_of(t, t.classes[:, -1]) for t in splits)
    return candidates_of(splits[0], splits[1], twins)


def by_mode(field: Field) -> dict[str, Candidate]:
    return {candidate.mode.name: candidate for candidate in field.candidates}


def best_of_the_loop(trace: Trace, twin: Trace, limits: Limits, prices: Prices) -> Any:
    """Least energy, then most right, of all outcomes that keep the limits; None if none does."""
    card = card_of(exits=trace.all_exits - 1)
    costs = evaluation.costs(card.variants["hybrid-4bit"], prices)
    full = twin.correct[:, 0].sum()
    rows = [looped(trace, at, MEASURE, costs) for at in every_outcome(trace, MEASURE)]
    static = evaluation.costs(card.variants["static-32bit"], prices)
    rows.append((full, 0, static.energy_pj[0], static.latency_ms[0], 0.0))
    twin_pj = evaluation.twin_energy_pj(card, card.variants["static-32bit"], prices)
    macs = sum(layer.macs for layer in card.variants["static-32bit"].layers)
    travel_ms = prices.link.round_trip_ms + prices.link.transfer_ms(card.image_bytes)
    cloud_ms = macs / prices.profile.cloud_macs_per_second * 1000 + travel_ms
    rows.append((full, trace.samples, twin_pj, cloud_ms, float(card.image_bytes)))
    kept = [
        (pj, -right)
        for right, _, pj, ms, sent in rows
        if 100 * (full - right) / trace.samples <= given_or_all(limits.max_loss_points)
        and pj / 1e6 <= given_or_all(limits.max_energy_uj)
        and ms <= given_or_all(limits.max_latency_ms)
        and sent <= given_or_all(limits.max_uplink_bytes)
    ]
    return min(kept, default=None)


def given_or_all(limit: float | None) -> float:
    return np.inf if limit is None else limit * (1 + 1e-12)


def choice(answer: Answer) -> Any:
    if answer.best is None:
        return None
    figures = answer.best.tune
    return figures.energy_pj, -round(figures.accuracy * figures.samples)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    fields(),
    scopes,
    st.none() | st.floats(0, 100),
    st.none() | st.floats(0, 700),
    st.none() | st.floats(0, 120),
    st.none() | st.floats(0, 3500),
)
def test_the_choice_is_that_of_a_loop_over_every_outcome_there_is(
    made: tuple[Trace, Trace, Field],
    scope: str,
    loss: float | None,
    energy_uj: float | None,
    latency_ms: float | None,
    uplink_bytes: float | None,
) -> None:
    trace, twin, field = made
    limits = Limits(
        max_loss_points=loss,
        max_energy_uj=energy_uj,
        max_latency_ms=latency_ms,
        max_uplink_bytes=uplink_bytes,
        **OBSERVED,
    )
    prices = Prices(scope=scope)

    answer = choosing.choose(field, limits, prices)

    expected = best_of_the_loop(trace, twin, limits, prices)
    assert answer.exact
    assert (answer.best is None) == (expected is None)
    if expected is not None:
        assert choice(answer)[0] == pytest.approx(expected[0])
        assert choice(answer)[1] == expected[1]


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=30)
@given(fields(), scopes, st.floats(0, 40))
def test_a_search_that_is_not_exact_never_breaks_a_limit_nor_beats_the_loop(
    made: tuple[Trace, Trace, Field], scope: str, loss: float
) -> None:
    trace, twin, _ = made
    limits, prices = Limits(max_loss_points=loss, **OBSERVED), Prices(scope=scope)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "COMBINATIONS", 8)
        certified = replace(trace, split="certify"), replace(twin, split="certify")
        coarse = candidates_of(trace, certified[0], (twin, certified[1]))

    answer = choosing.choose(coarse, limits, prices)

    expected = best_of_the_loop(trace, twin, limits, prices)
    assert expected is not None  # the twin itself loses nothing
    assert answer.best is not None
    assert answer.best.tune.loss_points <= loss
    assert answer.best.tune.energy_pj >= expected[0] * (1 - 1e-12)


def test_a_refined_point_can_be_bettered_by_no_change_of_one_threshold() -> None:
    field = drawn(400, 3)
    limits, prices = Limits(max_loss_points=1.5, **OBSERVED), Prices()
    hybrid = by_mode(field)["hybrid"]
    assert not hybrid.options.exact

    answer = choosing.choose(replace(field, candidates=(hybrid,)), limits, prices)

    assert answer.best is not None
    seen, best = hybrid.seen["tune"], answer.best
    costs = hybrid.costs(prices)
    allowed = seen.reference_right - 0.015 * seen.samples
    for exit_ in range(2):
        for value in search.distinct_thresholds(seen.confidences[MEASURE][:, exit_]):
            moved = list(best.thresholds)
            moved[exit_] = float(value)
            right, _, pj, *_ = looped(seen, moved, MEASURE, costs)  # type: ignore[arg-type]
            assert right < allowed or pj >= best.tune.energy_pj * (1 - 1e-12)


@pytest.mark.slow
@given(random_traces(max_samples=10, max_exits=2))
def test_the_thresholds_of_one_exit_reach_every_outcome_of_the_sliders_once(trace: Trace) -> None:
    assume(trace.all_exits == 2)
    sure = trace.confidences[MEASURE][:, 0]

    found = search.distinct_thresholds(sure)

    leaving = [int((sure >= np.float32(value)).sum()) for value in found]
    sliders = (np.arange(10_001) / 10_000).astype(np.float32)
    reached = {int((sure >= value).sum()) for value in sliders}
    assert leaving == sorted(reached, reverse=True)
    assert [round(value * 10_000) / 10_000 for value in found] == found.tolist()


def test_an_edge_ends_at_its_last_exit_and_sends_nothing() -> None:
    field = drawn(120, 3)
    edge = by_mode(field)["edge"]

    answer = choosing.choose(replace(field, candidates=(edge,)), Limits())

    assert answer.best is not None
    assert answer.best.thresholds[-1] == 0
    assert answer.best.tune.exit_fractions[-1] == 0
    assert len(answer.best.tune.exit_fractions) == 3
    assert answer.best.tune.uplink_bytes == 0
    assert answer.best.tune.edge_fraction == 1


def test_every_image_to_the_cloud_costs_what_the_raw_image_costs_over_the_link() -> None:
    field = drawn(60, 2)
    cloud = by_mode(field)["cloud"]
    prices = Prices(scope="device")

    best = choosing.choose(replace(field, candidates=(cloud,)), Limits(), prices).best

    assert best is not None
    # 32 × 32 × 3 bytes over Bluetooth LE at 27 nJ a bit, and 0.7 Mbit a second
    assert best.tune.uplink_bytes == 3072
    assert best.tune.energy_pj == pytest.approx(3072 * 8 * 27e3)
    assert best.tune.latency_ms > 50 + 3072 * 8 / 700
    assert best.tune.loss_points == 0
    assert best.tune.edge_memory_kib == 3


def test_a_cloud_with_a_profile_of_its_own_prices_what_runs_there_and_not_the_baseline() -> None:
    (card,) = {one.card.network: one.card for one in drawn(60, 2).candidates}.values()
    twin, hybrid = card.variants["static-32bit"], card.variants["hybrid-4bit"]
    chip = replace(
        energy.load_profile("purdue-45nm"),
        mac_pj_per_bit=0.0,
        mac_pj_fixed=0.5,
        cloud_macs_per_second=4e12,
    )
    macs = sum(layer.macs for layer in twin.layers)
    in_cloud = sum(layer.macs for layer in hybrid.layers if layer.segment == "cloud")

    same, apart = Prices(), Prices(cloud=chip)

    raw = evaluation.cloud_costs(card, twin, apart)
    assert raw.energy_pj == pytest.approx((macs * 0.5,))
    travel_ms = 50 + card.image_bytes * 8 / 700
    assert raw.latency_ms == pytest.approx((travel_ms + macs / 4e12 * 1000,))
    one, other = (evaluation.costs(hybrid, prices).energy_pj for prices in (same, apart))
    assert one[:-1] == other[:-1]
    assert one[-1] - other[-1] == pytest.approx(in_cloud * (3.2 - 0.5))
    assert evaluation.twin_energy_pj(card, hybrid, apart) == pytest.approx(macs * 3.2)


def test_edge_memory_is_packed_weights_and_the_largest_activations() -> None:
    hybrid = by_mode(drawn(20, 3))["hybrid"]

    # stem at 32 bits, two stages at 4, two heads at 32; a layer holds 2,000 + 1,000 numbers
    weights = 36_000 + 2 * 4_500 + 2 * 36_000
    assert hybrid.edge_memory_kib == (weights + 3_000 * 32 / 8) / 1024


def test_the_battery_lasts_by_what_the_device_alone_spends() -> None:
    field = drawn(60, 2)
    static = by_mode(field)["static"]
    limits = Limits(images_per_day=1000, battery_mah=220, battery_volts=3.0)
    alone = replace(field, candidates=(static,))

    best = choosing.choose(alone, limits, Prices(scope="compute")).best
    device = choosing.choose(alone, limits, Prices(scope="device")).best

    assert best is not None
    assert device is not None
    joules = 0.220 * 3600 * 3.0
    assert best.tune.days == pytest.approx(joules / (1000 * device.tune.energy_pj * 1e-12))
    short = replace(limits, min_days=2 * best.tune.days)
    violations = choosing.choose(alone, short).ranking[0].violations
    assert [b.limit for b in violations] == ["days"]
    assert violations[0].excess == pytest.approx(best.tune.days)


def test_of_equally_cheap_points_the_more_accurate_wins() -> None:
    field = drawn(200, 2)
    nothing = {"mac_pj_per_bit": 0.0, "mac_pj_fixed": 0.0, "mac_pj_at_bits": {32: 0.0}}
    prices = Prices(profile=replace(energy.load_profile("purdue-45nm"), **nothing))

    answer = choosing.choose(field, Limits(), prices)

    assert answer.best is not None
    assert answer.best.tune.energy_pj == 0
    found = pareto_sets(field, Limits(), prices)
    assert answer.best.tune.loss_points == min(one.figures["loss_points"].min() for one in found)


def test_runners_up_are_of_other_variants_first_and_the_left_out_say_what_they_break() -> None:
    answer = choosing.choose(
        drawn(400, 3), Limits(max_loss_points=2.0, max_energy_uj=12, **OBSERVED)
    )

    assert answer.best is not None
    assert len(answer.runners_up) == 3
    costs = [point.tune.energy_pj for point in (answer.best, *answer.runners_up)]
    assert min(costs) == costs[0]
    for ranked in answer.left_out:
        for violation in ranked.violations:
            assert (
                ranked.point.tune.by_limit[violation.limit] == violation.value > violation.allowed
            )
    broken = {s.point.mode: [b.limit for b in s.violations] for s in answer.left_out}
    assert broken == {"static": ["energy_uj"], "cloud": ["energy_uj"], "edge": ["loss_points"]}
    misses = [ranked.miss for ranked in answer.left_out]
    assert misses == sorted(misses)


def test_limits_that_nobody_can_keep_name_the_nearest_miss() -> None:
    answer = choosing.choose(drawn(100, 2), Limits(max_energy_uj=0.001))

    assert answer.best is None
    assert answer.proof is None
    assert answer.runners_up == ()
    assert answer.nearest_miss is not None
    misses = [ranked.miss for ranked in answer.ranking]
    assert answer.nearest_miss.miss == min(misses) > 0
    assert answer.nearest_miss.violations[0].allowed == 0.001


def test_what_is_certified_passed_at_its_paths_share_of_delta() -> None:
    field = drawn(3000, 3)
    limits = Limits(max_loss_points=16.0, confidence=0.9)

    answer = choosing.choose(field, limits)

    hybrid = by_mode(field)["hybrid"]
    ranked = next(s for s in answer.ranking if s.point.mode == "hybrid")
    assert ranked.kept
    seen = hybrid.seen["certify"]
    early = exits_of(seen, ranked.point.thresholds)
    reference = (seen.reference_classes == seen.labels).astype(int)
    gaps = reference - seen.correct[np.arange(seen.samples), early].astype(int)
    p_value = certificates.betting_p_values(gaps[None], max_loss=0.16, delta=0.05 / 2)[0]
    assert p_value <= 0.1  # no path has more than all of delta


def exits_of(seen: Any, thresholds: tuple[float, ...]) -> Any:
    taken = np.full(seen.samples, len(thresholds))
    for i in reversed(range(len(thresholds))):
        taken[seen.confidences[MEASURE][:, i] >= np.float32(thresholds[i])] = i
    return taken


def loss_without_cloud(seen: Any, thresholds: tuple[float, ...], delta: float) -> float:
    """The bound of the loss in points while the cloud is down, image by image."""
    gaps = []
    for n in range(seen.samples):
        sure = [float(seen.confidences[MEASURE][n, i]) for i in range(len(thresholds))]
        at_exit = [i for i, limit in enumerate(thresholds) if sure[i] >= np.float32(limit)]
        answers = at_exit[0] if at_exit else sure.index(max(sure))
        reference = int(seen.reference_classes[n] == seen.labels[n])
        gaps.append(reference - int(seen.correct[n, answers]))
    low, high = float(np.mean(gaps)), 1.0
    order = np.random.default_rng(0).permutation(len(gaps))
    halves = [(gaps[n] + 1) / 2 for n in order]
    while high - low > 1e-7:  # the largest mean at which the bets do not win 1 / delta
        middle = (low + high) / 2
        if most_won(halves, (middle + 1) / 2, delta) < 1 / delta:
            low = middle
        else:
            high = middle
    return 100 * high


def most_won(halves: list[float], mean: float, delta: float) -> float:
    """The most that bets against this mean have won at any time: the formula, sample by sample."""
    wealth = most = 1.0
    total, squares, variance = 0.0, 0.0, 0.25
    for t, x in enumerate(halves, 1):
        wealth *= 1 - min(1.0, np.sqrt(2 * np.log(1 / delta) / (len(halves) * variance))) * (
            x - mean
        )
        most = max(most, wealth)
        total += x
        squares += (x - (0.5 + total) / (t + 1)) ** 2
        variance = (0.25 + squares) / (t + 1)
    return most


@pytest.mark.parametrize("limit", [None, 30.0])
def test_the_loss_without_the_cloud_is_that_of_a_loop_over_images(limit: float | None) -> None:
    field = drawn(600, 2)
    some = [one for one in field.candidates if one.mode.name != "edge"]
    field = replace(field, candidates=tuple(some))
    limits = Limits(max_loss_points=limit, confidence=0.9, min_accuracy_percent=20)
    answer = choosing.choose(field, limits)
    assert answer.best is not None
    assert answer.proof is not None
    assert answer.best.mode == "hybrid"

    # found among all points of the paths where a limit of loss was certified, else alone
    paths = priced_field(field, Prices()).paths if limit else ()
    points = sum(len(path.rows) for path in paths) or 1
    seen = by_mode(field)["hybrid"].seen["certify"]
    expected = loss_without_cloud(seen, answer.best.thresholds, 0.1 / points)

    assert answer.proof.without_cloud_points == pytest.approx(expected, abs=1e-3)


def test_a_loss_that_holds_on_tune_and_not_on_certify_is_left_out_with_its_bound() -> None:
    tune = synthetic_trace(samples=500, exits=2, seed=1, split="tune")
    other = synthetic_trace(samples=500, exits=2, seed=2, split="certify")
    wrong = replace(other, classes=(other.labels[:, None] + 1).repeat(2, axis=1) % 10)
    twins = twin_of(tune, tune.classes[:, -1]), twin_of(other, other.labels)

    answer = choosing.choose(candidates_of(tune, wrong, twins), Limits(max_loss_points=5.0))

    assert answer.best is not None
    assert answer.best.mode in {"static", "cloud"}
    left = {s.point.mode: s for s in answer.left_out}
    assert left["hybrid"].violations[0].certified
    assert left["hybrid"].violations[0].value == pytest.approx(100)  # all wrong, the twin all right


def test_a_loss_that_so_few_images_cannot_promise_is_left_out_with_how_many_could() -> None:
    answer = choosing.choose(drawn(40, 2), Limits(max_loss_points=5.0, confidence=0.9))

    left = {s.point.mode: s for s in answer.left_out}
    violation = left["hybrid"].violations[0]
    assert violation.samples == 40
    assert violation.enough is not None
    assert violation.enough > 40
    assert f"it would take about {violation.enough} images to certify" in reason(left["hybrid"])


def test_without_labels_to_certify_on_a_certified_limit_is_kept_by_the_reference_alone() -> None:
    field = drawn(200, 2)
    bare = [replace(c, seen={"tune": c.seen["tune"]}) for c in field.candidates]

    answer = choosing.choose(replace(field, candidates=tuple(bare)), Limits(max_loss_points=1.0))

    assert {s.point.mode for s in answer.ranking if s.kept} == {"static", "cloud"}
    assert all(np.isinf(s.violations[0].value) for s in answer.left_out if s.point.mode == "hybrid")
    left = {said["point"]["mode"]: said for said in answer.to_dict()["left_out"]}
    assert left["hybrid"]["violations"][0]["value"] is None


def test_a_choice_without_a_limit_of_loss_is_certified_alone() -> None:
    answer = choosing.choose(drawn(2000, 2), Limits(max_energy_uj=50))

    assert answer.proof is not None
    assert answer.proof.comparisons == 1
    assert answer.proof.bound_points > answer.proof.observed_points


@pytest.mark.slow
def test_the_promise_is_broken_no_more_often_than_it_may_be() -> None:
    """200 fields from one population: how often does the certified choice lose more than said?"""
    exits, limit, delta, rounds = 2, 3.0, 0.1, 200
    pool = synthetic_trace(samples=40_000, exits=exits, seed=9)
    truth = see(pool, MODES["hybrid"], twin_of(pool, pool.classes[:, -1]))
    rng = np.random.default_rng(0)
    broken = chosen = 0
    for _ in range(rounds):
        rows = rng.integers(0, pool.samples, 800)
        parts = {"tune": rows[:400], "certify": rows[400:]}
        traces = {name: part(pool, some, name) for name, some in parts.items()}
        twins = tuple(twin_of(t, t.classes[:, -1]) for t in traces.values())
        field = candidates_of(traces["tune"], traces["certify"], twins)
        field = replace(field, candidates=field.candidates[:2])
        best = choosing.choose(field, Limits(max_loss_points=limit, confidence=1 - delta)).best
        if best is None:
            continue
        chosen += 1
        taken = exits_of(truth, best.thresholds)
        right = truth.correct[np.arange(truth.samples), taken].sum()
        broken += truth.loss_points(right) > limit
    assert chosen > rounds / 3
    assert broken / rounds <= delta + 3 * np.sqrt(delta * (1 - delta) / rounds)


def part(trace: Trace, rows: Any, split: str) -> Trace:
    confidences = {name: values[rows] for name, values in trace.confidences.items()}
    about = {"labels": trace.labels[rows], "classes": trace.classes[rows]}
    return replace(trace, confidences=confidences, split=split, **about)


def test_a_choice_is_compared_under_every_profile() -> None:
    field = drawn(300, 3)
    limits, prices = Limits(max_loss_points=2.0, **OBSERVED), Prices()
    best = choosing.choose(field, limits, prices).best
    assert best is not None
    profiles = [energy.load_profile(name) for name in energy.profile_names()]

    found = choosing.check_profiles(field, limits, prices, best, profiles)

    assert [one.profile for one in found] == energy.profile_names()
    assert found[0].agrees
    assert found[0].own == best
    assert found[0].excess_energy == 0
    assert all(one.excess_energy is not None and one.excess_energy >= 0 for one in found)


@pytest.mark.parametrize("times, agrees", [(1.1, True), (1.0, True), (0.9, False)])
def test_a_choice_stays_the_best_where_no_other_candidate_needs_less_energy(
    times: float, agrees: bool
) -> None:
    own = choosing.choose(drawn(60, 2), Limits(max_loss_points=5.0, **OBSERVED)).best
    assert own is not None
    tune = replace(own.tune, energy_pj=times * own.tune.energy_pj)
    other = replace(own, variant="another", tune=tune)
    violations = (choosing.Violation(limit="latency_ms", value=2.0, allowed=1.0),)

    found = choosing.ProfileCheck(profile="there", own=own, violations=(), best=other)

    assert found.agrees == agrees
    assert not replace(found, violations=violations).agrees
    assert not replace(found, best=None).agrees
