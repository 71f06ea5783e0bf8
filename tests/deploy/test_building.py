"""A trained edge and its deployment form give nearly the same answers, for every family."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid import zoo
from hybrid.deploy import interpreter
from hybrid.deploy.building import FORMATS, Formats, build, observe
from hybrid.deploy.files import load_form
from hybrid.deploy.freezing import freeze
from hybrid.errors import BitWidthError, FormError
from hybrid.models import Network
from tests.deploy.networks import FAMILIES, given, untrained


def form_of(network: Network, images: np.ndarray, formats: Formats = FORMATS[-1]):
    return build(
        network, name="untrained", variant="hybrid", source_sha256="", dataset="cifar10",
        ranges=observe(network, [given(images)]), formats=formats,
    )  # fmt: skip


# Two quick ones; the others only where time is no matter.
QUICK = [("digits-vgg", 1), ("resnet20", 4)]
OTHERS = [
    pytest.param(family, bits, marks=pytest.mark.slow)
    for family in FAMILIES
    for bits in (1, 2, 4, 8)
    if (family, bits) not in QUICK
]


@pytest.mark.parametrize("family, bits", [*QUICK, *OTHERS])
def test_a_form_is_near_the_network_that_it_was_made_of(family: str, bits: int):
    network, images = untrained(family, bits)
    form = form_of(network, images)

    answers = interpreter.run(form, images)

    with torch.no_grad():
        edge = network.edge(given(images))
    sent = answers.sent * np.float32(form.step)
    assert (np.abs(sent - edge.features.numpy()) > form.step / 2).mean() < 0.01
    for logits, head, real in zip(answers.logits, form.heads, edge.logits, strict=True):
        assert logits * head.scale == pytest.approx(real.numpy(), abs=0.05)


def test_a_network_of_full_precision_has_no_form():
    network, images = untrained("digits-vgg", 32)

    with pytest.raises(FormError, match="choose a hybrid variant of 1 to 8 bits"):
        form_of(network, images)


@pytest.mark.slow
def test_freeze_puts_a_variant_with_traces_on_the_card(copied: Path):
    frozen = freeze("digits-vgg", 4)

    entry = zoo.card("digits-vgg").forms["deployed-4bit"]
    recorded = zoo.trace("digits-vgg", "deployed-4bit", "test")
    path = zoo.weights_path("digits-vgg", "deployed-4bit")
    form = load_form(path, expect_sha256=entry.files[zoo.WEIGHTS])
    images = zoo.images("digits-vgg", "test").images
    whole = interpreter.run(form, images).logits[0]
    assert (entry.kind, entry.files) == ("deployed", frozen.deployed.files)
    assert np.array_equal(recorded.classes[:, 0], whole.argmax(axis=1))
    assert entry.accuracy["test"] == pytest.approx(frozen.trained.accuracy["test"], abs=0.006)
    assert zoo.bit_widths("digits-vgg") == [1, 2, 3, 4, 8, 32]


def test_freezing_a_width_that_was_not_trained_names_those_that_were(copied: Path):
    from hybrid.deploy.freezing import widths

    with pytest.raises(BitWidthError, match="choose one of 1, 2, 3, 4, 8"):
        widths("digits-vgg", 5)
