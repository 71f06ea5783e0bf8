"""The numbers of a trained layer as a form has them: whole weights, codes, constants in float32.

Everything is folded in float64; whoever puts it into a form rounds it to float32 once.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from hybrid.deploy.form import EXACT_DOUBLE, Codes, Output
from hybrid.errors import FormError
from hybrid.models.norm_act import ShiftedPReLU
from hybrid.quant.layers import ActivationQuantizer, QuantConv2d
from hybrid.quant.levels import FULL_PRECISION, weight_levels

__all__ = [
    "Doubles",
    "border",
    "codes_of",
    "double",
    "factor_and_shift",
    "fill",
    "in_codes",
    "prelu",
    "unit",
    "weight_codes",
    "whole_weights",
]

Doubles = NDArray[np.float64]


def double(tensor: Tensor) -> Doubles:
    """A tensor as an array."""
    return tensor.detach().cpu().numpy().astype(np.float64)


def factor_and_shift(norm: nn.BatchNorm2d) -> tuple[Doubles, Doubles]:
    """Factor and shift of a batch norm, per channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = double(norm.weight) / np.sqrt(double(norm.running_var) + norm.eps)
    return factor, double(norm.bias) - double(norm.running_mean) * factor


def codes_of(activation: ActivationQuantizer) -> Codes:
    """How a layer's inputs become codes."""
    if activation.zero_point is not None:
        raise FormError("Activations with a zero point have no exact deployment form yet.")
    if activation.bits == 1:
        return Codes(low=-1, high=1, thresholds=activation.shift.detach().cpu().numpy().ravel())
    if activation.bits == FULL_PRECISION:
        raise FormError("A layer of full precision after a quantized one has no exact form.")
    levels = activation.levels
    return Codes(low=levels.low, high=levels.high, scale=float(np.float32(1 / unit(activation))))


def unit(activation: ActivationQuantizer) -> float:
    """The value of one code."""
    return 1.0 if activation.bits == 1 else float(activation.step.detach().float())


def fill(layer: QuantConv2d) -> NDArray[np.int32]:
    """The code of a zero, per input channel: the border is quantized like the input."""
    if layer.activation.bits != 1:
        return np.zeros(layer.in_channels, np.int32)
    return np.where(double(layer.activation.shift).ravel() <= 0, 1, -1).astype(np.int32)


def weight_codes(layer: QuantConv2d) -> tuple[NDArray[np.int32], Doubles]:
    """Trained weights as whole numbers, and the value of one per output channel."""
    codes, scale = layer.weight_codes()
    numbers, unit = codes.cpu().numpy().astype(np.int32), double(scale).ravel()
    if layer.weight_bits == 1:
        return 2 * numbers - 1, unit
    levels = weight_levels(layer.weight_bits)
    if levels.offset:  # half steps: odd multiples of half the step
        return 2 * (numbers + levels.low) + 1, unit / 2
    return numbers + levels.low, unit


def whole_weights(weight: Doubles, *, bits: int, largest: int) -> tuple[NDArray[np.int32], Doubles]:
    """Real weights as whole numbers, as fine as bits and 53-bit sums allow, and their units.

    Args:
        largest: absolute value of an input.
    """
    rows = np.abs(weight.reshape(len(weight), -1))
    fits = (EXACT_DOUBLE - 1) // largest - rows.shape[1]  # rounding adds a half per weight
    units = np.maximum(rows.max(1) / (2 ** (bits - 1) - 1), rows.sum(1) / fits)
    units[units == 0] = 1.0
    return np.rint(weight / units[:, None, None, None]).astype(np.int32), units


def border(
    size: int, kernel: int, padding: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Doubles]:
    """The kinds of rows and columns of a stride of 1, and which taps each kind has inside.

    >>> rows, _, taps = border(4, 3, 1)
    >>> rows.tolist(), taps.tolist()
    ([0, 1, 1, 2], [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    """
    places = np.arange(size + 2 * padding - kernel + 1)[:, None] + np.arange(kernel) - padding
    inside = (places >= 0) & (places < size)
    kinds: list[tuple[bool, ...]] = list(dict.fromkeys(map(tuple, inside.tolist())))
    rows = np.array([kinds.index(tuple(row)) for row in inside.tolist()], np.uint8)
    return rows, rows, np.array(kinds, np.float64)


def prelu(act: nn.Module) -> NDArray[np.float32] | None:
    """What a PReLU subtracts, its slope, and what it adds, (3, out); None if it is another."""
    if not isinstance(act, ShiftedPReLU):
        return None
    parts = (act.before, act.slope, act.after)
    return np.stack([part.detach().cpu().numpy().ravel() for part in parts])


def in_codes(
    relu: bool,
    prelu: NDArray[np.float32] | None,
    plus: str,
    outputs: tuple[Output, ...],
    multiply: Doubles,
    add: Doubles,
) -> tuple[bool, tuple[Output, ...], Doubles, Doubles]:
    """If nothing but one code is wanted of a sum, fold the code's scale into its constants."""
    codes = outputs[0].codes
    if len(outputs) > 1 or codes is None or codes.thresholds.size or plus or prelu is not None:
        return relu, outputs, multiply, add
    plain = Output(register=outputs[0].register, codes=replace(codes, scale=1.0))
    return relu and codes.low < 0, (plain,), multiply * codes.scale, add * codes.scale
