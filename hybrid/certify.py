"""Upper bounds, at a stated confidence, of the accuracy that leaving early costs.

Arrays in, numbers out. A sample's gap is D = f - e in {-1, 0, 1}: right at the final exit minus
right at the exit it takes, so the mean gap is the accuracy lost against always asking the final
exit. What is certified holds for images drawn like those of the trace, with probability 1 - delta
over the draw, for thresholds that were fixed before anyone looked at its labels.

    certify          one bound at thresholds that were fixed beforehand
    fixed_sequence   how far along a path of thresholds, itself fixed on `tune`, a limit holds
    band             bounds on a grid for a free slider, all of them at once

Nothing is certified from `train`, `tune` or `test`: the first two were chosen on, the third is
there to check what was promised.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import special

from hybrid.errors import CertificateError, UnknownNameError
from hybrid.policy import TraceLike, check_thresholds, exits_taken, threshold_grid
from hybrid.policy.points import early_confidences

__all__ = [
    "METHODS",
    "Answered",
    "Band",
    "Certificate",
    "band",
    "betting_bound",
    "betting_bounds",
    "betting_p_values",
    "certify",
    "certify_exits",
    "clopper_pearson",
    "disagreements",
    "fixed_sequence",
    "loss_gaps",
    "nearest",
    "regrets",
    "slider_grid",
    "threshold_path",
]

Floats = npt.NDArray[np.float64]
Gaps = npt.NDArray[np.int8]

METHODS = {
    "betting": "accuracy lost by leaving early",
    "regret": "images that the final exit answers rightly and the exit taken wrongly",
    "disagreement": "images that the exit taken and the final exit answer differently",
}
_CHOSEN_ON = ("train", "tune", "test")
_HALVINGS = 21  # of a bracket of at most 1 in m: 5e-7, so 1e-6 in the gap
_ROWS_AT_ONCE = 1 << 17  # numbers: rows of this many stay in the cache, and memory is bounded
# Round thresholds, closer together near 1 where confidences crowd; no data decides them.
_AXES = {
    1: (0.3, *(i / 100 for i in range(40, 100, 2)), 0.99, 0.995, 0.999),
    2: (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.999),
    3: (0.5, 0.7, 0.8, 0.9, 0.95, 0.99),
}
_FEW = (0.6, 0.8, 0.95)  # for each of four exits and more


class Answered(TraceLike, Protocol):
    """What a certificate reads of a trace."""

    @property
    def split(self) -> str:
        """The split the samples are of."""

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """(n, exits): each exit's answer, the final exit last."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """With probability 1 - delta, what it bounds is at most `bound` on images like these.

    Args:
        method: a name of METHODS.
        bounds: what is bounded, in words.
        bound: fraction of the images, at most 1; negative where leaving early is sure to gain.
        delta: chance that this bound, or any other of the `comparisons`, does not hold.
        comparisons: how many bounds share delta.
        samples: labelled images that it was computed from.
        observed: the same fraction on these images.
        split: that the images are of.
    """

    method: str
    bounds: str
    bound: float
    delta: float
    comparisons: int
    samples: int
    observed: float
    split: str

    @property
    def confidence(self) -> float:
        """1 - delta."""
        return 1 - self.delta

    @property
    def sentence(self) -> str:
        """The promise in words; the bound is rounded up, so that what is read holds too."""
        return (
            f"With {_percent(self.confidence)} confidence, {self.claim}, on images like these "
            f"({self.samples:,} images)."
        )

    @property
    def claim(self) -> str:
        """What is promised, without confidence and samples."""
        points = rounded_up(self.bound)
        if self.method == "disagreement":
            return f"at most {points:.1f} % are answered otherwise than always asking the cloud"
        against = "against always asking the cloud"
        if points > 0:
            return f"leaving early costs at most {points:.1f} points {against}"
        if points < 0:
            return f"leaving early gains at least {-points:.1f} points {against}"
        return f"leaving early costs nothing {against}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "method": self.method,
            "bounds": self.bounds,
            "bound": self.bound,
            "confidence": round(self.confidence, 12),
            "delta": self.delta,
            "comparisons": self.comparisons,
            "samples": self.samples,
            "observed": self.observed,
            "split": self.split,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """Bounds on a grid of thresholds that hold all at once, for whoever moves among them freely.

    | field      | shape      |                                             |
    |------------|------------|---------------------------------------------|
    | thresholds | (k, early) | the grid                                    |
    | bounds     | (k,)       | upper bounds, fractions of the images       |
    | observed   | (k,)       | the same on the images of the trace         |
    | comparisons|            | k times everything else on offer            |
    """

    thresholds: Floats
    bounds: Floats
    observed: Floats
    method: str
    delta: float
    comparisons: int
    samples: int
    split: str

    def certificate(self, thresholds: Sequence[float]) -> Certificate | None:
        """The certificate at these thresholds; None between the points of the grid."""
        same = np.flatnonzero((abs(self.thresholds - np.asarray(thresholds)) < 1e-9).all(axis=1))
        return self.at(int(same[0])) if len(same) else None

    def at(self, index: int) -> Certificate:
        """The certificate at a point of the grid."""
        return Certificate(
            method=self.method,
            bounds=METHODS[self.method],
            bound=float(self.bounds[index]),
            delta=self.delta,
            comparisons=self.comparisons,
            samples=self.samples,
            observed=float(self.observed[index]),
            split=self.split,
        )


def loss_gaps(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> Gaps:
    """D = f - e of every sample, (n,) in {-1, 0, 1}; its mean is the accuracy that is lost.

    Args and errors as in `hybrid.policy.outcome`.
    """
    correct = trace.correct
    return _gaps(correct, _taken(trace, thresholds, measure))


def regrets(
    trace: TraceLike, thresholds: Sequence[float], measure: str = "max_probability"
) -> npt.NDArray[np.bool_]:
    """(n,): right at the final exit and wrong at the exit it takes; D clipped at 0."""
    return loss_gaps(trace, thresholds, measure) > 0


def disagreements(
    trace: Answered, thresholds: Sequence[float], measure: str = "max_probability"
) -> npt.NDArray[np.bool_]:
    """(n,): another class at the exit it takes than at the final exit. No label is read."""
    return _disagree(trace.classes, _taken(trace, thresholds, measure))


def betting_bound(gaps: npt.ArrayLike, *, delta: float, seed: int = 0) -> float:
    """Upper bound of the mean gap at confidence 1 - delta, by betting.

    x = (D + 1) / 2 in a random order that the seed fixes before anyone looks;
    mu_t = (1/2 + sum x) / (t + 1), s2_t = (1/4 + sum (x - mu)^2) / (t + 1), s2_0 = 1/4;
    nu_t = min(1, sqrt(2 ln(1/delta) / (n s2_(t-1))));  K_t(m) = prod (1 - nu_s (x_s - m)).
    The bound is the largest m with max_t K_t(m) < 1/delta, as the gap 2m - 1, to 1e-6 upwards.
    K_t(m) rises with m, so halving finds it. An unlucky order can put that m below the mean seen;
    then the mean is the bound, which is larger and so holds as well.

    Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting",
    JRSS B 2024 (arXiv 2010.09686), the predictable plug-in bets of their section 4.

    Args:
        gaps: (n,) in [-1, 1], n > 0, drawn independently.
        delta: in (0, 1).

    Raises:
        CertificateError: no sample, or a delta outside.
    """
    return float(betting_bounds(np.asarray(gaps)[None], delta=delta, seed=seed)[0])


def betting_bounds(gaps: npt.ArrayLike, *, delta: float, seed: int = 0) -> Floats:
    """`betting_bound` of each row of (k, n) gaps, each at delta by itself; (k,)."""
    table = _checked_gaps(gaps)
    level = -math.log(check_delta(delta))
    order = np.random.default_rng(seed).permutation(table.shape[1])
    return np.concatenate([_bounds(part[:, order], level) for part in _parts(table)])


def betting_p_values(
    gaps: npt.ArrayLike, *, max_loss: float, delta: float, seed: int = 0
) -> Floats:
    """p-values, (k,), that the mean gap of each row of (k, n) gaps exceeds max_loss.

    1 / max_t K_t(m) at m = (max_loss + 1) / 2, and 1 where the mean seen exceeds it already. The
    bets are those for this delta, so p <= delta exactly where the betting bound is <= max_loss.
    """
    table = _checked_gaps(gaps)
    level = -math.log(check_delta(delta))
    order = np.random.default_rng(seed).permutation(table.shape[1])
    target = (max_loss + 1) / 2
    found = []
    for part in _parts(table):
        x = (part[:, order] + 1) / 2
        wealth = _log_wealth(x, _bets(x, level), np.full(len(x), target))
        found.append(np.where(x.mean(axis=1) > target, 1.0, np.exp(-np.maximum(wealth, 0))))
    return np.concatenate(found)


def clopper_pearson(failures: npt.ArrayLike, samples: int, *, delta: float) -> Any:
    """Exact upper bound of a rate at confidence 1 - delta: of that rate, P(<= failures) = delta.

    Source: Clopper & Pearson, Biometrika 26 (1934); the quantile 1 - delta of
    Beta(failures + 1, samples - failures).

    Args:
        failures: 0 to samples, one number or many; as many bounds come out.
        samples: > 0.
    """
    check_delta(delta)
    if samples < 1:
        raise CertificateError(_NO_SAMPLES)
    failed = np.asarray(failures, np.float64)
    certain = failed >= samples
    bound = special.betaincinv(failed + 1, np.where(certain, 1, samples - failed), 1 - delta)
    return np.where(certain, 1.0, bound)[()]


def certify(
    trace: Answered,
    thresholds: Sequence[float],
    *,
    delta: float,
    method: str = "betting",
    measure: str = "max_probability",
    comparisons: int = 1,
    seed: int = 0,
) -> Certificate:
    """The certificate of leaving early at these thresholds.

    Args:
        trace: of the split `certify`, or of one of the user's own that nothing was chosen on.
        thresholds: one per early exit, fixed before anyone looked at the trace's labels.
        delta: in (0, 1): the chance of a wrong bound that is accepted, over all comparisons.
        method: a name of METHODS; `disagreement` reads no labels.
        comparisons: how many bounds share delta, this one among them.
        seed: of the order in which the betting bound reads the samples.

    Raises:
        CertificateError: a split that was chosen on, no labels, or a delta outside.
        ThresholdError, UnknownNameError: as in `hybrid.policy.outcome`.
    """
    check_trace(trace, method)
    share = check_delta(delta) / _check_comparisons(comparisons)
    values = _values(trace, _taken(trace, thresholds, measure), method)
    return Certificate(
        method=method,
        bounds=METHODS[method],
        bound=float(_bounds_of(values[None], method, share, seed)[0]),
        delta=delta,
        comparisons=comparisons,
        samples=len(values),
        observed=float(values.mean()),
        split=trace.split,
    )


def certify_exits(
    trace: Answered,
    thresholds: Sequence[float],
    *,
    delta: float,
    method: str = "betting",
    measure: str = "max_probability",
    comparisons: int = 1,
    seed: int = 0,
) -> tuple[Certificate | None, ...]:
    """A certificate of those that leave at each early exit; None where nobody does.

    It says what they lose against the final exit's answer, as a fraction of those that leave
    there. All hold at once: delta is shared by the early exits, and by the comparisons.

    Args and errors as in `certify`.
    """
    check_trace(trace, method)
    taken = _taken(trace, thresholds, measure)
    values, early = _values(trace, taken, method), len(thresholds)
    shared = comparisons * early
    share = check_delta(delta) / _check_comparisons(shared) if early else delta
    found: list[Certificate | None] = []
    for number in range(early):
        here = values[taken == number]
        if not len(here):
            found.append(None)
            continue
        found.append(
            Certificate(
                method=method,
                bounds=f"{METHODS[method]}, of those that leave at exit {number}",
                bound=float(_bounds_of(here[None], method, share, seed)[0]),
                delta=delta,
                comparisons=shared,
                samples=len(here),
                observed=float(here.mean()),
                split=trace.split,
            )
        )
    return tuple(found)


def threshold_path(
    trace: Answered, points: int = 50, measure: str = "max_probability"
) -> tuple[tuple[float, ...], ...]:
    """A path of thresholds from where hardly anybody leaves to where everybody does.

    One threshold for all exits, lowered so that each step lets about as many more leave.

    Args:
        trace: of `tune`; the path must be fixed before anyone looks at the labels of `certify`.
        points: at most so many, at least 3.

    Raises:
        CertificateError: a trace of `certify` or `test`.
    """
    if trace.split in {"certify", "test"}:
        raise CertificateError(
            f"A path of thresholds is fixed before {trace.split} is looked at; give the trace of "
            "tune."
        )
    confidences = early_confidences(trace, measure)
    early = confidences.shape[1]
    if not early:
        return ((),)
    falling = threshold_grid(confidences.max(axis=1), points)[::-1]
    return tuple((value,) * early for value in falling.tolist())


def fixed_sequence(
    trace: Answered,
    path: Sequence[Sequence[float]],
    *,
    max_loss: float,
    delta: float,
    method: str = "betting",
    measure: str = "max_probability",
    seed: int = 0,
) -> int | None:
    """Index of the last point of a path that is certified to lose at most max_loss, or None.

    The points are tested in the path's order, each at delta, until one fails; that one is not
    certified, nor any after it, however good. So no correction is needed and no monotonicity.

    Source: Angelopoulos et al., "Learn then Test" (arXiv 2110.01052), fixed sequence testing.

    Args:
        path: thresholds fixed before anyone looked at the trace's labels, as `threshold_path`.
        max_loss: fraction of the images, as 0.01 for one point.

    Raises:
        CertificateError: as `certify`, or a max_loss outside 0 to 1.
    """
    check_trace(trace, method)
    check_delta(delta)
    if not 0 <= max_loss <= 1:
        raise CertificateError(
            f"A largest loss of {max_loss} is none; give a fraction from 0 to 1, such as 0.01 for "
            "one point."
        )
    if not len(path):
        return None
    table = _table(trace, path, method, measure)
    if method == "betting":
        p_values = betting_p_values(table, max_loss=max_loss, delta=delta, seed=seed)
    else:
        p_values = special.bdtr(table.sum(axis=1), table.shape[1], max_loss)
    failed = np.flatnonzero(~(p_values <= delta))
    last = int(failed[0]) - 1 if len(failed) else len(path) - 1
    return last if last >= 0 else None


def slider_grid(exits: int) -> Floats:
    """(k, exits): the round thresholds at which a slider's point is certified; 0.8 among them.

    No data decides them, so they are fixed before anyone looks.
    """
    axis = _AXES.get(exits, _FEW)
    if not exits:
        return np.empty((1, 0))
    return np.stack([a.ravel() for a in np.meshgrid(*[axis] * exits, indexing="ij")], axis=1)


def band(
    trace: Answered,
    grid: npt.ArrayLike,
    *,
    delta: float,
    offers: int = 1,
    method: str = "betting",
    measure: str = "max_probability",
    seed: int = 0,
) -> Band:
    """Bounds at every point of a grid, each at delta / (k * offers), so that all hold at once.

    Args:
        grid: (k, early) thresholds, fixed before anyone looked at the trace's labels.
        offers: how many such grids one chooses among: every network, bit width and measure that
            is on offer counts, looked at or not.

    Raises:
        CertificateError, ThresholdError, UnknownNameError: as `certify`.
    """
    check_trace(trace, method)
    points = np.asarray(grid, np.float64)
    comparisons = len(points) * _check_comparisons(offers)
    share = check_delta(delta) / comparisons
    table = _table(trace, points.tolist(), method, measure)
    return Band(
        thresholds=points,
        bounds=_bounds_of(table, method, share, seed),
        observed=table.mean(axis=1),
        method=method,
        delta=delta,
        comparisons=comparisons,
        samples=table.shape[1],
        split=trace.split,
    )


def nearest(of: Band, thresholds: Sequence[float]) -> tuple[float, ...]:
    """The band's point nearest to thresholds; of equally near ones the most careful."""
    apart = np.round(((of.thresholds - np.asarray(thresholds)) ** 2).sum(axis=1), 12)
    first = np.lexsort((-of.thresholds.sum(axis=1), apart))[0]
    return tuple(of.thresholds[first].tolist())


