"""A stricter limit never needs less energy, and the answer tells truly what decided it."""

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hybrid import choosing
from hybrid.choosing import Answer, Decided, Field, Limits, Point
from hybrid.choosing.choosing import priced_field
from hybrid.evaluation import Prices
from hybrid.policy import exits_taken
from hybrid.text import choice, decision
from hybrid.traces.trace import Trace
from tests.choosing.made_up import candidates_of, every_outcome
from tests.choosing.test_choosing import MEASURE, drawn, twin_of
from tests.strategies import synthetic_trace

PRICES = Prices(scope="device")
BATTERY = {"images_per_day": 1000.0, "battery_mah": 220.0, "battery_volts": 3.0}
# by figure: the limit on it
AT_MOST = {
    "loss_points": "max_loss_points",
    "energy_uj": "max_energy_uj",
    "latency_ms": "max_latency_ms",
    "p95_latency_ms": "max_p95_latency_ms",
    "uplink_bytes": "max_uplink_bytes",
    "edge_memory_kib": "max_edge_memory_kib",
}
AT_LEAST = {
    "accuracy_percent": "min_accuracy_percent",
    "class_accuracy_percent": "min_class_accuracy_percent",
    "days": "min_days",
}
seeds = st.integers(0, 7)
confidences = st.none() | st.sampled_from([0.3, 0.8, 0.95])


@cache
def field_of(seed: int) -> Field:
    """One of a few fields: some searched exactly, some not, with more or fewer images."""
    samples, exits = [(60, 2), (250, 3), (900, 3), (120, 4)][seed % 4]
    return drawn(samples, exits, seed=seed)


# by figure: how far up its values a limit is set; no limit for None
Fractions = dict[str, float | None]
fractions = st.fixed_dictionaries({
    figure: st.none() | st.floats(0, 0.999) for figure in AT_MOST | AT_LEAST
})  # fmt: skip


def limits_at(field: Field, wanted: Fractions, confidence: float | None) -> Limits:
    """Limits near what the field's points reach, so that they matter."""
    # a limit of 0 % on every class has the figure counted
    reached = choosing.pareto_sets(field, Limits(**BATTERY, min_class_accuracy_percent=0), PRICES)
    given_: dict[str, Any] = {}
    for figure, fraction in wanted.items():
        if fraction is None:
            continue
        values = np.sort(np.concatenate([one.figures[figure] for one in reached]))
        value = max(float(values[int(fraction * len(values))]), 0.0)
        # an accuracy between 0 and 1 % is refused, because it looks like a fraction
        if math.isfinite(value) and not (figure.startswith("acc") and value <= 1):
            given_[(AT_MOST | AT_LEAST)[figure]] = value
    return Limits(**given_, **BATTERY, confidence=confidence)


def energy(point: Point | None) -> float:
    return math.inf if point is None else point.tune.energy_pj


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(
    seeds, fractions, fractions, confidences, confidences,
    st.sampled_from([*AT_MOST, *AT_LEAST, "confidence"]),
)  # fmt: skip
def test_a_stricter_limit_never_needs_less_energy(
    seed: int,
    wanted: Fractions,
    others: Fractions,
    confidence: float | None,
    another: float | None,
    which: str,
) -> None:
    field = field_of(seed)
    loose = limits_at(field, wanted, confidence)
    strict = stricter(loose, limits_at(field, others, another), which)

    wide, narrow = (choosing.choose(field, limits, PRICES) for limits in (loose, strict))

    assert energy(narrow.best) >= energy(wide.best)
    assert energy(narrow.without) >= energy(wide.without)
    if wide.best is None and wide.without is None:
        assert narrow.best is None


