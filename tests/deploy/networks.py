"""Untrained networks of every family, with steps and shifts set from images."""

import numpy as np
import torch

from hybrid.data.preprocess import normalise
from hybrid.models import Network, Spec
from hybrid.models import build as build_network
from hybrid.quant.layers import calibrating

__all__ = ["FAMILIES", "given", "untrained"]

FAMILIES = {"resnet20": (4, (2, 4)), "wide7": (4, (2, 4)), "digits-vgg": (2, (1, 2))}


def untrained(family: str, bits: int, *, cloud_bits: int = 32) -> tuple[Network, np.ndarray]:
    """A network with calibrated steps and shifts, and the images that they were taken from."""
    cut, exits = FAMILIES[family]
    torch.manual_seed(bits)
    spec = Spec(
        architecture=family, classes=10, size=16, cut=cut, exits=exits, bits=bits,
        cloud_bits=cloud_bits,
    )  # fmt: skip
    network = build_network(spec)
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)
    network.train()
    with torch.no_grad(), calibrating(network):
        network(given(images))
    return network.eval(), images


def given(images: np.ndarray) -> torch.Tensor:
    """Images as a network takes them."""
    return torch.from_numpy(normalise(images, "cifar10"))
