"""Chains of elementwise operations as one pass over memory, if training asks for it.

A quantizer is a dozen operations with a read and a write each; on a CPU they take as long as the
convolution after them. `torch.compile` makes one loop of them.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import torch

__all__ = ["can_compile", "fused", "fusible", "is_fusing"]

# A function is compiled again for each type, layout and kind of gradient; torch's own limit of 8
# is passed by a blockwise start, and what comes after it would run uncompiled.
MOST_FORMS = 64

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_switch = SimpleNamespace(on=False)  # for all threads: autograd may run backward in another one


def fusible(function: Callable[P, R]) -> Callable[P, R]:
    """Let `fused` replace a function of tensors and numbers by its compiled form."""

    @cache  # torch takes a second to load its compiler, so only when needed
    def compiled() -> Any:
        return torch.compile(function, dynamic=True)

    @wraps(function)
    def either(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = (compiled() if _switch.on else function)(*args, **kwargs)
        return result

    return either


@cache
def can_compile() -> bool:
    """Whether torch finds a working C++ compiler; if not, the log has a line about it."""
    try:
        torch.compile(_plus_one)(torch.zeros(2))
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        log.warning("Quantizers run uncompiled, at about 0.6 of the speed: %s", reason)
        return False
    return True


def _plus_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def is_fusing() -> bool:
    """Whether this is inside a `fused` block of a machine that can compile."""
    return bool(_switch.on)


@contextmanager
def fused(*, wanted: bool = True) -> Iterator[None]:
    """Run fusible functions compiled inside the block, where there is a C++ compiler.

    Compiling takes some seconds the first time. Results differ from the plain ones at most by
    rounding.
    """
    before = _switch.on
    _switch.on = wanted and can_compile()
    try:
        with _many_forms() if _switch.on else nullcontext():
            yield
    finally:
        _switch.on = before


def _many_forms() -> AbstractContextManager[object]:
    from torch._dynamo import config  # takes a second to load, so only when needed

    patched: AbstractContextManager[object] = config.patch(recompile_limit=MOST_FORMS)
    return patched