def stricter(loose: Limits, other: Limits, which: str) -> Limits:
    """The same with one limit at least as strict, taken from the other."""
    name = (AT_MOST | AT_LEAST | {"confidence": "confidence"})[which]
    ours, theirs = getattr(loose, name), getattr(other, name)
    pick = min if which in AT_MOST else max
    given = [value for value in (ours, theirs) if value is not None]
    return replace(loose, **{name: pick(given) if given else None})


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(seeds, fractions, confidences, st.sampled_from([*AT_MOST, *AT_LEAST]))
def test_a_limit_that_is_already_kept_changes_nothing(
    seed: int, wanted: Fractions, confidence: float | None, figure: str
) -> None:
    field = field_of(seed)
    limits = limits_at(field, wanted, confidence)
    before = choosing.choose(field, limits, PRICES)
    assume(before.best is not None)
    assert before.best is not None
    assume(figure != "loss_points" or limits.max_loss_points is not None)
    name = (AT_MOST | AT_LEAST)[figure]
    kept = before.best.tune.by_limit[figure]
    if figure == "loss_points":
        assert limits.max_loss_points is not None
        kept = limits.max_loss_points
    # the figure itself, a little looser, as a sum over all rows may round otherwise
    value = kept * (1 - 1e-9) if figure in AT_LEAST else kept * (1 + 1e-9)
    assume(not 0 < value <= 1 or name not in AT_LEAST.values())

    after = choosing.choose(field, replace(limits, **{name: value}), PRICES)

    assert after.best == before.best
    assert after.comparisons == before.comparisons
    if before.proof and limits.certified and figure != "loss_points":
        assert after.proof == before.proof


def test_the_paths_of_certificates_are_the_same_for_all_limits() -> None:
    field = field_of(1)
    choosing.choose(field, Limits(max_loss_points=2.0), PRICES)
    before = priced_field(field, PRICES).paths

    choosing.choose(field, Limits(max_loss_points=5.0, max_uplink_bytes=0), PRICES)

    assert priced_field(field, PRICES).paths is before
    assert sum(path.share for path in before) == pytest.approx(1)
    for path in before:
        rated = priced_field(field, PRICES).rated
        tables = [rated[owner].priced for owner in path.owners]
        points = list(zip(tables, path.rows, strict=True))
        losses = [table["loss_points"][row] for table, row in points]
        energies = [table["energy_uj"][row] for table, row in points]
        assert losses == sorted(losses)
        assert energies == sorted(energies, reverse=True)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(seeds, fractions, st.floats(0, 0.999))
def test_a_point_that_only_the_certificate_rules_out_is_certified_at_its_bound(
    seed: int, wanted: Fractions, loss: float
) -> None:
    field = field_of(seed)
    limits = limits_at(field, wanted | {"loss_points": loss}, 0.8)
    assume(limits.certified)
    answer = choosing.choose(field, limits, PRICES)

    bounds = [one.bound_points for one in answer.uncertifiable]

    assert bounds == sorted(bounds)
    for one in answer.uncertifiable[:3]:
        assert one.point.tune.energy_pj < energy(answer.best)
        assert not choosing.limits.violations_of(one.point.tune.by_limit, limits)
        assert one.images is None or one.images > one.samples
        if math.isfinite(one.bound_points):
            there = replace(limits, max_loss_points=min(one.bound_points, 100.0))
            assert energy(choosing.choose(field, there, PRICES).best) <= one.point.tune.energy_pj


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=25)
@given(seeds, fractions, confidences)
def test_the_curve_is_what_choosing_at_each_of_its_limits_gives(
    seed: int, wanted: Fractions, confidence: float | None
) -> None:
    field = field_of(seed)
    limits = limits_at(field, wanted, confidence)
    levels = [0.0, 0.5, 2.0, 7.0, 20.0, 60.0, 100.0]

    curve = choosing.loss_curve(field, limits, PRICES, levels)

    assert curve.allowed_points.tolist() == sorted({*levels, *curve.allowed_points.tolist()})
    for level, certified, uncertified in zip(
        curve.allowed_points, curve.certified_energy_pj, curve.uncertified_energy_pj, strict=True
    ):
        answer = choosing.choose(field, replace(limits, max_loss_points=float(level)), PRICES)
        best = None if limits.confidence is None else answer.best
        assert (best is None) == np.isnan(certified)
        assert best is None or certified == pytest.approx(best.tune.energy_pj)
        assert (answer.without is None) == np.isnan(uncertified)
        assert answer.without is None or uncertified == pytest.approx(answer.without.tune.energy_pj)


