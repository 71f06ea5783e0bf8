"""Upper bounds of a mean from independent samples. Arrays in, numbers out; knows no trace."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid.errors import CertificateError

__all__ = [
    "NO_SAMPLES",
    "betting_bound",
    "betting_bounds",
    "betting_p_values",
    "check_delta",
    "clopper_pearson",
    "clopper_pearson_p_values",
    "expected_samples",
    "fewest_samples",
    "fixed_bet_bounds",
]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

NO_SAMPLES = "A certificate needs samples; give a trace with images."
_HALVINGS = 21  # of a bracket of at most 1 in m: 5e-7, so 1e-6 in the gap
_RUN = 16
_MOST_SAMPLES = 1_000_000
_MOST_BET = 0.95  # of the wealth, on a single sample
_LEAST_GAP = -0.05
_ROWS_AT_ONCE = 1 << 17  # numbers: rows of this many stay in the cache, and memory is bounded


def betting_bound(gaps: npt.ArrayLike, *, delta: float, seed: int = 0) -> float:
    """Upper bound of the mean gap at confidence 1 - delta, by betting.

    x = (D + 1) / 2 in a random order that the seed fixes before anyone looks;
    mu_t = (1/2 + sum x) / (t + 1), s2_t = (1/4 + sum (x - mu)^2) / (t + 1), s2_0 = 1/4;
    nu_t = min(1, sqrt(2 ln(1/delta) / (n s2_(t-1))));  K_t(m) = prod (1 - nu_s (x_s - m)).
    The bound is the largest m with max_t K_t(m) < 1/delta, as the gap 2m - 1, to 1e-6 upwards.
    K_t(m) rises with m, so bisection finds it. An unlucky order can put that m below the observed
    mean. Then the mean is the bound; it is larger, so it holds as well.

    Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting",
    JRSS B 2024 (arXiv 2010.09686), the predictable plug-in bets of their section 4.

    Args:
        gaps: (n,) in [-1, 1], n > 0, drawn independently.
        delta: in (0, 1).

    Raises:
        CertificateError: no sample, or a delta outside.
    """
    return float(betting_bounds(np.asarray(gaps)[None], delta=delta, seed=seed)[0])


def betting_bounds(
    gaps: npt.ArrayLike, *, delta: float, seed: int = 0, bets_delta: float | None = None
) -> Floats:
    """`betting_bound` of each row of (k, n) gaps, each at delta by itself; (k,).

    Args:
        bets_delta: the delta that the bets are sized for, if it is another one. Any is valid.
    """
    table = _checked_gaps(gaps)
    level = -math.log(check_delta(delta))
    bet = level if bets_delta is None else -math.log(check_delta(bets_delta))
    order = np.random.default_rng(seed).permutation(table.shape[1])
    return np.concatenate([_bounds(part[:, order], level, bet) for part in _parts(table)])


def betting_p_values(
    gaps: npt.ArrayLike, *, max_loss: float, delta: float, seed: int = 0
) -> Floats:
    """p-values, (k,), that the mean gap of each row of (k, n) gaps exceeds max_loss.

    1 / max_t K_t(m) at m = (max_loss + 1) / 2, and 1 if the observed mean exceeds it. The
    bets are those for this delta, so p <= delta exactly where the betting bound is <= max_loss.
    """
    table = _checked_gaps(gaps)
    level = -math.log(check_delta(delta))
    order = np.random.default_rng(seed).permutation(table.shape[1])
    target = (max_loss + 1) / 2
    found = []
    for part in _parts(table):
        x = (part[:, order] + 1) / 2
        wealth = _Game.of(x, level).log_wealth(np.full(len(x), target))
        found.append(np.where(x.mean(axis=1) > target, 1.0, np.exp(-np.maximum(wealth, 0))))
    return np.concatenate(found)


def fixed_bet_bounds(
    lost: Counts, gained: Counts, samples: int, *, deltas: npt.ArrayLike, squares: npt.ArrayLike
) -> Floats:
    """Upper bounds of mean gaps by betting the same on every sample, from counts alone; (k,).

    K(g) = (1 + b g)^(n - lost - gained) (1 - b (1 - g))^lost (1 + b (1 + g))^gained; the bound is
    the g with K(g) = 1/delta, to 1e-6 upwards, and no less than the mean seen and than -0.05, so
    that no factor is negative. At the true mean K has mean 1, and it rises with g:
    so by Markov's inequality the true mean exceeds the bound with a chance of at most delta.
    The best bet is near b = sqrt(2 ln(1/delta) / (n E[D^2])), with E[D^2] from other images.

    `betting_bounds` is as tight without other images, but goes through the samples.

    Args:
        lost, gained: (k,) samples whose gap is 1 and -1.
        deltas: (k,) in (0, 1), each row's own.
        squares: (k,) E[D^2], found without these samples; a bad guess only loosens the bound.
    """
    level = -np.log(np.asarray(deltas, np.float64))
    best = np.sqrt(2 * level / (samples * np.asarray(squares)))
    bet = np.minimum(_MOST_BET, best)
    equal = samples - lost - gained
    low, high = np.maximum((lost - gained) / samples, _LEAST_GAP), np.ones(len(lost))
    for _ in range(_HALVINGS):
        gap = (low + high) / 2
        wealth = (
            equal * np.log1p(bet * gap)
            + lost * np.log1p(-bet * (1 - gap))
            + gained * np.log1p(bet * (1 + gap))
        )
        above = wealth >= level
        high, low = np.where(above, gap, high), np.where(above, low, gap)
    return high


@cache
def fewest_samples(max_loss: float, *, delta: float) -> int | None:
    """The least number of samples, with no loss among them, whose betting bound is max_loss.

    None if a million are too few, and for a loss of 0, which no number of samples proves.
    """

    def enough(samples: int) -> bool:
        p_values = betting_p_values(np.zeros((1, samples)), max_loss=max_loss, delta=delta)
        return bool(p_values[0] <= delta)

    most = 1
    while max_loss > 0 and most < _MOST_SAMPLES and not enough(most):
        most *= 2
    if max_loss <= 0 or most >= _MOST_SAMPLES:
        return None
    sizes = range(1, most)
    return 1 + bisect_left(sizes, True, key=enough)


def expected_samples(gaps: npt.ArrayLike, *, max_loss: float, delta: float) -> int | None:
    """About how many samples like these it takes for a betting bound of max_loss.

    The number at which the bets are expected to grow to 1/delta: n * E[ln(1 + nu (m - x))] =
    ln(1/delta), with nu and m as in `betting_bound`. So about half of all draws of that many pass.

    Returns:
        None if a million are too few, as they are if these samples lose max_loss or more.
    """
    values, counts = np.unique(_checked_gaps(np.asarray(gaps)[None])[0], return_counts=True)
    x, chances = (values + 1) / 2, counts / counts.sum()
    variance = float(chances @ (x - chances @ x) ** 2)
    level, target = -math.log(check_delta(delta)), (max_loss + 1) / 2

    def grown(samples: int) -> bool:
        bet = min(1.0, math.sqrt(2 * level / (samples * variance + 0.25)))
        return bool(samples * (chances @ np.log1p(bet * (target - x))) >= level)

    if not grown(_MOST_SAMPLES):
        return None
    return 1 + bisect_left(range(1, _MOST_SAMPLES), True, key=grown)


def clopper_pearson(failures: npt.ArrayLike, samples: int, *, delta: float) -> Any:
    """Exact upper bound of a rate at confidence 1 - delta: of that rate, P(<= failures) = delta.

    Source: Clopper & Pearson, Biometrika 26 (1934); the quantile 1 - delta of
    Beta(failures + 1, samples - failures).

    Args:
        failures: 0 to samples, one number or many; as many bounds come out.
        samples: > 0.
    """
    from scipy import special  # a quarter of a second, and Explore's first figures need none

    check_delta(delta)
    if samples < 1:
        raise CertificateError(NO_SAMPLES)
    failed = np.asarray(failures, np.float64)
    certain = failed >= samples
    bound = special.betainccinv(failed + 1, np.where(certain, 1, samples - failed), delta)
    return np.where(certain, 1.0, bound)[()]


def clopper_pearson_p_values(
    failures: npt.NDArray[np.int64], samples: int, *, max_rate: float
) -> Floats:
    """P(at most so many failures) if the rate were max_rate, one for each number of failures.

    It is <= delta exactly where the Clopper-Pearson bound is <= max_rate.
    """
    from scipy import special

    p_values: Floats = special.bdtr(failures, samples, max_rate)
    return p_values


def check_delta(delta: float) -> float:
    """The delta, if it is one.

    Raises:
        CertificateError: 0, 1, NaN or anything outside.
    """
    if not 0 < delta < 1:
        raise CertificateError(
            f"A delta of {delta:g} (confidence {1 - delta:g}) certifies nothing; give one above 0 "
            "and below 1, such as 0.05 for 95 % confidence."
        )
    return delta


def _checked_gaps(gaps: npt.ArrayLike) -> npt.NDArray[Any]:
    table = np.asarray(gaps)
    if table.ndim != 2 or not table.shape[1]:
        raise CertificateError(NO_SAMPLES)
    assert ((table >= -1) & (table <= 1)).all()  # a gap is a difference of two hits
    return table


def _parts(table: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    rows = max(1, _ROWS_AT_ONCE // table.shape[1])
    return [table[start : start + rows] for start in range(0, len(table), rows)]


def _bounds(gaps: npt.NDArray[Any], level: float, bet: float) -> Floats:
    """(k,): the bounds of rows, which are in betting order; level = ln(1/delta), bet alike."""
    x = (gaps + 1) / 2
    game = _Game.of(x, bet)
    low, high = x.mean(axis=1), np.ones(len(x))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = game.log_wealth(middle) >= level
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    return 2 * high - 1


def _bets(x: Floats, level: float) -> Floats:
    """(k, n): nu_t, from the samples before t only."""
    steps = np.arange(2, x.shape[1] + 2)
    means = (0.5 + np.cumsum(x, axis=1)) / steps
    variances = (0.25 + np.cumsum((x - means) ** 2, axis=1)) / steps
    before = np.concatenate([np.full((len(x), 1), 0.25), variances[:, :-1]], axis=1)
    bets: Floats = np.minimum(1, np.sqrt(2 * level / (x.shape[1] * before)))
    return bets


@dataclass(frozen=True, kw_only=True, eq=False)
class _Game:
    """Rows of samples with the bets on them, for any m.

    Wealth is multiplied within runs of sixteen samples, and its logarithm is added up over the
    runs. That is ten times as fast as a logarithm for every sample. A product of sixteen factors
    between 1e-7 and 2 neither overflows nor vanishes.

    | field | shape         |                                    |
    |-------|---------------|------------------------------------|
    | x     | (16, k, runs) | the samples, in [0, 1]             |
    | bets  | (16, k, runs) | nu; 0 after the last sample        |
    """

    x: Floats
    bets: Floats

    @staticmethod
    def of(x: Floats, level: float) -> "_Game":
        """The game on (k, n) samples; level = ln(1/delta)."""
        return _Game(x=_in_runs(x), bets=_in_runs(_bets(x, level)))

    def log_wealth(self, means: Floats) -> Floats:
        """(k,): max_t ln K_t(m), each row at its own m > 0."""
        wealth = np.ones(self.x.shape[1:])
        best = np.zeros_like(wealth)
        for x, bets in zip(self.x, self.bets, strict=True):
            wealth *= 1 + bets * (means[:, None] - x)
            np.maximum(best, wealth, out=best)
        grown = np.log(wealth)
        before = np.cumsum(grown, axis=1) - grown
        highest: Floats = (before + np.log(best)).max(axis=1)
        return highest


def _in_runs(rows: Floats) -> Floats:
    runs = -(-rows.shape[1] // _RUN)
    filled = np.zeros((len(rows), runs * _RUN))
    filled[:, : rows.shape[1]] = rows
    return np.ascontiguousarray(filled.reshape(len(rows), runs, _RUN).transpose(2, 0, 1))
