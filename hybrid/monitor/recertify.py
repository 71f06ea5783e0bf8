"""What is certified now: weighted losses of a window of images in, an upper bound out.

The mean loss of the window is at most the largest m with K(m) < 1/delta, where K(m) is the mean,
over a few fixed bets b, of prod (1 + b (m - Z)). At the window's true mean K has a mean of at most
1, also if the loss changes within the window: the product of 1 + b (m - m_t) is largest if all m_t
are equal. Windows spend parts of delta like questions to a ledger, so all of them hold together.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid.certificates import spent

__all__ = ["Window", "Windows", "mean_bound"]

Floats = npt.NDArray[np.float64]

_MOST_LOST = 0.95  # of the wealth, on a single image
_PARTS = 2.0 ** -np.arange(7)  # of the largest bet
_HALVINGS = 30
_KEPT = 5_000  # windows; those before are certified too, but forgotten


@dataclass(frozen=True, kw_only=True)
class Window:
    """With all other windows, at the confidence of the plan: at most `bound` of these differed.

    Args:
        begin, end: images of the monitor, the end not included.
        observed: the weighted mean loss, which audits make uncertain; may be below 0.
    """

    begin: int
    end: int
    bound: float
    observed: float


def mean_bound(losses: Floats, *, highest: float, delta: float) -> float:
    """An upper bound of the mean loss of a window at confidence 1 - delta; at most 1.

    Args:
        losses: (n,) weighted losses of independent images.
        highest: the most that one can be.
    """
    bets = _MOST_LOST / highest * _PARTS[:, None]
    level = -np.log(delta) + np.log(len(_PARTS))
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        wealth = np.log1p(bets * (middle - losses)).sum(axis=1)
        above = np.logaddexp.reduce(wealth) >= level
        low, high = (low, middle) if above else (middle, high)
    return high


class Windows:
    """The windows of one device, filled by its weighted losses.

    Args:
        size: images of a window.
        highest: the most that a weighted loss can be.
        delta: chance that any window's bound does not hold.
    """

    def __init__(self, size: int, *, highest: float, delta: float) -> None:
        self.found: deque[Window] = deque(maxlen=_KEPT)
        self._closed = 0
        self._size, self._highest, self._delta = size, highest, delta
        self._open: list[Floats] = []
        self._held = 0

    def add(self, losses: Floats) -> None:
        """Go on with these losses (n,), in which a missing audit counts as a disagreement."""
        while len(losses):
            part = losses[: self._size - self._held]
            losses = losses[len(part) :]
            self._open.append(part)
            self._held += len(part)
            if self._held == self._size:
                self._close()

    def _close(self) -> None:
        losses = np.concatenate(self._open)
        delta = spent(self._closed + 1, self._delta)
        begin = self._closed * self._size
        self._closed += 1
        self.found.append(
            Window(
                begin=begin,
                end=begin + self._size,
                bound=mean_bound(losses, highest=self._highest, delta=delta),
                observed=float(losses.mean()),
            )
        )
        self._open, self._held = [], 0
