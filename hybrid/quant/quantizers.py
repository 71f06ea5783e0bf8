"""Real numbers to k-bit numbers and their straight-through gradients; knows no network.

Three families of levels, by bit width and by what is quantized:

    bits  weights                                     activations
    1     {-1, +1} · mean|w| of the channel           {-1, +1}, of x minus a learned shift
    2     {-3, -1, 1, 3} · step/2, no zero            {0 … 3} · step
    3–8   {-2^(k-1) … 2^(k-1)-1} · step, learned      {0 … 2^k-1} · step, learned;
                                                      signed: minus a whole zero point
    32    as they are                                 as they are

Steps are learned as logarithms: Adam moves every parameter by about its learning rate, which for
a step of 0.01 would be half of it, and a step must stay positive.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.errors import BitWidthError
from hybrid.quant.fusing import fusible
from hybrid.quant.packing import FULL_PRECISION

__all__ = [
    "BITS",
    "ActivationQuantizer",
    "Levels",
    "QuantConv2d",
    "activation_levels",
    "binarize_activations",
    "binarize_weights",
    "calibrating",
    "check_bits",
    "fit_range",
    "fit_step",
    "quantize",
    "to_codes",
    "weight_levels",
]

_MOST_FITTED = 2**18  # values whose error a range is fitted to; 12 million take 12 s of a core
BITS = (1, 2, 3, 4, 5, 6, 7, 8, FULL_PRECISION)


@dataclass(frozen=True, kw_only=True)
class Levels:
    """The integers low..high that a code can be; a value is (code + offset) · step."""

    low: int
    high: int
    offset: float = 0.0


def check_bits(bits: int) -> int:
    """Return `bits` if it is a bit width this library quantizes to.

    Raises:
        BitWidthError: for anything but 1–8 and 32.
    """
    if bits not in BITS or isinstance(bits, bool):
        raise BitWidthError(bits, BITS)
    return bits


def weight_levels(bits: int) -> Levels:
    """Levels of k-bit weights, k = 2..8; at 2 bits ±½ and ±1½ steps, without a zero.

    >>> weight_levels(4)
    Levels(low=-8, high=7, offset=0.0)
    >>> weight_levels(2)
    Levels(low=-2, high=1, offset=0.5)
    """
    half = 2 ** (check_bits(bits) - 1)
    return Levels(low=-half, high=half - 1, offset=0.5 if bits == 2 else 0.0)


def activation_levels(bits: int) -> Levels:
    """Levels of unsigned k-bit activations, k = 2..8.

    >>> activation_levels(3)
    Levels(low=0, high=7, offset=0.0)
    """
    return Levels(low=0, high=2 ** check_bits(bits) - 1)


@fusible
def _nearest(x: Tensor, step: Tensor, low: float, high: float, offset: float) -> Tensor:
    """The nearest levels, in the type of `x`."""
    codes = (x.float() / step - offset).round().clamp(low, high) + offset
    return (codes * step).to(x.dtype)


@fusible
def _gradients(
    grad: Tensor,
    x: Tensor,
    step: Tensor,
    low: float,
    high: float,
    offset: float,
    axes: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """Of x, and of the step before it is scaled, summed over `axes`."""
    scaled = x.float() / step
    codes = (scaled - offset).round().clamp(low, high) + offset
    inside = (scaled >= low + offset) & (scaled <= high + offset)
    of_step = grad.float() * torch.where(inside, codes - scaled, codes)
    return (grad * inside).to(x.dtype), of_step.sum(axes, keepdim=True)


def _shared_axes(x: Tensor, parameter: Tensor) -> tuple[int, ...]:
    """The axes of `x` along which a parameter is one and the same."""
    alone = parameter.ndim == 0
    return tuple(axis for axis in range(x.ndim) if alone or parameter.shape[axis] == 1)


class _Quantize(torch.autograd.Function):
    """Learned step size quantization; see `quantize`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, levels: Levels) -> Tensor:
        ctx.save_for_backward(x, step)
        ctx.levels = levels
        return _nearest(x, step, levels.low, levels.high, levels.offset)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, step = ctx.saved_tensors
        levels: Levels = ctx.levels
        low, high = levels.low + levels.offset, levels.high + levels.offset
        axes = _shared_axes(x, step)
        of_x, of_step = _gradients(grads[0], x, step, levels.low, levels.high, levels.offset, axes)
        per_step = x.numel() // step.numel()
        scale = (per_step * max(abs(low), abs(high))) ** -0.5
        return of_x, of_step.reshape(step.shape) * scale, None


def quantize(x: Tensor, step: Tensor, levels: Levels) -> Tensor:
    """Quantize `x` to `levels` of a learned `step`; computed in float32 under autocast.

    Forward: (clip(round(x/step - offset), low, high) + offset) · step.
    Gradient: of x, 1 where low+offset <= x/step <= high+offset, else 0 (straight-through);
        of step, code - x/step inside and the code outside, times 1/√(N·max level).

    Args:
        x: any shape.
        step: scalar, or broadcastable to x with one step per output channel; positive.
        levels: the codes allowed.
    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, equations 1–3.
    """
    if torch.is_inference_mode_enabled():
        # the same arithmetic in place: an autograd function keeps three tensors and twice the time
        codes = (x.float() / step).sub_(levels.offset).round_().clamp_(levels.low, levels.high)
        return codes.add_(levels.offset).mul_(step).to(x.dtype)
    result: Tensor = _Quantize.apply(x, step, levels)  # type: ignore[no-untyped-call]
    return result


