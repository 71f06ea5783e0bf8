"""The specification of a form's arithmetic: numpy, one step after the other. Needs no torch.

Every other engine gives the same whole numbers and the same float32 values, bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hybrid.deploy import exits
from hybrid.deploy.form import PIXELS, SENT, Codes, Conv, Form, Head, check_pixels

__all__ = ["Answers", "Left", "leave", "multipliers", "run", "sums"]

Array = NDArray[Any]
Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a form gives for n images.

    Args:
        logits: one int64 array (n, classes) per early exit.
        sent: the codes for the cloud, uint8 (n, channels, height, width).
    """

    logits: tuple[Whole, ...]
    sent: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Left:
    """What a form gives for n images that leave early.

    Args:
        exit_taken: (n,); the number of early exits where an image went on to the cloud.
        logits: one int64 array (n, classes) per early exit, 0 where it was not computed.
        sent: the codes of the images that went on, uint8 (m, channels, height, width).
        steps: (n,), how many steps of the form were computed.
    """

    exit_taken: Whole
    logits: tuple[Whole, ...]
    sent: NDArray[np.uint8]
    steps: Whole


def run(form: Form, pixels: NDArray[np.uint8]) -> Answers:
    """Compute all exits and the codes at the cut.

    Args:
        pixels: (n, height, width, channels).

    Raises:
        FormError: see `check_pixels`.
    """
    check_pixels(form, pixels)
    registers: dict[str, Array] = {PIXELS: pixels.transpose(0, 3, 1, 2).astype(np.int64)}
    logits = []
    for step in form.steps:
        if isinstance(step, Head):
            logits.append(_head(step, registers[step.source]))
        else:
            plus = registers[step.plus] if step.plus else None
            y = _epilogue(step, _pooled(sums(step, registers[step.source]), step.pool), plus)
            for output in step.outputs:
                registers[output.register] = y if output.codes is None else _codes(output.codes, y)
    return Answers(logits=tuple(logits), sent=registers[SENT].astype(np.uint8))


def leave(form: Form, pixels: NDArray[np.uint8], limits: Sequence[int], measure: str) -> Left:
    """Answer each image at the first exit whose confidence reaches its limit.

    Other engines do not compute what comes after; this one does, and leaves it out.

    Args:
        limits: one per early exit, see `exits.whole_threshold`.
        measure: max_probability, margin or entropy.
    """
    given = run(form, pixels)
    reached = [
        exits.confidences(logits, multiply, measure) >= limit
        for logits, multiply, limit in zip(given.logits, multipliers(form), limits, strict=True)
    ]
    taken = np.stack([*reached, np.ones(len(pixels), bool)], axis=1).argmax(axis=1)
    computed = [(taken >= number)[:, None] for number in range(len(form.heads))]
    ends = [number for number, step in enumerate(form.steps, 1) if isinstance(step, Head)]
    return Left(
        exit_taken=taken,
        logits=tuple(z * seen for z, seen in zip(given.logits, computed, strict=True)),
        sent=given.sent[taken == len(form.heads)],
        steps=np.array([*ends, len(form.steps)])[taken],
    )


def multipliers(form: Form) -> list[int]:
    """Of each early exit's logits, at its temperature."""
    heads, temperatures = form.heads, form.temperatures[:-1]
    return [
        exits.multiplier(head.scale, temperature)
        for head, temperature in zip(heads, temperatures, strict=True)
    ]


def sums(conv: Conv, x: Array) -> Whole:
    """The sums of a convolution before its pool, (n, in, h, w) to (n, out, h', w')."""
    n, channels, height, width = x.shape
    around, kernel = conv.padding, conv.weights.shape[-1]
    padded = np.empty((n, channels, height + 2 * around, width + 2 * around), np.float64)
    padded[:] = conv.fill[:, None, None]
    padded[:, :, around : around + height, around : around + width] = x
    windows = sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, :: conv.stride, :: conv.stride]  # (n, in, h', w', kernel, kernel)
    # float64 holds every partial sum exactly, as `form.check` makes sure, and multiplies faster
    weights = conv.weights.astype(np.float64)
    found = np.tensordot(windows, weights, axes=([1, 4, 5], [1, 2, 3]))
    moved: Whole = found.transpose(0, 3, 1, 2).astype(np.int64)
    return moved


def _pooled(sums: Whole, pool: int) -> Whole:
    n, channels, height, width = sums.shape
    rows, columns = height // pool, width // pool
    squares = sums[:, :, : rows * pool, : columns * pool]
    largest: Whole = squares.reshape(n, channels, rows, pool, columns, pool).max(axis=(3, 5))
    return largest


def _epilogue(conv: Conv, sums: Whole, plus: Array | None) -> NDArray[np.float32]:
    y = sums.astype(np.float32) * conv.multiply[:, None, None]
    y = y + conv.add[:, conv.rows][:, :, conv.columns]
    if plus is not None:
        y = y + plus
    if conv.relu:
        y = np.maximum(y, np.float32(0))
    if conv.prelu.size:
        before, slope, after = conv.prelu[:, :, None, None]
        moved = y - before
        y = np.where(moved >= 0, moved, slope * moved) + after
    return y


def _codes(codes: Codes, y: NDArray[np.float32]) -> Whole:
    if codes.thresholds.size:
        return np.where(y >= codes.thresholds[:, None, None], 1, -1).astype(np.int64)
    scaled = y * np.float32(codes.scale)
    inside = np.clip(scaled, np.float32(codes.low), np.float32(codes.high))
    whole: Whole = np.rint(inside).astype(np.int64)
    return whole


def _head(head: Head, x: Whole) -> Whole:
    n, channels, height, width = x.shape
    rows, columns = height // head.pool, width // head.pool
    squares = x[:, :, : rows * head.pool, : columns * head.pool]
    sums = squares.reshape(n, channels, rows, head.pool, columns, head.pool).sum(axis=(3, 5))
    logits: Whole = sums.reshape(n, -1) @ head.weights.astype(np.int64).T + head.bias
    return logits
