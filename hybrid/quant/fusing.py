"""Chains of elementwise operations as one pass over memory, if training asks for it.

A quantizer is a dozen operations with a read and a write each; on a CPU they take as long as the
convolution after them. `torch.compile` makes one loop of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import torch

__all__ = ["fused", "fusible"]

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


@contextmanager
def fused(*, wanted: bool = True) -> Iterator[None]:
    """Run fusible functions compiled inside the block.

    This needs a C++ compiler, and some seconds the first time.

    Results differ from the plain ones at most by rounding.
    """
    before, _switch.on = _switch.on, wanted
    try:
        yield
    finally:
        _switch.on = before