def test_a_curve_has_the_limit_that_was_asked_for_among_its_levels() -> None:
    curve = choosing.loss_curve(field_of(1), Limits(max_loss_points=1.3), PRICES)

    assert 1.3 in curve.allowed_points
    assert len(curve.allowed_points) == 22


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 3), fractions, confidences)
def test_no_network_meets_the_limits_is_said_only_where_it_is_true(
    seed: int, exits: int, wanted: Fractions, confidence: float | None
) -> None:
    trace = synthetic_trace(samples=9, exits=exits, seed=seed, split="tune", classes=3)
    twin = twin_of(trace, np.roll(trace.classes[:, -1], seed % 2))
    certify = [replace(one, split="certify") for one in (trace, twin)]
    field = candidates_of(trace, certify[0], (twin, certify[1]))
    limits = limits_at(field, wanted, confidence)

    answer = choosing.choose(field, limits, PRICES)

    possible = any(keeps(limits, figures) for figures in all_figures(twin, field))
    assert (answer.without is not None) == possible
    assert ("No network meets all limits" in choice.headline(answer)) == (
        answer.best is None and not possible
    )
    assert ("cannot be certified" in choice.headline(answer)) == (answer.best is None and possible)
    check_what_decided(answer)


def check_what_decided(answer: Answer) -> None:
    if answer.limits.uncertified:
        assert answer.decided is Decided.UNCERTIFIED
        assert answer.best == answer.without
        return
    cheaper = energy(answer.without) < energy(answer.best)
    assert (answer.decided is Decided.CERTIFICATE) == (answer.best != answer.without)
    assert answer.decided is Decided.CERTIFICATE or not cheaper
    assert bool(decision.without(answer)) == (answer.decided is Decided.CERTIFICATE)
    if answer.limits.certified and answer.best and answer.without:
        cost = answer.best.tune.energy_pj - answer.without.tune.energy_pj
        assert answer.certificate_cost_pj == cost >= 0


def all_figures(twin: Trace, field: Field) -> list[dict[str, float]]:
    """The figures of every outcome, each counted by a loop."""
    full = int(twin.correct[:, 0].sum())
    found = []
    for candidate in field.candidates:
        costs, battery = candidate.costs(PRICES), candidate.costs(Prices(scope="device"))
        seen = candidate.seen["tune"]
        exits = seen.correct.shape[1]
        outcomes = [()] if exits == 1 else every_outcome(seen, MEASURE)
        for thresholds in outcomes:
            sure = seen.confidences[MEASURE][:, : exits - 1]
            taken = exits_taken(sure, np.array(thresholds, np.float32))
            right = [bool(seen.correct[i, exit_]) for i, exit_ in enumerate(taken)]
            late = sorted(costs.latency_ms[exit_] for exit_ in taken)
            joules = sum(battery.energy_pj[exit_] for exit_ in taken) / len(taken) * 1e-12
            by_class = [
                sum(r for r, label in zip(right, seen.labels, strict=True) if label == one)
                / int((seen.labels == one).sum())
                for one in set(seen.labels.tolist())
            ]
            found.append({
                "loss_points": 100 * (full - sum(right)) / len(right),
                "energy_uj": sum(costs.energy_pj[exit_] for exit_ in taken) / len(taken) / 1e6,
                "latency_ms": sum(late) / len(late),
                "p95_latency_ms": late[math.ceil(0.95 * len(late)) - 1],
                "uplink_bytes": sum(costs.uplink_bytes[exit_] for exit_ in taken) / len(taken),
                "edge_memory_kib": candidate.edge_memory_kib,
                "accuracy_percent": 100 * sum(right) / len(right),
                "class_accuracy_percent": 100 * min(by_class),
                "days": 0.220 * 3600 * 3.0 / (1000 * joules) if joules else math.inf,
            })  # fmt: skip
    return found


def keeps(limits: Limits, figures: dict[str, float]) -> bool:
    return all(
        figures[name] >= value * (1 - 1e-9)
        if name in AT_LEAST
        else figures[name] <= value * (1 + 1e-9) + 1e-12
        for name, value in limits.on_figures.items()
    )


def test_nothing_is_left_out_for_a_limit_that_nothing_can_break() -> None:
    answer = choosing.choose(drawn(3, 3), Limits(max_loss_points=100.0))

    assert answer.left_out == ()
    assert answer.uncertifiable == ()
    assert answer.decided is Decided.LIMITS


def test_a_limit_on_accuracy_needs_labels() -> None:
    field = replace(field_of(0), labelled=False)

    with pytest.raises(choosing.limits.LimitError, match="These images have no labels"):
        choosing.choose(field, Limits(min_class_accuracy_percent=50.0))
