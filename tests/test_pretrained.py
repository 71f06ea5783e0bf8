"""One contract for every network in pretrained/: what its card says is what its files give."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hybrid import data, zoo
from hybrid.deploy.network import load_form_network
from hybrid.files import sha256_of
from hybrid.inference import record
from hybrid.models.census import census
from hybrid.models.checkpoints import base_of
from hybrid.models.user_models import is_reference
from hybrid.quant.packing import packed_bytes
from hybrid.traces import confidence
from hybrid.training.recipe import load_recipe, recipe_names
from hybrid.ui.networks import cards

pytestmark = pytest.mark.slow  # all networks that ship

VARIANTS = [(network, name) for network in zoo.networks() for name in zoo.card(network).variants]
every_variant = pytest.mark.parametrize("network, name", VARIANTS)
every_variant_with_images = pytest.mark.parametrize(
    "network, name",
    [
        pytest.param(network, name, marks=pytest.mark.images(zoo.card(network).dataset))
        for network, name in VARIANTS
    ],
)
FORMS = [(network, name) for network in zoo.networks() for name in zoo.card(network).forms]
every_form = pytest.mark.parametrize("network, name", FORMS)
everything = pytest.mark.parametrize("network, name", [*VARIANTS, *FORMS])
SAMPLES = 500


def entry(network: str, name: str) -> zoo.Variant:
    return zoo.card(network).recorded[name]


@cache
def loaded(network: str, name: str) -> "zoo.Network":
    variant = entry(network, name)
    return zoo.load_variant(network, variant)


def test_there_is_a_network_to_look_at():
    assert ("digits-vgg", "hybrid-1bit") in VARIANTS


@everything
def test_every_file_is_the_one_its_card_describes(network: str, name: str):
    folder = zoo.weights_path(network, name).parent
    files = entry(network, name).files

    assert {file: sha256_of(folder / file) for file in files} == dict(files)
    assert {path.name for path in folder.iterdir()} == set(files)


@every_variant
def test_the_card_describes_the_network_that_is_loaded(network: str, name: str):
    card, variant, built = zoo.card(network), entry(network, name), loaded(network, name)

    assert built.spec.to_dict() == dict(variant.spec)
    assert built.stage_names == card.stage_names
    assert built.exit_stages == variant.exit_stages
    assert built.temperatures == variant.temperatures
    assert tuple(census(built)) == variant.layers
    assert len(variant.exit_names) == variant.early_exits + 1


@every_variant
def test_what_is_said_of_the_cloud_is_what_its_convolutions_have(network: str, name: str):
    variant = entry(network, name)
    clouds = [x for x in variant.layers if x.segment == "cloud" and x.kind == "conv"]

    if clouds:  # shortcuts stay at 32 bits, so the narrowest says the segment's width
        width = min(layer.weight_bits for layer in clouds)
        assert cards.describe(variant).endswith(f"the cloud segment at {width} bits.")


@every_variant
def test_quantized_weights_are_packed_at_their_bit_width(network: str, name: str):
    """Where only heads were trained, the file has nothing but them: its base has the rest."""
    variant = entry(network, name)
    size = zoo.weights_path(network, name).stat().st_size
    layers = [x for x in variant.layers if x.segment == "head" or not variant.recipe["heads_only"]]

    weights = sum(
        packed_bytes((x.weights,), bits=x.weight_bits) for x in layers if x.weight_bits <= 8
    )
    weights += sum(4 * x.weights for x in layers if x.weight_bits == 32)

    # beside them: of each channel a norm's four numbers, a scale and at 1 bit four of the
    # activation, and names and shapes, at most 1 KiB a layer and 16
    channels = sum(layer.output_shape[0] for layer in layers)
    assert weights < size < weights + channels * 9 * 4 + len(layers) * 1_024 + 16_384


@every_variant
def test_only_trained_heads_leave_the_rest_to_what_they_were_trained_on(network: str, name: str):
    recipe = entry(network, name).recipe
    start = zoo.weights_path(network, recipe["start"]) if recipe["heads_only"] else None

    assert base_of(zoo.weights_path(network, name)) == start


@everything
@pytest.mark.parametrize("split", zoo.SPLITS)
def test_accuracies_and_aurocs_are_those_of_the_trace(network: str, name: str, split: str):
    variant, trace = entry(network, name), zoo.trace(network, name, split)
    sure = trace.confidences["max_probability"]

    accuracy = trace.correct.mean(axis=0)
    aurocs = [confidence.auroc(sure[:, i], trace.correct[:, i]) for i in range(trace.all_exits)]

    assert trace.all_exits == variant.early_exits + 1
    assert (trace.network, trace.variant, trace.split) == (network, name, split)
    assert trace.temperatures == variant.temperatures
    assert variant.accuracy[split] == pytest.approx(accuracy, abs=1e-5)
    assert variant.auroc[split] == pytest.approx(aurocs, abs=1e-5, nan_ok=True)


@every_variant_with_images
def test_test_images_scored_again_give_the_trace(network: str, name: str):
    trace, split = zoo.trace(network, name), data.load(zoo.card(network).dataset, "test")
    rows = np.linspace(0, len(split.labels) - 1, min(SAMPLES, len(split.labels))).astype(int)
    few = replace(split, images=split.images[rows], labels=split.labels[rows])

    again = record.record(
        loaded(network, name),
        few,
        name=network,
        variant=name,
        weights_sha256=trace.weights_sha256,
    )

    assert np.array_equal(again.labels, trace.labels[rows])
    # Another processor or batch sums in another order; below 32 bits that can move a value to
    # the next level, so a few samples in a thousand may differ more.
    apart = np.abs(
        again.confidences["max_probability"] - trace.confidences["max_probability"][rows]
    )
    assert np.quantile(apart, 0.95) < 1e-3
    assert (again.classes == trace.classes[rows]).mean() >= 0.99


def test_every_quantized_hybrid_has_its_form():
    hybrids = {(network, name) for network, name in VARIANTS if name.startswith("hybrid-")}
    quantized = {(network, name) for network, name in hybrids if name != "hybrid-32bit"}

    assert {(network, name.replace("deployed", "hybrid")) for network, name in FORMS} == quantized


@every_form
def test_a_form_answers_as_its_trained_network_nearly_always(network: str, name: str):
    form, bits = zoo.trace(network, name), entry(network, name).bits
    trained = zoo.trace(network, zoo.variant_name(bits))

    changed = form.correct.mean(axis=0) - trained.correct.mean(axis=0)
    assert np.abs(changed).max() <= (0.003 if bits == 1 else 0.002)
    assert (form.classes != trained.classes).mean(axis=0).max() <= 0.01
    assert np.array_equal(form.labels, trained.labels)


@pytest.mark.parametrize(
    "network, name",
    [
        pytest.param(network, name, marks=pytest.mark.images(zoo.card(network).dataset))
        for network, name in FORMS
    ],
)
def test_a_form_computed_again_gives_its_trace_exactly(network: str, name: str):
    trace, split = zoo.trace(network, name), data.load(zoo.card(network).dataset, "test")
    rows = np.linspace(0, len(split.labels) - 1, 20).astype(int)
    few = replace(split, images=split.images[rows], labels=split.labels[rows])
    form = load_form_network(network, entry(network, name), engine="torch")

    again = record.record(form, few, name=network, variant=name, weights_sha256="")

    assert np.array_equal(again.classes[:, :-1], trace.classes[rows, :-1])
    for measure, sure in trace.confidences.items():
        assert np.array_equal(again.confidences[measure][:, :-1], sure[rows, :-1])


@every_variant
def test_every_exit_has_learned_something(network: str, name: str):
    card, variant = zoo.card(network), entry(network, name)
    chance = 1 / len(card.classes)

    assert min(variant.accuracy["test"]) > 2 * chance


SHIPPED = [name for name in zoo.networks() if not is_reference(zoo.card(name).architecture)]


@pytest.mark.parametrize("network", SHIPPED)
def test_every_network_can_be_trained_again_by_its_recipe(network: str):
    card, recipe = zoo.card(network), load_recipe(network)

    assert network in recipe_names()
    assert set(card.variants) <= {plan.name for plan in recipe.plans}
    assert (card.architecture, card.cut, card.seed) == (
        recipe.architecture,
        recipe.cut,
        recipe.seed,
    )
    assert zoo.bit_widths(network, static=True)[-1] == 32  # the twin that everything is beside
