"""Batch norm, a sum and the activation, which follow every convolution, as one operation.

Training a small network in bfloat16 spends more time here than in convolutions: torch passes over
memory some ten times for what `norm_act.c` does in five passes, and keeps the activation's input.
"""

import ctypes
import logging
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybrid.quant.fusing import fusible, is_fusing

__all__ = ["ShiftedPReLU", "compiled_code", "norm_act"]

log = logging.getLogger(__name__)

WIDE = 16  # channels that the C code takes at once
_SOURCE = Path(__file__).with_suffix(".c")
# GNU's C for vectors; native, because the library is used on the machine that compiles it
_FLAGS = ("-std=gnu99", "-O3", "-march=native", "-Wno-psabi", "-shared", "-fPIC")


class ShiftedPReLU(nn.Module):
    """PReLU between two learned shifts per channel, for 1-bit stages.

    Source: Liu et al., "ReActNet", ECCV 2020, equation 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.after = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return _shifted_prelu(x, self.before, self.slope.view(1, -1, 1, 1), self.after)


@fusible
def _shifted_prelu(x: Tensor, before: Tensor, slope: Tensor, after: Tensor) -> Tensor:
    moved = x - before
    return torch.where(moved >= 0, moved, slope * moved) + after


def norm_act(
    x: Tensor, norm: nn.BatchNorm2d, act: nn.Module, added: Tensor | None = None
) -> Tensor:
    """act(norm(x) + added): (n, channels, h, w) to the same shape.

    Inside `hybrid.quant.fusing.fused` this is one operation, if the norm is in training, `x` is in
    bfloat16, its channels are a multiple of 16, torch has one thread and there is a C compiler.
    The result is rounded to bfloat16 once, and differs from the plain one by that.

    Args:
        act: an `nn.ReLU` or a `ShiftedPReLU`.
        added: of the shape of `x`, or None.
    """
    if norm.training and is_fusing() and _suits(x) and (code := compiled_code()) is not None:
        learned = norm.weight, norm.bias, *_parameters(act, x.shape[1])
        result: Tensor = _NormAct.apply(code, x, added, norm, *learned)  # type: ignore[no-untyped-call]
        return result
    inner = norm(x)
    plain: Tensor = act(inner if added is None else inner + added)
    return plain


def _suits(x: Tensor) -> bool:
    return (
        x.dtype == torch.bfloat16
        and x.device.type == "cpu"
        and x.shape[1] % WIDE == 0
        and torch.get_num_threads() == 1
    )


def _parameters(act: nn.Module, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Before, slope and after, (channels,) each; a ReLU is a PReLU of slope 0."""
    if isinstance(act, ShiftedPReLU):
        return act.before.flatten(), act.slope, act.after.flatten()
    zeros = torch.zeros(channels)
    return zeros, zeros, zeros


@cache
def compiled_code() -> Any:
    """The compiled C code, or None, with a line in the log, if it cannot be compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        log.warning("No C compiler: batch norms run uncompiled.")
        return None
    with tempfile.TemporaryDirectory(prefix="hybrid-norm-act-") as folder:  # not needed once loaded
        made = Path(folder) / "norm_act.so"
        words = [compiler, *_FLAGS, "-o", str(made), str(_SOURCE)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().partition("\n")[0]
            log.warning("Batch norms run uncompiled: the C compiler says %s", reason)
            return None
        return ctypes.CDLL(str(made))


class _NormAct(torch.autograd.Function):
    """See `norm_act` and the C code.

    With x̂ the normalised x, dm the gradient of the activation's input and N values a channel:
    dγ = Σ dm x̂, dβ = Σ dm, dx = γ/σ (dm - dβ/N - x̂ dγ/N).

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015, section 3.
    """

    @staticmethod
    def forward(
        ctx: Any,
        code: Any,
        x: Tensor,
        added: Tensor | None,
        norm: nn.BatchNorm2d,
        gamma: Tensor,
        beta: Tensor,
        before: Tensor,
        slope: Tensor,
        after: Tensor,
    ) -> Tensor:
        x = _rows(x)
        added = None if added is None else _rows(added.to(x.dtype))
        size, count = _size(x)
        sums = torch.zeros(2, x.shape[1], dtype=torch.float64)
        code.hybrid_norm_sums(_at(x), *size, _at(sums))
        mean = sums[0] / count
        variance = (sums[1] / count - mean.square()).clamp(min=0)
        _follow(norm, mean, variance * count / max(1, count - 1))
        inverse = (variance + norm.eps).rsqrt()
        scale = gamma.double() * inverse
        shift = beta.double() - scale * mean - before.double()
        values = torch.stack([scale, shift, slope.double(), after.double()]).float()
        y = torch.empty_like(x)
        code.hybrid_norm_forward(_at(x), _at(added), _at(values), *size, _at(y))
        ctx.code = code
        ctx.save_for_backward(x, added, values, mean, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, added, values, mean, inverse = ctx.saved_tensors
        grad = _rows(grads[0])
        size, count = _size(x)
        sums = torch.zeros(4, x.shape[1], dtype=torch.float64)
        ctx.code.hybrid_norm_gradients(_at(x), _at(added), _at(grad), _at(values), *size, _at(sums))
        of_m, of_mx, of_after, of_slope = sums
        of_gamma = (of_mx - mean * of_m) * inverse
        scale = values[0].double()
        by_x = -scale * inverse * of_gamma / count
        constant = -scale * of_m / count - by_x * mean
        values = torch.cat([values[:3], torch.stack([by_x, constant]).float()])
        of_x = torch.empty_like(x)
        of_added = None if added is None else torch.empty_like(x)
        ctx.code.hybrid_norm_backward(
            _at(x), _at(added), _at(grad), _at(values), *size, _at(of_x), _at(of_added)
        )
        learned = (of_gamma, of_m, -of_m, of_slope, of_after)
        return None, of_x, of_added, None, *(one.float() for one in learned)


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move the norm's running values, as torch does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    rate = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.float(), rate)
    norm.running_var.lerp_(variance.float(), rate)


def _rows(x: Tensor) -> Tensor:
    """With the channels as the last axis in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def _size(x: Tensor) -> tuple[tuple[ctypes.c_int64, ctypes.c_int64], int]:
    """Rows and channels for C, and the number of rows."""
    channels = x.shape[1]
    rows = x.numel() // channels
    return (ctypes.c_int64(rows), ctypes.c_int64(channels)), rows


def _at(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
