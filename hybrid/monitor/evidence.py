"""Bets against a promise: weighted losses in, evidence over time out. Knows no file and no line.

The promise is E[L | past] <= epsilon for every image. Z has the same mean as L, so a factor
1 + b (Z - epsilon) with a fixed bet b >= 0 has a mean of at most 1, and so has every product W of
factors: P(sup W >= 1/alpha) <= alpha (Ville). A few bets run side by side, each a part of the
wealth, and part of the wealth is kept back and starts later, so that a change after years is
found too; all of it together is still a test supermartingale.

Sources: betting, Waudby-Smith & Ramdas (arXiv 2010.09686); audited losses, Waudby-Smith et al.
(arXiv 2210.10768); changes, Shin, Ramdas & Rinaldo, "E-detectors" (arXiv 2203.03532).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FACTORS", "Evidence", "Path", "kelly_bets"]

Floats = npt.NDArray[np.float64]

FACTORS = {1.25: 0.05, 1.5: 0.2, 2.0: 0.5, 4.0: 0.15, 8.0: 0.1}  # of the promise, to their weights
_MOST_LOST = 0.9  # of a bet's wealth, on a single image
_AT_START = 0.8  # of the wealth; the rest starts in later rounds
_ROUND = 1_000  # images
_HALVINGS = 50


def kelly_bets(
    expected: npt.ArrayLike, probability: npt.ArrayLike, *, epsilon: float, worst: float
) -> tuple[float, ...]:
    """The bets that would grow fastest if the loss were each of FACTORS times the promise.

    A bet only decides how soon a broken promise is seen; any bet is valid.

    Args:
        expected: m, (n,), of images like those of the promise; 0 for one that went to the cloud.
        probability: pi, (n,), 1 for one that went to the cloud.
        epsilon: the promise.
        worst: the least that a weighted loss can be.
    """
    m, pi = np.asarray(expected, np.float64), np.asarray(probability, np.float64)
    most = _MOST_LOST / (epsilon - worst)
    per_image = epsilon / max(float(m.mean()), 1e-12)
    found = []
    for factor in FACTORS:
        losses = np.minimum(1, factor * per_image * m)
        gains = np.stack([m + (1 - m) / pi, m - m / pi, m]) - epsilon
        chances = np.stack([pi * losses, pi * (1 - losses), 1 - pi]) / len(m)
        found.append(_fastest(gains, chances, most))
    return tuple(found)


def _fastest(gains: Floats, chances: Floats, most: float) -> float:
    """The bet b in [0, most] with the largest mean of ln(1 + b gain)."""
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rising = (chances * gains / (1 + middle * gains)).sum() > 0
        low, high = (middle, high) if rising else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """The evidence after every image, in natural logarithms.

    | field  | shape     |                                                                     |
    |--------|-----------|---------------------------------------------------------------------|
    | wealth | (..., n)  | ln W; an alarm at ln(1 / alpha) is false with a chance of alpha     |
    | recent | (..., n)  | ln of the e-CUSUM; an alarm at ln A: one false in A images or more  |
    """

    wealth: Floats
    recent: Floats


class Evidence:
    """The state of the bets after some images, of one device or of many that are simulated.

    Args:
        bets: as from `kelly_bets`.
        epsilon: the promise.
        shape: of the devices; () for one.
    """

    def __init__(
        self, bets: Sequence[float], *, epsilon: float, shape: tuple[int, ...] = ()
    ) -> None:
        self.images = 0
        self._epsilon = epsilon
        column = (len(bets), *(1 for _ in shape))
        self._bets = np.asarray(bets, np.float64).reshape(*column, 1)
        weights = np.fromiter(FACTORS.values(), np.float64) if len(bets) > 1 else np.ones(1)
        self._weights = np.log(weights).reshape(column)
        self._started = np.full((len(bets), *shape), math.log(_AT_START))
        self._recent = np.zeros((len(bets), *shape))

    def add(self, losses: Floats) -> Path:
        """Go on with the weighted losses (..., n) of the next images, in their order."""
        parts = [self._within_round(part) for part in self._rounds(losses)]
        wealth = [part.wealth for part in parts] or [losses]
        recent = [part.recent for part in parts] or [losses]
        return Path(wealth=np.concatenate(wealth, -1), recent=np.concatenate(recent, -1))

    def _rounds(self, losses: Floats) -> Iterator[Floats]:
        """The losses, divided where a new part of the wealth starts."""
        begin = 0
        while begin < losses.shape[-1]:
            if self.images and self.images % _ROUND == 0:
                self._start_more()
            end = begin + _ROUND - self.images % _ROUND
            yield losses[..., begin:end]
            begin = end

    def _start_more(self) -> None:
        """Let the part of the wealth that is kept for this round join the bets."""
        past = self.images // _ROUND
        part = _kept_back(past - 1) - _kept_back(past)
        self._started = np.logaddexp(self._started, math.log(part))

    def _within_round(self, losses: Floats) -> Path:
        """Bet on images during which no part of the wealth starts."""
        growth = np.cumsum(np.log1p(self._bets * (losses - self._epsilon)), axis=-1)
        kept = math.log(_kept_back(self.images // _ROUND))
        wealth = _log_sum((self._weights + self._started)[..., None] + growth)
        recent = self._since_change(growth)
        self._started = self._started + growth[..., -1]
        self._recent = recent[..., -1]
        self.images += losses.shape[-1]
        return Path(
            wealth=np.logaddexp(wealth, kept), recent=_log_sum(self._weights[..., None] + recent)
        )

    def _since_change(self, growth: Floats) -> Floats:
        """Logarithms of M_t = max(M_(t-1), 1) * factor_t: products that restart at 1."""
        free = np.maximum(self._recent, 0)[..., None] + growth
        lowest = np.minimum.accumulate(free, axis=-1)
        before = np.concatenate([np.zeros_like(free[..., :1]), lowest[..., :-1]], axis=-1)
        since: Floats = free - np.minimum(before, 0)
        return since


def _kept_back(rounds: int) -> float:
    """The part of the wealth that has not started after so many rounds; it falls like 1 / log."""
    return (1 - _AT_START) / math.log2(rounds + 2)


def _log_sum(logs: Floats) -> Floats:
    """Logarithm of the sum over the bets, the first axis."""
    highest = logs.max(axis=0)
    total: Floats = highest + np.log(np.exp(logs - highest).sum(axis=0))
    return total
