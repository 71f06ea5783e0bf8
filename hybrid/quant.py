"""Real numbers to k-bit numbers and their straight-through gradients; knows no network.

Three families of levels, by bit width and by what is quantized:

    bits  weights                                     activations
    1     {-1, +1} · mean|w| of the channel           {-1, +1}, of x minus a learned shift
    2     {-3, -1, 1, 3} · step/2, no zero            {0 … 3} · step
    3–8   {-2^(k-1) … 2^(k-1)-1} · step, learned      {0 … 2^k-1} · step, learned
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

__all__ = [
    "BITS",
    "FULL_PRECISION",
    "ActivationQuantizer",
    "Levels",
    "QuantConv2d",
    "activation_levels",
    "binarize_activations",
    "binarize_weights",
    "calibrating",
    "check_bits",
    "fit_step",
    "quantize",
    "to_codes",
    "weight_levels",
]

FULL_PRECISION = 32
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


class _Quantize(torch.autograd.Function):
    """Learned step size quantization; see `quantize`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, levels: Levels) -> Tensor:
        scaled = x.float() / step
        codes = (scaled - levels.offset).round_().clamp_(levels.low, levels.high)
        codes += levels.offset
        ctx.save_for_backward(scaled, codes, step)
        ctx.levels, ctx.dtype = levels, x.dtype
        return (codes * step).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        scaled, codes, step = ctx.saved_tensors
        levels, grad = ctx.levels, grads[0].float()
        low, high = levels.low + levels.offset, levels.high + levels.offset
        inside = (scaled >= low) & (scaled <= high)
        step_grad = grad * torch.where(inside, codes - scaled, codes)
        per_step = scaled.numel() // step.numel()
        axes = [axis for axis in range(scaled.ndim) if step.ndim == 0 or step.shape[axis] == 1]
        step_grad = step_grad.sum(axes, keepdim=True).reshape(step.shape)
        step_grad *= (per_step * max(abs(low), abs(high))) ** -0.5
        return (grad * inside).to(ctx.dtype), step_grad, None


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


class _BinarizeActivations(torch.autograd.Function):
    """Sign with a triangular gradient; see `binarize_activations`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        passed: Tensor = grads[0] * (2 - 2 * x.abs()).clamp_(min=0)
        return passed


def binarize_activations(x: Tensor) -> Tensor:
    """Bipolar activations.

    Forward: +1 where x >= 0, else -1.
    Gradient: 2 - 2|x| where |x| < 1, else 0.

    Args:
        x: any shape.
    Source: Liu et al., "Bi-Real Net", ECCV 2018, equation 7.
    """
    result: Tensor = _BinarizeActivations.apply(x)  # type: ignore[no-untyped-call]
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


class ActivationQuantizer(nn.Module):
    """Activations to k bits: unsigned with a learned step for k >= 2, bipolar at 1 bit.

    At 1 bit a learned shift per channel stands before the sign (ReActNet's RSign). Shift (the
    mean) and step are set from data inside `calibrating`, then learned.
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.calibrate = False
        if bits == 1:
            self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))
        elif bits != FULL_PRECISION:
            self.levels = activation_levels(bits)
            self.log_step = nn.Parameter(torch.tensor(-math.log(self.levels.high)))

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
            return binarize_activations(x - self.shift)
        if self.calibrate:
            with torch.no_grad():
                self.log_step.copy_(fit_step(x, self.levels).log())
        return quantize(x, self.step, self.levels)


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
        kernel: int,
        *,
        bits: int,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.border = padding
        self.weight_bits = self.activation_bits = check_bits(bits)
        # per output channel, (out, 1, 1, 1), once the weights are k-bit values themselves: `freeze`
        self.frozen_scale: Tensor | None
        self.register_buffer("frozen_scale", None, persistent=False)
        self.activation = ActivationQuantizer(bits, inputs)
        if 2 <= bits <= 8:
            self.weight_log_step = nn.Parameter(torch.zeros(outputs, 1, 1, 1))
            self.fit_weight_step()

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
        if self.weight_bits == 1 and padding:
            # A zero after the sign would be a third level: pad first, then quantize.
            x = functional.pad(x, (padding,) * 4)
            padding = 0
        x = self.activation(x)
        weight = self.quantized_weight()
        return functional.conv2d(x, weight, None, self.stride, padding, self.dilation, self.groups)