def to_codes(x: Tensor, step: Tensor, levels: Levels) -> Tensor:
    """Codes of `x` counted from 0: uint8, 0 … high-low, the same rounding as `quantize`."""
    codes = (x.float() / step - levels.offset).round().clamp(levels.low, levels.high)
    return (codes - levels.low).to(torch.uint8)


class _BinarizeWeights(torch.autograd.Function):
    """Sign times channel mean; see `binarize_weights`."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        scale = weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        return torch.where(weight >= 0, scale, -scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (weight,) = ctx.saved_tensors
        passed: Tensor = grads[0] * (weight.abs() <= 1)
        return passed


def binarize_weights(weight: Tensor) -> Tensor:
    """Bipolar weights with a scale per output channel.

    Forward: sign(w) · mean|w| over the channel; sign(0) is +1, so there is no third level.
    Gradient: 1 where |w| <= 1, else 0 (straight-through); the scale passes none.

    Args:
        weight: (out, in, kh, kw).
    Source: Rastegari et al., "XNOR-Net", ECCV 2016, equation 6.
    """
    result: Tensor = _BinarizeWeights.apply(weight)  # type: ignore[no-untyped-call]
    return result


@fusible
def _sign(x: Tensor, shift: Tensor) -> Tensor:
    return torch.where(x.float() - shift >= 0, 1.0, -1.0).to(x.dtype)


@fusible
def _triangle(
    grad: Tensor, x: Tensor, shift: Tensor, axes: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """The gradients of x and of the shift, summed over `axes`."""
    of_x = grad.float() * (2 - 2 * (x.float() - shift).abs()).clamp(min=0)
    return of_x.to(x.dtype), -of_x.sum(axes, keepdim=True)


class _BinarizeActivations(torch.autograd.Function):
    """Sign with a triangular gradient; see `binarize_activations`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x, shift)
        return _sign(x, shift)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, shift = ctx.saved_tensors
        of_x, of_shift = _triangle(grads[0], x, shift, _shared_axes(x, shift))
        return of_x, of_shift.reshape(shift.shape)


def binarize_activations(x: Tensor, shift: Tensor) -> Tensor:
    """Bipolar activations, of x minus a shift.

    Forward: +1 where x >= shift, else -1.
    Gradient: of x, 2 - 2|x - shift| where |x - shift| < 1, else 0; of the shift, minus its sum.

    Args:
        x: any shape.
        shift: scalar, or as many axes as x has and broadcastable to it.
    Source: Liu et al., "Bi-Real Net", ECCV 2018, equation 7; the shift is ReActNet's.
    """
    result: Tensor = _BinarizeActivations.apply(x, shift)  # type: ignore[no-untyped-call]
    return result


def fit_step(
    x: Tensor, levels: Levels, *, per_channel: bool = False, candidates: int = 60
) -> Tensor:
    """The step of least squared error among `candidates` fractions of the largest value.

    Args:
        x: values to quantize, any shape; with per_channel the first axis is the channel.
        levels: the codes allowed.
        per_channel: one step per index of the first axis, shaped (out, 1, …), else a scalar.

    Returns:
        positive steps, float32.
    """
    rows = x.detach().float().flatten(1) if per_channel else x.detach().float().reshape(1, -1)
    span = max(abs(levels.low + levels.offset), abs(levels.high + levels.offset))
    largest = rows.abs().amax(1, keepdim=True).clamp_min(1e-8) / span
    best, least = largest.clone(), torch.full_like(largest, float("inf"))
    for fraction in torch.linspace(1.0, 0.05, candidates, device="cpu").tolist():
        step = largest * fraction
        codes = (rows / step - levels.offset).round_().clamp_(levels.low, levels.high)
        error = ((codes + levels.offset) * step - rows).square_().mean(1, keepdim=True)
        better = error < least
        best, least = torch.where(better, step, best), torch.where(better, error, least)
    return best.reshape(-1, *[1] * (x.ndim - 1)) if per_channel else best.reshape(())