def rounded_up(fraction: float) -> float:
    """A fraction in points, rounded up to a tenth.

    >>> rounded_up(0.0086), rounded_up(0.02), rounded_up(-0.0086)
    (0.9, 2.0, -0.8)
    """
    return math.ceil(1000 * fraction - 1e-9) / 10


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


def check_trace(trace: Answered, method: str) -> None:
    """Refuse what no certificate may come from.

    Raises:
        CertificateError: a split that was chosen on or only reports, or labels that are missing.
        UnknownNameError: a method that there is not.
    """
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    if trace.split in _CHOSEN_ON:
        raise CertificateError(
            f"The {trace.split} split certifies nothing; give a trace of certify, or of a split "
            "of your own that nothing was chosen on."
        )
    if not len(trace.classes):
        raise CertificateError(_NO_SAMPLES)
    if method != "disagreement" and (trace.labels < 0).any():
        raise CertificateError(
            "These images have no labels, so the accuracy lost cannot be bounded; ask for the "
            "method disagreement, which needs none."
        )


_NO_SAMPLES = "No certificate comes from no samples; give a trace with images."


def _check_comparisons(comparisons: int) -> int:
    if comparisons < 1:
        raise CertificateError(f"{comparisons} comparisons cannot share a delta; give 1 or more.")
    return comparisons


