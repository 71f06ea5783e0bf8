"""The exact upper bound of a mean gap, from three counts: tighter than any bet, and slower."""

from collections.abc import Iterator

import numpy as np

from hybrid.certificates.bounds import Counts, Floats, check_delta

__all__ = ["MOST_SAMPLES", "exact_bound", "exact_exceeds", "exact_p_value"]

MOST_SAMPLES = 20_000  # with more the bets are as good, and this would take seconds
_SHARES = 40  # of gains, at which the chance is computed
_NEAR = 12  # more of them, around the largest chance
_HALVINGS = 15  # of a bracket of a few points: 1e-6
_WIDEST = 8  # standard deviations; what is beyond has a chance below 1e-14


def exact_bound(lost: int, gained: int, samples: int, *, delta: float) -> float:
    """Upper bound of the mean gap at confidence 1 - delta: the m where `exact_p_value` is delta.

    Args:
        lost, gained: samples whose gap D is 1 and -1.
        samples: n, drawn independently.
        delta: in (0, 1).
    """
    level = -np.log(check_delta(delta))
    seen = (lost - gained) / samples
    spread = 2 * level * (lost + gained + 5) / samples**2
    low, high = seen, min(1.0, seen + 3 * float(np.sqrt(spread) + level / samples))
    if exact_exceeds(lost, gained, samples, max_loss=high, delta=delta):
        high = 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if exact_exceeds(lost, gained, samples, max_loss=middle, delta=delta):
            low = middle
        else:
            high = middle
    return high


def exact_p_value(lost: int, gained: int, samples: int, *, max_loss: float) -> float:
    """The largest chance of counts that speak as much against a mean gap of m, if it were m.

    D has a trinomial distribution with P(D = 1) - P(D = -1) = m; the share of gains P(D = -1) is
    free, and the chance is computed at many shares, closely spaced where there are few. Counts are
    ordered by the log likelihood ratio of their best fit to their best fit with mean m. Only
    counts whose mean is below m speak against it.

    Source: Barnard, "Significance tests for 2 x 2 tables", Biometrika 34 (1947): maximise the
    chance over the free parameter. The order is that of Owen's empirical likelihood.
    """
    return max(_chances(lost, gained, samples, max_loss))


def exact_exceeds(lost: int, gained: int, samples: int, *, max_loss: float, delta: float) -> bool:
    """Whether the p-value is above delta; quick where it is."""
    return any(chance > delta for chance in _chances(lost, gained, samples, max_loss))


def _chances(lost: int, gained: int, samples: int, mean: float) -> Iterator[float]:
    """The chance at each share of gains: first the one that was seen, last around the largest."""
    if mean >= 1:
        yield 0.0
        return
    seen = float(_ratio(np.array([lost]), np.array([gained]), samples, mean)[0])
    if seen <= 0:
        yield 1.0
        return
    most, least = _most_lost(seen, samples, mean), max(0.0, -mean)
    widest = (1 - mean) / 2 - least
    yield _chance(most, samples, mean, min(least + widest, max(least, gained / samples)))
    shares = least + np.concatenate([[0], np.geomspace(0.01 / samples, 1, _SHARES)]) * widest
    chances = []
    for gains in shares.tolist():
        chances.append(_chance(most, samples, mean, gains))
        yield chances[-1]
    place = int(np.argmax(chances))
    near = np.linspace(shares[max(0, place - 1)], shares[min(place + 1, _SHARES)], _NEAR)
    yield from (_chance(most, samples, mean, gains) for gains in near.tolist())


def _ratio(lost: Counts, gained: Counts, samples: int, mean: float) -> Floats:
    """How far counts are from the nearest distribution of this mean, n KL; 0 if not below it.

    The largest, over bets b, of the log wealth sum ln(1 - b (D - m)); its slope in b is 0 where a
    quadratic is.
    """
    equal = samples - lost - gained
    down, up = 1 - mean, 1 + mean
    square = -samples * down * up * mean
    linear = -lost * down * (up + mean) + gained * up * (mean - down) + equal * mean * (up - down)
    constant = samples * mean - lost + gained
    root = np.sqrt(np.maximum(linear**2 - 4 * square * constant, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.clip(2 * constant / (root - linear), 0, (1 - 1e-12) / down)
        wealth = (
            np.where(lost > 0, lost * np.log1p(-best * down), 0)
            + gained * np.log1p(best * up)
            + equal * np.log1p(best * mean)
        )
    return np.where(constant > 0, wealth, 0.0)


def _most_lost(seen: float, samples: int, mean: float) -> Counts:
    """(n + 1,): for each number of gains, the most losses that speak as much against the mean.

    -1 if none do. More losses speak less against it.
    """
    gained = np.arange(samples + 1, dtype=np.int64)
    low = np.full(samples + 1, -1)
    high = np.clip(np.floor(samples * mean + gained + 1), 0, samples - gained + 1).astype(np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = _ratio(np.maximum(middle, 0), gained, samples, mean) >= seen - 1e-9
        low = np.where((middle > low) & enough, middle, low)
        high = np.where((middle > low) & ~enough, middle, high)
    return low


def _chance(most: Counts, samples: int, mean: float, gains: float) -> float:
    """P(lost <= most[gained]) if gains have this share, and losses that share plus the mean."""
    from scipy import special  # not stats, which takes a second to import

    middle, spread = samples * gains, np.sqrt(samples * gains * (1 - gains))
    first = max(0, int(middle - _WIDEST * spread - 5))
    gained = np.arange(first, min(samples, int(middle + _WIDEST * spread + 25)) + 1)
    losing = np.clip((mean + gains) / max(1 - gains, 1e-300), 0, 1)
    few = most[gained]
    below = special.bdtr(np.maximum(few, 0), samples - gained, losing)
    ways = special.gammaln(samples + 1) - special.gammaln([gained + 1, samples - gained + 1]).sum(
        axis=0
    )
    often = special.xlogy(gained, gains) + special.xlog1py(samples - gained, -gains)
    return float((np.exp(ways + often) * np.where(few < 0, 0.0, below)).sum())
