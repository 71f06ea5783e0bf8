"""Quantize real numbers to k bits, with straight-through gradients; independent of layers.

Steps are learned as logarithms: Adam moves every parameter by about its learning rate, which
would be half of a step of 0.01, and a step must stay positive.
"""

from typing import Any

import torch
from torch import Tensor

from hybrid.quant.fusing import fusible
from hybrid.quant.levels import Levels

__all__ = [
    "binarize_activations",
    "binarize_weights",
    "fit_range",
    "fit_step",
    "quantize",
    "to_codes",
]

_MOST_FITTED = 2**18  # values whose error a range is fitted to; 12 million take 12 s of a core


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
    """The axes of `x` along which a parameter is constant."""
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
        # the same arithmetic in place: an autograd function keeps three tensors and is half as fast
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
        Positive steps, float32.
    """
    rows = x.detach().float().flatten(1) if per_channel else x.detach().float().reshape(1, -1)
    span = max(abs(levels.low + levels.offset), abs(levels.high + levels.offset))
    largest = rows.abs().amax(1, keepdim=True).clamp_min(1e-8) / span
    best, least = largest.clone(), torch.full_like(largest, float("inf"))
    codes = torch.empty_like(rows)  # reused: getting fresh memory takes as long as the arithmetic
    for fraction in torch.linspace(1.0, 0.05, candidates, device="cpu").tolist():
        step = largest * fraction
        torch.div(rows, step, out=codes)
        codes.sub_(levels.offset).round_().clamp_(levels.low, levels.high)
        codes.add_(levels.offset).mul_(step).sub_(rows).square_()
        error = codes.mean(1, keepdim=True)
        better = error < least
        best, least = torch.where(better, step, best), torch.where(better, error, least)
    return best.reshape(-1, *[1] * (x.ndim - 1)) if per_channel else best.reshape(())


def fit_range(x: Tensor, *, bits: int, candidates: int = 60) -> tuple[Tensor, Tensor]:
    """Step and zero point of least squared error among `candidates` fractions of x's range.

    A value is (code - zero) · step with codes 0 … 2^bits - 1. The zero point is a whole number,
    so that 0, with which convolutions pad, is a level.

    Args:
        x: values to quantize, any shape; if none is negative the zero point is 0.
        bits: 2 to 8.

    Returns:
        The positive step and the zero point, both scalar float32.
    """
    values, top = x.detach().float().flatten(), 2**bits - 1
    low, high = values.min().clamp_max(0), values.max().clamp_min(0)
    # an odd stride, so that all columns of a picture are sampled
    values = values[:: len(values) // _MOST_FITTED | 1]
    best, least = (torch.ones_like(low), torch.zeros_like(low)), float("inf")
    codes = torch.empty_like(values)
    for fraction in torch.linspace(1.0, 0.05, candidates, device="cpu").tolist():
        step = ((high - low) * fraction / top).clamp_min(1e-8)
        zero = (-low * fraction / step).round()
        torch.div(values, step, out=codes)
        codes.add_(zero).round_().clamp_(0, top)
        error = float(codes.sub_(zero).mul_(step).sub_(values).square_().mean())
        if error < least:
            best, least = (step, zero), error
    return best