def fit_range(x: Tensor, *, bits: int, candidates: int = 60) -> tuple[Tensor, Tensor]:
    """Step and zero point of least squared error among `candidates` fractions of x's range.

    A value is (code - zero) · step with codes 0 … 2^bits - 1. The zero point is a whole number,
    so that 0 itself, with which convolutions pad, is a level.

    Args:
        x: values to quantize, any shape; where none is negative the zero point is 0.
        bits: 2 to 8.

    Returns:
        step, positive, and zero point, both scalar float32.
    """
    values, top = x.detach().float().flatten(), 2**bits - 1
    low, high = values.min().clamp_max(0), values.max().clamp_min(0)
    # an odd distance, so that it walks over all columns of a picture
    values = values[:: len(values) // _MOST_FITTED | 1]
    best, least = (torch.ones_like(low), torch.zeros_like(low)), float("inf")
    for fraction in torch.linspace(1.0, 0.05, candidates, device="cpu").tolist():
        step = ((high - low) * fraction / top).clamp_min(1e-8)
        zero = (-low * fraction / step).round()
        codes = (values / step + zero).round_().clamp_(0, top)
        error = float(((codes - zero) * step - values).square_().mean())
        if error < least:
            best, least = (step, zero), error
    return best


class ActivationQuantizer(nn.Module):
    """Activations to k bits: unsigned with a learned step for k >= 2, bipolar at 1 bit.

    At 1 bit a learned shift per channel stands before the sign (ReActNet's RSign). Shift (the
    mean) and step are set from data inside `calibrating`, then learned.

    Args:
        signed: at 2 to 8 bits, shift the codes by a whole zero point, set from data and then
            fixed, so that activations below zero (SiLU, Hardswish, a linear bottleneck) keep
            their levels; behind a ReLU it becomes 0, which is the unsigned case.
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
        """The distance of two levels, a positive scalar; at 2 to 8 bits only."""
        return self.log_step.exp()

    def forward(self, x: Tensor) -> Tensor:
        """Quantize (n, channels, h, w) to the same shape."""
        if self.bits == FULL_PRECISION:
            return x
        if self.bits == 1:
            if self.calibrate:  # behind a ReLU a shift of 0 would make every sign +1
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
    """Within, every activation quantizer sets its step or shift from the batch it sees."""
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
        # per output channel, (out, 1, 1, 1), once the weights are k-bit values themselves: `freeze`
        self.frozen_scale: Tensor | None
        self.register_buffer("frozen_scale", None, persistent=False)
        self.activation = ActivationQuantizer(bits, inputs, signed=signed)
        if 2 <= bits <= 8:
            self.weight_log_step = nn.Parameter(torch.zeros(outputs, 1, 1, 1))
            self.fit_weight_step()

    @staticmethod
    def can_be(module: nn.Module) -> bool:
        """Whether `of` makes one of it: a plain convolution that zeros surround evenly."""
        # a subclass with a forward of its own pads or scales in a way that is not known here
        if not isinstance(module, nn.Conv2d) or type(module).forward is not nn.Conv2d.forward:
            return False
        return _border(module) is not None

    @classmethod
    def of(cls, conv: nn.Conv2d, *, bits: int) -> "QuantConv2d | None":
        """A copy of an ordinary convolution at k bits, whose inputs may be negative.

        Returns:
            None where it pads in a way that cannot be quantized along: not with zeros, or more on
            one side than on the other.
        """
        border = _border(conv)
        if border is None:
            return None
        wanted = torch.get_default_device()
        with torch.device("meta"):  # steps of random weights would be fitted for nothing
            made = cls(
                conv.in_channels,
                conv.out_channels,
                _pair(conv.kernel_size),
                bits=bits,
                stride=_pair(conv.stride),
                padding=border,
                dilation=_pair(conv.dilation),
                groups=conv.groups,
                bias=conv.bias is not None,
                signed=True,
            )
        if wanted.type != "meta":  # else its file brings the weights along
            made.to_empty(device=conv.weight.device)
            made.activation = ActivationQuantizer(bits, conv.in_channels, signed=True)
            made.activation.to(conv.weight.device)
            made.load_state_dict(conv.state_dict(), strict=False)
            made.fit_weight_step()
        return made.train(conv.training)

    @property
    def weight_step(self) -> Tensor:
        """The distance of two levels, (out, 1, 1, 1); at 2 to 8 bits only."""
        return self.weight_log_step.exp()

    @torch.no_grad()
    def fit_weight_step(self) -> None:
        """Set the steps anew from the weights, one per output channel."""
        # a layer on the meta device has no weights yet; its file brings the steps along
        if 2 <= self.weight_bits <= 8 and not self.weight.is_meta:
            levels = weight_levels(self.weight_bits)
            steps = fit_step(self.weight, levels, per_channel=True)
            self.weight_log_step.copy_(steps.log())

    @property
    def frozen(self) -> bool:
        """Whether the weights hold k-bit values already and are quantized no more."""
        return self.frozen_scale is not None

    @torch.no_grad()
    def weight_codes(self) -> tuple[Tensor, Tensor]:
        """The weights below 32 bits as codes from 0 (uint8, their shape) and the channels' scale.

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
        """Replace the weights by their k-bit values, so that inference quantizes them no more."""
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


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def _border(conv: nn.Conv2d) -> tuple[int, int] | None:
    """Zeros on either side of height and of width; None where it is nothing so simple."""
    if conv.padding_mode != "zeros":
        return None
    if isinstance(conv.padding, tuple):
        return _pair(conv.padding)
    if conv.padding == "valid":
        return 0, 0
    sums = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    return None if any(both % 2 for both in sums) else (sums[0] // 2, sums[1] // 2)
