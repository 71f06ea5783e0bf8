"""Evaluating what ships: the card's census, a profile's prices and a trace meet rightly."""

from dataclasses import replace

import pytest

from hybrid import energy, policy, zoo
from hybrid.errors import PointError, UnknownNameError
from hybrid.evaluation import (
    Prices,
    costs,
    evaluate,
    evaluate_variant,
    twin_accuracy,
    twin_energy_pj,
)

# A network whose training is under way may have no hybrid yet.
every_network = pytest.mark.parametrize("network", list(filter(zoo.bit_widths, zoo.networks())))
every_scope = pytest.mark.parametrize("scope", energy.SCOPES)
every_profile = pytest.mark.parametrize("profile", energy.profile_names())


@every_network
@every_scope
def test_mean_costs_are_the_exit_fractions_times_the_exits_costs(network: str, scope: str) -> None:
    bits = zoo.bit_widths(network)[0]
    variant = zoo.variant(network, bits)
    prices = Prices(scope=scope)

    point = evaluate(network, bits, [0.8] * variant.early_exits, prices=prices)

    fractions = point.outcome.exit_fractions
    paid = costs(variant, prices)
    for name in ("energy_pj", "latency_ms", "uplink_bytes"):
        mean = sum(f * c for f, c in zip(fractions, getattr(paid, name), strict=True))
        assert getattr(point, name) == pytest.approx(mean)


@every_network
@every_profile
def test_the_twin_evaluated_as_a_network_costs_what_points_are_compared_with(
    network: str, profile: str
) -> None:
    prices = Prices(profile=energy.load_profile(profile))

    twin = evaluate(network, 32, (), static=True, prices=prices)

    bits = zoo.bit_widths(network)[0]
    compared = twin_energy_pj(zoo.card(network), zoo.variant(network, bits), prices)
    assert twin.energy_pj == pytest.approx(compared)
    assert twin.outcome.accuracy == twin_accuracy(network, "test")


@every_network
def test_without_a_twin_the_variants_own_layers_stand_in(network: str) -> None:
    card, prices = zoo.card(network), Prices()
    variant = zoo.variant(network, zoo.bit_widths(network)[0])
    alone = replace(card, variants={variant.name: variant})

    compared = twin_energy_pj(alone, variant, prices)

    assert compared == pytest.approx(twin_energy_pj(card, variant, prices))


@every_network
def test_thresholds_are_read_from_text_and_numbers_alike(network: str) -> None:
    bits = zoo.bit_widths(network)[0]
    early = zoo.variant(network, bits).early_exits

    as_text = evaluate(network, bits, ",".join(["0.75"] * early))

    assert as_text == evaluate(network, bits, [0.75] * early)
    assert isinstance(as_text, policy.OperatingPoint)


def test_a_scope_and_a_split_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="No scope is called 'everything'"):
        Prices(scope="everything")
    with pytest.raises(UnknownNameError, match="No split is called 'train'"):
        evaluate("digits-vgg", 4, "0.9,0.8", split="train")


def test_only_the_twin_is_asked_in_the_cloud_alone():
    card = zoo.card("digits-vgg")

    with pytest.raises(PointError, match="hybrid-4bit does not run in the cloud alone"):
        evaluate_variant(card, card.variants["hybrid-4bit"], "0.8,0.8", cloud=True)
