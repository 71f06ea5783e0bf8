"""Layers that quantize: convolutions of k-bit weights, activations of k bits, and calibration."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.quant.levels import (
    FULL_PRECISION,
    Levels,
    activation_levels,
    check_bits,
    weight_levels,
)
from hybrid.quant.quantizers import (
    binarize_activations,
    binarize_weights,
    fit_range,
    fit_step,
    quantize,
    to_codes,
)

__all__ = [
    "ActivationQuantizer",
    "QuantConv2d",
    "QuantLinear",
    "calibrating",
    "can_be_quantized",
    "quantized_copy",
    "unquantized",
]


class ActivationQuantizer(nn.Module):
    """Activations to k bits: unsigned with a learned step for k >= 2, bipolar at 1 bit.

    At 1 bit a learned shift per channel is subtracted before the sign (ReActNet's RSign). Shift
    (the mean) and step are set from data inside `calibrating`, then learned.

    Args:
        signed: at 2 to 8 bits, shift the codes by a whole zero point, set from data and then
            fixed, so that activations below zero (SiLU, Hardswish, a linear bottleneck) keep
            their levels; after a ReLU it becomes 0, which is the unsigned case.
    """

    def __init__(self, bits: int, channels: int, *, signed: bool = False) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.calibrate = False
        self.zero_point: Tensor | None
        self.register_buffer("zero_point", None)  # absent from the files of unsigned ones
        if bits == 1:
            self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))
        elif bits != FULL_PRECISION:
            self.log_step = nn.Parameter(torch.tensor(-math.log(2**bits - 1)))
            if signed:
                self.zero_point = torch.zeros(())

    @property
    def levels(self) -> Levels:
        """The codes allowed; at 2 to 8 bits only."""
        levels = activation_levels(self.bits)
        if self.zero_point is None:
            return levels
        zero = int(self.zero_point)
        return Levels(low=-zero, high=levels.high - zero)

    @property
    def step(self) -> Tensor:
        """The distance between two levels, a positive scalar; at 2 to 8 bits only."""
        return self.log_step.exp()

    def forward(self, x: Tensor) -> Tensor:
        """Quantize (n, channels, h, w) to the same shape."""
        if self.bits == FULL_PRECISION:
            return x
        if self.bits == 1:
            if self.calibrate:  # after a ReLU a shift of 0 would make every sign +1
                with torch.no_grad():
                    self.shift.copy_(x.float().mean(dim=(0, 2, 3), keepdim=True))
            return binarize_activations(x, self.shift)
        if self.calibrate:
            self._fit(x)
        return quantize(x, self.step, self.levels)

    @torch.no_grad()
    def _fit(self, x: Tensor) -> None:
        if self.zero_point is None:
            self.log_step.copy_(fit_step(x, self.levels).log())
        else:
            step, zero = fit_range(x, bits=self.bits)
            self.log_step.copy_(step.log())
            self.zero_point.copy_(zero)


@contextmanager
def calibrating(network: nn.Module) -> Iterator[None]:
    """Let every activation quantizer set its step or shift from the batches it sees."""
    quantizers = [m for m in network.modules() if isinstance(m, ActivationQuantizer)]
    try:
        for quantizer in quantizers:
            quantizer.calibrate = True
        yield
    finally:
        for quantizer in quantizers:
            quantizer.calibrate = False


class QuantConv2d(nn.Conv2d):
    """A convolution of k-bit weights and k-bit activations; at 32 bits an ordinary one.

    The padding is quantized like the input it surrounds, so a 1-bit input never has a third level.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        bits: int,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
        signed: bool = False,
    ) -> None:
        super().__init__(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.border = padding if isinstance(padding, tuple) else (padding, padding)
        self.weight_bits = self.activation_bits = check_bits(bits)
        # per output channel, (out, 1, 1, 1), after `freeze` made the weights k-bit values
        self.frozen_scale: Tensor | None
        self.register_buffer("frozen_scale", None, persistent=False)
        self.activation = ActivationQuantizer(bits, inputs, signed=signed)
        if 2 <= bits <= 8:
            self.weight_log_step = nn.Parameter(torch.zeros(outputs, 1, 1, 1))
            self.fit_weight_step()

    @property
    def weight_step(self) -> Tensor:
        """The distance between two levels, (out, 1, 1, 1); at 2 to 8 bits only."""
        return self.weight_log_step.exp()

    @torch.no_grad()
    def fit_weight_step(self) -> None:
        """Fit the steps to the weights, one per output channel."""
        # a layer on the meta device has no weights yet; the steps come from its file
        if 2 <= self.weight_bits <= 8 and not self.weight.is_meta:
            levels = weight_levels(self.weight_bits)
            steps = fit_step(self.weight, levels, per_channel=True)
            self.weight_log_step.copy_(steps.log())

    @property
    def frozen(self) -> bool:
        """Whether the weights already are k-bit values and are no longer quantized."""
        return self.frozen_scale is not None

    @torch.no_grad()
    def weight_codes(self) -> tuple[Tensor, Tensor]:
        """The weights as codes counted from 0 (uint8, same shape) and the channels' scale, k < 32.

        The scale, (out, 1, 1, 1), is mean|w| at 1 bit and the step above; `decoded` inverts.
        """
        scale = self._scale() if self.frozen_scale is None else self.frozen_scale
        if self.weight_bits == 1:
            return (self.weight >= 0).to(torch.uint8), scale
        return to_codes(self.weight, scale, weight_levels(self.weight_bits)), scale

    def _scale(self) -> Tensor:
        if self.weight_bits == 1:
            return self.weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        return self.weight_step

    @torch.no_grad()
    def decoded(self, codes: Tensor, scale: Tensor) -> Tensor:
        """The weights that these codes and scales stand for; equal to `quantized_weight`'s."""
        if self.weight_bits == 1:
            return torch.where(codes > 0, scale, -scale)
        levels = weight_levels(self.weight_bits)
        return (codes.float() + levels.low + levels.offset) * scale

    def quantized_weight(self) -> Tensor:
        """The k-bit weights as floats, (out, in, kh, kw)."""
        if self.frozen or self.weight_bits == FULL_PRECISION:
            return self.weight
        if self.weight_bits == 1:
            return binarize_weights(self.weight)
        levels = weight_levels(self.weight_bits)
        return quantize(self.weight, self.weight_step, levels)

    @torch.no_grad()
    def freeze(self) -> None:
        """Replace the weights by their k-bit values, so that inference need not quantize them."""
        if self.weight_bits != FULL_PRECISION:
            codes, scale = self.weight_codes()
            self.weight.copy_(self.decoded(codes, scale))
            self.frozen_scale = scale.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (n, in, h, w) to (n, out, h', w')."""
        padding = self.border
        if self.weight_bits == 1 and any(padding):
            # A zero after the sign would be a third level: pad first, then quantize.
            x = functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
            padding = (0, 0)
        x = self.activation(x)
        weight = self.quantized_weight()
        return functional.conv2d(
            x, weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class QuantLinear(QuantConv2d):
    """A linear layer of k-bit weights and k-bit inputs: a 1×1 convolution of rows.

    Its weights are stored as those of a convolution, (out, in, 1, 1).
    """

    def __init__(self, inputs: int, outputs: int, *, bits: int, bias: bool) -> None:
        super().__init__(inputs, outputs, 1, bits=bits, bias=bias, signed=True)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) to (…, out)."""
        rows = self.activation(x.reshape(-1, self.in_channels, 1, 1)).flatten(1)
        answers = functional.linear(rows, self.quantized_weight().flatten(1), self.bias)
        return answers.reshape(*x.shape[:-1], self.out_channels)


def can_be_quantized(layer: nn.Module) -> bool:
    """Whether `quantized_copy` can copy a layer: a plain one, padded evenly with zeros."""
    # a subclass that overrides forward may pad or scale in an unknown way
    if isinstance(layer, nn.Conv2d):
        return type(layer).forward is nn.Conv2d.forward and _border(layer) is not None
    return isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward


def quantized_copy(layer: nn.Module, *, bits: int) -> QuantConv2d | None:
    """A copy of an ordinary convolution or linear layer at k bits, whose inputs may be negative.

    Returns:
        None if it cannot be quantized, such as a convolution whose padding is not zeros, or more
        on one side than on the other.
    """
    if not can_be_quantized(layer):
        return None
    wanted = torch.get_default_device()
    with torch.device("meta"):  # do not fit steps to random weights
        made = _like(layer, bits)
    if wanted.type != "meta":  # else the weights come from its file
        assert isinstance(layer.weight, Tensor)
        device = layer.weight.device
        made.to_empty(device=device)
        made.activation = ActivationQuantizer(bits, made.in_channels, signed=True).to(device)
        state = layer.state_dict()
        state["weight"] = state["weight"].reshape(made.weight.shape)
        made.load_state_dict(state, strict=False)
        made.fit_weight_step()
    return made.train(layer.training)


def _like(layer: nn.Module, bits: int) -> QuantConv2d:
    """A layer of the same sizes at k bits."""
    if isinstance(layer, nn.Linear):
        bias = layer.bias is not None
        return QuantLinear(layer.in_features, layer.out_features, bits=bits, bias=bias)
    assert isinstance(layer, nn.Conv2d)
    return QuantConv2d(
        layer.in_channels,
        layer.out_channels,
        _pair(layer.kernel_size),
        bits=bits,
        stride=_pair(layer.stride),
        padding=_border(layer) or (0, 0),
        dilation=_pair(layer.dilation),
        groups=layer.groups,
        bias=layer.bias is not None,
        signed=True,
    )


@contextmanager
def unquantized(network: nn.Module) -> Iterator[None]:
    """Let quantized layers compute at full precision inside the block."""
    layers = [m for m in network.modules() if isinstance(m, QuantConv2d)]
    widths = [layer.weight_bits for layer in layers]
    try:
        for layer in layers:
            layer.weight_bits = layer.activation.bits = FULL_PRECISION
        yield
    finally:
        for layer, bits in zip(layers, widths, strict=True):
            layer.weight_bits = layer.activation.bits = bits


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def _border(conv: nn.Conv2d) -> tuple[int, int] | None:
    """Zeros on either side of height and of width; None if the padding is anything else."""
    if conv.padding_mode != "zeros":
        return None
    if isinstance(conv.padding, tuple):
        return _pair(conv.padding)
    if conv.padding == "valid":
        return 0, 0
    sums = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    return None if any(both % 2 for both in sums) else (sums[0] // 2, sums[1] // 2)