def _taken(trace: TraceLike, thresholds: Sequence[float], measure: str) -> npt.NDArray[np.int64]:
    """(n,): the exit each sample takes."""
    confidences = early_confidences(trace, measure)
    return exits_taken(confidences, check_thresholds(thresholds, confidences.shape[1]))


def _gaps(correct: npt.NDArray[np.bool_], taken: npt.NDArray[np.int64]) -> Gaps:
    early = correct[np.arange(len(taken)), taken].astype(np.int8)
    return correct[:, -1].astype(np.int8) - early


def _disagree(
    classes: npt.NDArray[np.int64], taken: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    differ: npt.NDArray[np.bool_] = classes[np.arange(len(taken)), taken] != classes[:, -1]
    return differ


def _values(trace: Answered, taken: npt.NDArray[np.int64], method: str) -> Gaps:
    """(n,): what a method takes the mean of."""
    if method == "disagreement":
        return _disagree(trace.classes, taken).astype(np.int8)
    gaps = _gaps(trace.correct, taken)
    return np.maximum(gaps, 0) if method == "regret" else gaps


def _table(trace: Answered, points: Sequence[Sequence[float]], method: str, measure: str) -> Gaps:
    """(k, n): `_values` at each of many thresholds."""
    return np.stack([_values(trace, _taken(trace, one, measure), method) for one in points])


def _bounds_of(table: Gaps, method: str, delta: float, seed: int) -> Floats:
    if method == "betting":
        return betting_bounds(table, delta=delta, seed=seed)
    failures = table.sum(axis=1, dtype=np.int64)
    bounds: Floats = clopper_pearson(failures, table.shape[1], delta=delta)
    return bounds


def _checked_gaps(gaps: npt.ArrayLike) -> npt.NDArray[Any]:
    table = np.asarray(gaps)
    if table.ndim != 2 or not table.shape[1]:
        raise CertificateError(_NO_SAMPLES)
    assert ((table >= -1) & (table <= 1)).all()  # a gap is a difference of two hits
    return table


def _parts(table: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    rows = max(1, _ROWS_AT_ONCE // table.shape[1])
    return [table[start : start + rows] for start in range(0, len(table), rows)]


def _bounds(gaps: npt.NDArray[Any], level: float) -> Floats:
    """(k,): the bounds of rows in the order in which they are bet on; level = ln(1/delta)."""
    x = (gaps + 1) / 2
    bets = _bets(x, level)
    low, high = x.mean(axis=1), np.ones(len(x))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = _log_wealth(x, bets, middle) >= level
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    return 2 * high - 1


def _bets(x: Floats, level: float) -> Floats:
    """(k, n): nu_t, which knows only what came before t."""
    steps = np.arange(2, x.shape[1] + 2)
    means = (0.5 + np.cumsum(x, axis=1)) / steps
    variances = (0.25 + np.cumsum((x - means) ** 2, axis=1)) / steps
    before = np.concatenate([np.full((len(x), 1), 0.25), variances[:, :-1]], axis=1)
    bets: Floats = np.minimum(1, np.sqrt(2 * level / (x.shape[1] * before)))
    return bets


def _log_wealth(x: Floats, bets: Floats, means: Floats) -> Floats:
    """(k,): max_t ln K_t(m), each row at its own m."""
    with np.errstate(divide="ignore"):  # a lost stake of 1 leaves nothing, for good
        grown = np.log1p(bets * (means[:, None] - x))
    best: Floats = np.cumsum(grown, axis=1).max(axis=1)
    return best


def _percent(fraction: float) -> str:
    """As few digits as say it.

    >>> _percent(0.95), _percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{round(100 * fraction, 6):g} %"
