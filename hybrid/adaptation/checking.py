"""Whether a quantized network still answers like the model, and which layer loses most if not."""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn

from hybrid.data import Dataset
from hybrid.models import Network
from hybrid.models.network import quantized_layers
from hybrid.quant.layers import unquantized

__all__ = ["Distance", "distance", "some_of", "too_good"]

_MOST_ANSWERS = 0.1  # that may differ at 8 bits; healthy networks differ in 0 to 3 % of theirs
_MOST_ERROR = 0.5  # of the logits, relative to how much they vary
_LEAST_GAP, _LEAST_DEVIATIONS = 0.02, 3.3


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far a quantized network's answers are from those at full precision.

    Args:
        answers: share of the images that get another class.
        error: of the logits, relative to their spread.
        layer: the layer whose outputs are furthest from those of its weights at full precision on
            the same inputs.
        layer_error: of its outputs, relative to them.
    """

    images: int
    answers: float
    error: float
    layer: str
    layer_error: float

    @property
    def far(self) -> bool:
        """Whether something must be wrong at 8 bits."""
        return self.answers > _MOST_ANSWERS or self.error > _MOST_ERROR


@torch.inference_mode()
def distance(network: Network, images: Tensor, exact: Tensor) -> Distance:
    """Compare a quantized network with the model that it was made from.

    Args:
        images: (n, channels, height, width), normalised.
        exact: the model's logits, (n, classes).
    """
    layers = quantized_layers(network)
    losses: dict[str, float] = {}

    def measure(name: str, layer: nn.Module, given: Tensor, output: Tensor) -> None:
        with unquantized(layer):
            wanted = layer.forward(given)
        losses[name] = float((output - wanted).norm() / wanted.norm().clamp_min(1e-12))

    handles = [
        layer.register_forward_hook(lambda m, x, y, name=name: measure(name, m, x[0], y))
        for name, layer in layers.items()
    ]
    try:
        ours = network(images)[-1]
    finally:
        for handle in handles:
            handle.remove()
    spread = (exact - exact.mean(1, keepdim=True)).norm().clamp_min(1e-12)
    worst = max(losses, key=lambda name: losses[name], default="")
    return Distance(
        images=len(images),
        answers=float((ours.argmax(1) != exact.argmax(1)).float().mean()),
        error=float((ours - exact).norm() / spread),
        layer=worst.partition("graph.")[2],
        layer_error=losses.get(worst, 0.0),
    )


def some_of(split: Dataset, count: int) -> Dataset:
    """Images from all over a split."""
    last = len(split.labels) - 1
    rows = np.linspace(0, last, min(len(split.labels), count)).astype(np.int64)
    return replace(split, images=split.images[rows], labels=split.labels[rows])


def too_good(tune: float, test: float, *, images: tuple[int, int]) -> bool:
    """Whether the accuracy on tune is so far above that on test that chance does not explain it.

    Args:
        images: of tune and of test.

    >>> too_good(1.0, 0.77, images=(200, 400)), too_good(0.91, 0.90, images=(2500, 10000))
    (True, False)
    """
    both = (tune * images[0] + test * images[1]) / sum(images)
    deviation = sqrt(both * (1 - both) * (1 / images[0] + 1 / images[1]))
    return tune - test > max(_LEAST_GAP, _LEAST_DEVIATIONS * deviation)
