"""Quantizers and norms set from images: `hybrid.adaptation.fitting`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hybrid import data
from hybrid.adaptation.fitting import pixels, quantize
from hybrid.data import Dataset
from hybrid.models import Network, Reference, Spec, build
from hybrid.models.tracing import trace
from hybrid.models.user_models import load_model
from hybrid.quant.layers import QuantConv2d, calibrating, unquantized

pytestmark = pytest.mark.slow  # every test trains or quantizes a model


def network(model: str, stages: tuple[str, ...], *, bits: int) -> Network:
    """Cut behind the last but one of its stages, without an exit."""
    reference = f"tests.own_models:{model}"
    made = build(
        Spec(
            architecture=reference,
            classes=10,
            channels=1,
            size=8,
            cut=len(stages) - 1,
            exits=(),
            bits=bits,
            static=False,
            reference=Reference(stages=stages, size=16, channels=3),
        ),
        trace(load_model(reference), shape=(3, 16, 16), reference=reference),
    )
    return made.eval()


def unlike(split: Dataset) -> Dataset:
    """The digits, far darker than what the norms' statistics are of."""
    return replace(split, images=(split.images // 4).astype(np.uint8))


def answers(model: Network, split: Dataset) -> Tensor:
    with torch.inference_mode():
        return model(pixels(split, np.arange(200)))[-1]


@pytest.fixture(scope="module")
def train() -> Dataset:
    return unlike(data.load("digits", "train"))


@pytest.mark.parametrize(
    "model, stages", [("plain", ("stem", "wide.0")), ("mobile", ("stem", "block", "last"))]
)
def test_images_unlike_those_it_was_trained_on_do_not_change_an_8_bit_networks_answers(
    model: str, stages: tuple[str, ...], train: Dataset
):
    wanted = answers(network(model, stages, bits=32), train)
    narrow = network(model, stages, bits=8)

    quantize(narrow, train)

    error = (answers(narrow, train) - wanted).norm() / wanted.norm()
    assert 0 < error < 0.05


def test_the_way_of_correcting_that_comes_nearest_stays(train: Dataset):
    """Also at 2 bits the answers are no farther than with norms left alone."""
    stages = ("stem", "block", "last")
    wanted = answers(network("mobile", stages, bits=32), train)
    corrected, plain = (network("mobile", stages, bits=2) for _ in range(2))

    quantize(corrected, train)
    with torch.no_grad(), calibrating(plain):
        plain(pixels(train, np.arange(len(train.labels))))

    far, farther = ((answers(one, train) - wanted).norm() for one in (corrected, plain))
    assert far < 1.02 * farther  # measured on the images of calibration, not on these


def test_below_zero_a_quantized_layer_keeps_its_inputs_levels(train: Dataset):
    narrow = network("mobile", ("stem", "block", "last"), bits=4)

    quantize(narrow, train)

    zeros = {
        name.rpartition("graph.")[2]: int(module.activation.zero_point)
        for name, module in narrow.named_modules()
        if isinstance(module, QuantConv2d)
    }
    assert zeros["block.depth"] > 0  # after a hard-swish, whose least is -0.375
    assert zeros["block.squeeze.3"] == 0  # after a ReLU


def test_what_raises_while_nothing_is_quantized_leaves_all_quantized():
    narrow = network("plain", ("stem", "wide.0"), bits=4)
    layers = [m for m in narrow.modules() if isinstance(m, QuantConv2d)]

    def raising() -> None:
        with unquantized(narrow):
            assert {one.weight_bits for one in layers} == {32}
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        raising()

    assert {(one.weight_bits, one.activation.bits) for one in layers} == {(4, 4)}
