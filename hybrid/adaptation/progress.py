"""How far an adaptation is: images that ran through its networks, of those that will, and time.

The images of each step are counted in advance; the time left is judged by the speed so far.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hybrid.adaptation.fitting import calibration_images, norm_images
from hybrid.models import Network
from hybrid.quant.levels import FULL_PRECISION

__all__ = ["Counted", "Report", "Work", "time_left"]

Report = Callable[[int, int], None]

_BACKWARD = 3  # training on an image takes about as long as running three
_QUANTIZED = 2  # and rounding about as long as the layers themselves
_SHORT_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Images of an adaptation.

    Args:
        train, tune: in these splits.
        recorded: in all splits of which traces are recorded.
    """

    train: int
    tune: int
    recorded: int
    size: int
    epochs: int

    def of(self, bits: int, *, static: bool) -> int:
        """Images that run to make a variant, in runs at full precision."""
        passes = self.recorded
        if not static:
            passes += self.train + 2 * self.tune
        if bits == FULL_PRECISION:
            return passes
        passes += 2 * norm_images(self.train) + 8 * calibration_images(self.train, self.size)
        passes += self.epochs * (_BACKWARD * self.train + self.tune)
        return _QUANTIZED * passes


@dataclass(kw_only=True)
class Work:
    """Variants to make, and how much of them is done.

    Args:
        parts: images of each variant.
        report: called with images done and images in all, now and then.
        clock: seconds.
    """

    parts: dict[str, int]
    report: Report = lambda *_: None
    clock: Callable[[], float] = time.monotonic
    _ran: int = 0  # in this process, without what was found finished
    _finished: int = 0
    _spent: float = 0.0  # seconds, in the blocks before
    _started: float | None = None  # of the present block

    @property
    def total(self) -> int:
        """Images of all variants."""
        return sum(self.parts.values())

    def skip(self, variant: str) -> None:
        """A variant that was finished before."""
        self._finished += self.parts[variant]
        self.report(self._finished + self._ran, self.total)

    @contextmanager
    def watching(self, variant: str, network: Network) -> Iterator[None]:
        """Count the images that run through a variant's network inside the block."""
        self._started = self.clock()
        before, weight = self._ran, 1 if network.spec.bits == FULL_PRECISION else _QUANTIZED
        most = before + self.parts[variant]

        def count(_module: nn.Module, given: tuple[Tensor, ...], _output: Any) -> None:
            images = len(given[0]) * weight * (_BACKWARD if torch.is_grad_enabled() else 1)
            self._ran = min(self._ran + images, most)
            self.report(self._finished + self._ran, self.total)

        handle = network.stages[0].register_forward_hook(count)
        try:
            yield
        finally:
            handle.remove()
            self._spent, self._started = self._seconds(), None
        self._ran = most

    def left(self) -> str:
        """How long it will still take, as a sentence; empty until something has run."""
        if not self._ran:
            return ""
        left = self.total - self._finished - self._ran
        return time_left(self._seconds() * left / self._ran)

    def _seconds(self) -> float:
        """Spent on what is counted, not on what comes between."""
        return self._spent + (0.0 if self._started is None else self.clock() - self._started)


def time_left(seconds: float) -> str:
    """A sentence about the time left.

    >>> time_left(12.0), time_left(70.0), time_left(400.0)
    (' About 20 seconds left.', ' About 70 seconds left.', ' About 7 minutes left.')
    """
    if seconds < _SHORT_S:
        return f" About {max(10, 10 * -int(-seconds // 10))} seconds left."
    return f" About {-int(-seconds // 60)} minutes left."
