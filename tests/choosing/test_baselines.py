"""Hybrids beside static networks: the verdict equals a loop over points, the picture shows them."""

import numpy as np
import pytest

from hybrid import energy, zoo
from hybrid.choosing.baselines import (
    PROFILES,
    WITHIN,
    Curve,
    PricedCurves,
    compared_points,
    comparisons,
    comparisons_at,
    priced_curves,
)
from hybrid.evaluation import Prices, evaluate
from hybrid.ui.networks import baselines as figures

NETWORK = "digits-vgg"


@pytest.fixture(scope="module")
def found() -> list[PricedCurves]:
    return priced_curves(NETWORK)


def test_every_scope_meets_every_profile_once(found: list[PricedCurves]):
    places = [(match.scope, match.profile) for match in found]

    assert len(set(places)) == len(places) == len(energy.SCOPES) * len(PROFILES) == 9
    variants = {v.name for v in zoo.card(NETWORK).variants.values()}
    for match in found:
        assert {c.variant.name for c in (*match.hybrids, *match.statics)} == variants


def test_a_point_is_what_evaluate_gives_on_test(found: list[PricedCurves]):
    match = found[4]
    curve = next(c for c in match.hybrids if c.variant.bits == 2)
    prices = Prices(profile=energy.load_profile(match.profile), scope=match.scope)

    for index in (0, len(curve.accuracy) // 2, -1):
        point = evaluate(NETWORK, 2, curve.thresholds[index].tolist(), prices=prices)
        assert curve.accuracy[index] == point.outcome.accuracy
        assert curve.energy_pj[index] == pytest.approx(point.energy_pj)


def test_a_duel_is_won_by_the_cheapest_hybrid_that_is_as_accurate(found: list[PricedCurves]):
    assert found
    assert all(match.statics and match.hybrids for match in found)
    for match in found:
        for static, comparison in zip(match.statics, comparisons(match), strict=True):
            cheapest = float("inf")
            for curve in match.hybrids:
                for spent, right in zip(curve.energy_pj, curve.accuracy, strict=True):
                    if right >= static.accuracy[0] - WITHIN:
                        cheapest = min(cheapest, float(spent))
            assert comparison.hybrid_energy_pj == cheapest
            assert comparison.static_wins == (static.energy_pj[0] < cheapest)


def test_the_sides_of_a_duel_are_what_evaluate_gives_at_its_points(found: list[PricedCurves]):
    prices = Prices(scope=energy.SCOPES[1])
    expected = comparisons(
        next(m for m in found if (m.scope, m.profile) == (prices.scope, PROFILES[0]))
    )

    fought = comparisons_at(NETWORK, prices)

    assert fought == expected
    for comparison in fought:
        static, hybrid = compared_points(NETWORK, comparison, prices)
        assert static.point.outcome.accuracy == comparison.accuracy
        assert static.point.uplink_bytes == 0
        assert static.point.energy_pj == pytest.approx(comparison.static_energy_pj)
        if hybrid is None:
            continue
        point = evaluate(
            NETWORK,
            hybrid.variant.bits,
            comparison.hybrid_thresholds,
            prices=Prices(scope="device"),
        )
        assert hybrid.point.outcome == point.outcome
        assert point.outcome.accuracy >= comparison.accuracy - WITHIN
        assert hybrid.point.energy_pj == pytest.approx(comparison.hybrid_energy_pj)
        assert hybrid.device_energy_pj == point.energy_pj
        assert hybrid.point.latency_ms == point.latency_ms
        assert hybrid.point.uplink_bytes == point.uplink_bytes
    assert any(comparison.hybrid for comparison in fought)


def test_a_static_network_that_no_hybrid_reaches_wins():
    variants = zoo.card(NETWORK).variants

    def curve(name: str, spent: float, right: float) -> Curve:
        return Curve(
            variant=variants[name],
            energy_pj=np.array([spent]),
            edge_fraction=np.array([1.0]),
            accuracy=np.array([right]),
            thresholds=np.zeros((1, variants[name].early_exits)),
        )

    match = PricedCurves(
        scope="compute",
        profile="purdue-45nm",
        hybrids=(curve("hybrid-4bit", 1.0, 0.904), curve("hybrid-2bit", 0.5, 0.80)),
        statics=(curve("static-4bit", 9.0, 0.91), curve("static-32bit", 9.0, 0.80)),
    )

    lost, won = comparisons(match)

    assert (lost.static_wins, lost.hybrid) == (True, "")
    assert (won.static_wins, won.hybrid, won.hybrid_energy_pj) == (False, "hybrid-2bit", 0.5)


def test_the_device_holds_edge_layers_and_heads_at_their_bits():
    variant = zoo.card(NETWORK).variants["hybrid-4bit"]

    by_hand = sum(
        -(-layer.weights * layer.weight_bits // 8)
        for layer in variant.layers
        if layer.segment in ("edge", "head")
    )

    static = zoo.card(NETWORK).variants["static-32bit"]
    held = energy.edge_weight_bytes(static.layers)
    assert energy.edge_weight_bytes(variant.layers) == by_hand < held
    twice = (*variant.layers, variant.layers[0])  # the same weights run again
    assert energy.edge_weight_bytes(twice) == by_hand


def test_the_sheet_shows_every_variant_in_every_square(found: list[PricedCurves]):
    figure = figures.sheet(found)

    assert len(figure.data) == 9 * len(zoo.card(NETWORK).variants)
    first = found[0].hybrids[0]
    assert np.allclose(figure.data[0].x, first.energy_pj / 1e6)
    assert np.allclose(figure.data[0].y, 100 * first.accuracy)
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == [f"{match.scope}, {match.profile}" for match in found]
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert len(named) == len(set(named)) == len(zoo.card(NETWORK).variants)
