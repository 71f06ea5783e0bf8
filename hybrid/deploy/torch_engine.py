"""A form's whole numbers with torch: many images at a time, equal to the interpreter's."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hybrid.deploy import exits
from hybrid.deploy.form import PIXELS, SENT, Codes, Conv, Form, Head, bound, check_pixels
from hybrid.deploy.interpreter import Answers, Left, multipliers

__all__ = ["Engine"]

_FLOAT32 = 2**24  # sums of whole numbers below it are exact in float32, in any order


class Engine:
    """A form whose constants are tensors."""

    def __init__(self, form: Form) -> None:
        codes = form.codes
        self.form = form
        self._steps = [_of(step, codes[step.source]) for step in form.steps]
        self._codes = {name: _Coder(one) for name, one in codes.items()}

    @torch.inference_mode()
    def run(self, pixels: NDArray[np.uint8]) -> Answers:
        """The same as `hybrid.deploy.interpreter.run`."""
        registers = _pixels(self.form, pixels)
        logits = []
        for step in self._steps:
            if isinstance(step, _Linear):
                logits.append(step(registers).numpy().astype(np.int64))
            else:
                self._convolve(step, registers)
        return Answers(logits=tuple(logits), sent=_sent(registers))

    @torch.inference_mode()
    def leave(self, pixels: NDArray[np.uint8], limits: Sequence[int], measure: str) -> Left:
        """The same as `hybrid.deploy.interpreter.leave`; what comes after is not computed."""
        heads, n = len(self.form.heads), len(pixels)
        registers, alive, exit_ = _pixels(self.form, pixels), np.arange(n), 0
        logits = np.zeros((heads, n, self.form.classes), np.int64)
        taken, steps = np.full(n, heads), np.full(n, len(self._steps))
        for number, step in enumerate(self._steps, 1):
            if not isinstance(step, _Linear):
                self._convolve(step, registers)
                continue
            found = step(registers).numpy().astype(np.int64)
            logits[exit_, alive] = found
            multiply = multipliers(self.form)[exit_]
            stays = exits.confidences(found, multiply, measure) < limits[exit_]
            taken[alive[~stays]], steps[alive[~stays]] = exit_, number
            if not stays.all():
                rows = torch.from_numpy(np.flatnonzero(stays))
                registers, alive = {key: x[rows] for key, x in registers.items()}, alive[stays]
            exit_ += 1
            if not len(alive):
                break
        shape = (0, *self.form.shapes[SENT])
        sent = _sent(registers) if len(alive) else np.zeros(shape, np.uint8)
        return Left(exit_taken=taken, logits=tuple(logits), sent=sent, steps=steps)

    def _convolve(self, step: "_Convolution", registers: dict[str, Tensor]) -> None:
        y = step(registers)
        for output in step.conv.outputs:
            coded = output.codes is not None
            registers[output.register] = self._codes[output.register](y) if coded else y


def _pixels(form: Form, pixels: NDArray[np.uint8]) -> dict[str, Tensor]:
    check_pixels(form, pixels)
    return {PIXELS: torch.from_numpy(pixels).permute(0, 3, 1, 2).float()}


def _sent(registers: Mapping[str, Tensor]) -> NDArray[np.uint8]:
    sent: NDArray[np.uint8] = registers[SENT].to(torch.uint8).contiguous().numpy()
    return sent


def _of(step: Conv | Head, source: Codes) -> "_Convolution | _Linear":
    return _Linear(step) if isinstance(step, Head) else _Convolution(step, source)


class _Convolution:
    def __init__(self, conv: Conv, source: Codes) -> None:
        self.conv = conv
        self.type = torch.float32 if bound(conv, source) < _FLOAT32 else torch.float64
        self.weights = torch.from_numpy(conv.weights).to(self.type)
        self.weights = self.weights.contiguous(memory_format=torch.channels_last)
        self.multiply = torch.from_numpy(conv.multiply)[:, None, None]
        self.add = torch.from_numpy(conv.add[:, conv.rows][:, :, conv.columns].copy())
        self.prelu = [torch.from_numpy(part)[:, None, None] for part in conv.prelu]
        self.fill = torch.from_numpy(conv.fill)[:, None, None].to(self.type)

    def __call__(self, registers: Mapping[str, Tensor]) -> Tensor:
        conv = self.conv
        sums = functional.conv2d(
            self._padded(registers[conv.source].to(self.type)), self.weights, stride=conv.stride
        )
        if conv.pool > 1:
            sums = functional.max_pool2d(sums, conv.pool)
        y = sums.float() * self.multiply
        y += self.add
        if conv.plus:
            y += registers[conv.plus]
        if conv.relu:
            y.clamp_(min=0)
        if self.prelu:
            before, slope, after = self.prelu
            moved = y - before
            y = torch.where(moved >= 0, moved, slope * moved) + after
        return y

    def _padded(self, x: Tensor) -> Tensor:
        around = self.conv.padding
        if not around:
            return x
        if not self.conv.fill.any():
            return functional.pad(x, (around,) * 4)
        n, channels, height, width = x.shape
        padded = self.fill.expand(n, channels, height + 2 * around, width + 2 * around).clone()
        padded[:, :, around : around + height, around : around + width] = x
        return padded


class _Linear:
    def __init__(self, head: Head) -> None:
        self.head = head
        self.weights = torch.from_numpy(head.weights).double().T.contiguous()
        self.bias = torch.from_numpy(head.bias).double()

    def __call__(self, registers: Mapping[str, Tensor]) -> Tensor:
        x, pool = registers[self.head.source].double(), self.head.pool
        sums = functional.avg_pool2d(x, pool, divisor_override=1)
        return sums.flatten(1) @ self.weights + self.bias


class _Coder:
    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self.thresholds = torch.from_numpy(codes.thresholds)[:, None, None]
        self.scale = torch.tensor(codes.scale, dtype=torch.float32)

    def __call__(self, y: Tensor) -> Tensor:
        if self.codes.thresholds.size:
            return torch.where(y >= self.thresholds, 1.0, -1.0)
        return (y * self.scale).clamp_(self.codes.low, self.codes.high).round_()
