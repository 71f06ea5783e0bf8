"""Chains of elementwise operations as one pass over memory, where training asks for it.

A quantizer is a dozen operations of one read and one write each; on a processor they take as long
as the convolution behind them. `torch.compile` makes one loop of them.
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

_switch = SimpleNamespace(on=False)  # of all threads: autograd may go backward in another one


def fusible(function: Callable[P, R]) -> Callable[P, R]:
    """Let `fused` replace a function of tensors and numbers by its compiled form."""

    @cache  # torch needs a second to load its compiler, which those who only look never need
    def compiled() -> Any:
        return torch.compile(function, dynamic=True)

    @wraps(function)
    def either(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = (compiled() if _switch.on else function)(*args, **kwargs)
        return result

    return either


@contextmanager
def fused(*, wanted: bool = True) -> Iterator[None]:
    """Within, fusible functions run compiled; it needs a C++ compiler and, once, some seconds.

    Results differ from the plain ones by rounding at most.
    """
    before, _switch.on = _switch.on, wanted
    try:
        yield
    finally:
        _switch.on = before
