"""Bounds at many thresholds together: along a path, and wherever a free slider can stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid.certificates.bounds import (
    Floats,
    betting_p_values,
    check_delta,
    clopper_pearson_p_values,
    fixed_bet_bounds,
)
from hybrid.certificates.cells import Cells, gap_counts, positions
from hybrid.certificates.certificates import Answered, Gaps, check_trace, value_table
from hybrid.certificates.exact import exact_p_value
from hybrid.errors import CertificateError

__all__ = ["Band", "band", "fixed_sequence"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """Bounds for every setting of the thresholds, which all hold together.

    | field      | shape      |                                                         |
    |------------|------------|---------------------------------------------------------|
    | low, high  | (k, early) | cells, by rising bound: whole-number thresholds         |
    | bounds     | (k,)       | upper bounds, fractions of the images                   |

    Args:
        method: the quantity that is bounded, a name of METHODS.
        delta: chance that any of these bounds, or of others that share it, does not hold.
        samples: labelled images that they were computed from.
        split: that the images are of.
    """

    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    bounds: Floats
    method: str
    delta: float
    samples: int
    split: str

    def bound(self, thresholds: Sequence[float]) -> float:
        """The least bound of the cells that the thresholds are in."""
        at = positions(thresholds)
        inside = ((self.low <= at) & (at <= self.high)).all(axis=1)
        return float(self.bounds[inside.argmax()])  # the first; cells cover every setting


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

    The points are tested in the path's order, each at delta, until one fails. That point and all
    after it are not certified. So neither a correction nor monotonicity is needed.

    Source: Angelopoulos et al., "Learn then Test" (arXiv 2110.01052), fixed sequence testing.

    Args:
        path: thresholds fixed before anyone looked at the trace's labels.
        max_loss: fraction of the images, as 0.01 for one point.

    Raises:
        CertificateError: as `certify`, or a max_loss outside 0 to 1.
    """
    check_trace(trace, method)
    check_delta(delta)
    _check_max_loss(max_loss)
    if not len(path):
        return None
    table = value_table(trace, path, method, measure)
    p_values = _p_values(table, method, max_loss, delta, seed)
    failed = np.flatnonzero(~(p_values <= delta))
    last = int(failed[0]) - 1 if len(failed) else len(path) - 1
    return last if last >= 0 else None


def band(
    trace: Answered,
    cells: Cells,
    *,
    guide: Answered,
    delta: float,
    part: float = 1.0,
    method: str = "betting",
    measure: str = "max_probability",
) -> Band:
    """Bounds for every setting in the cells, each at its cell's share of part * delta.

    Args:
        cells: fixed before anyone looked at the trace's labels.
        guide: a trace of other images, such as `tune`, that the size of the bets comes from.
        delta: the accepted chance that any bound does not hold.
        part: of delta, for these bounds; the rest is for others that hold together with them.
        method: a name of METHODS; `disagreement` reads no labels.

    Raises:
        CertificateError, UnknownNameError: as `certify`.
    """
    check_trace(trace, method)
    deltas = check_delta(delta) * part * cells.shares
    lost, gained = _counts(trace, cells, method, measure)
    unequal = np.add(*_counts(guide, cells, method, measure))
    bounds = fixed_bet_bounds(
        lost,
        gained,
        len(trace.classes),
        deltas=deltas,
        squares=(unequal + 1) / len(guide.classes),
    )
    order = np.argsort(bounds, kind="stable")
    return Band(
        low=cells.low[order],
        high=cells.high[order],
        bounds=bounds[order],
        method=method,
        delta=delta,
        samples=len(trace.classes),
        split=trace.split,
    )


def _p_values(table: Gaps, method: str, max_loss: float, delta: float, seed: int) -> Floats:
    if method == "betting":
        return betting_p_values(table, max_loss=max_loss, delta=delta, seed=seed)
    lost, gained = ((table == value).sum(axis=1, dtype=np.int64) for value in (1, -1))
    if method == "exact":
        both = zip(lost.tolist(), gained.tolist(), strict=True)
        return np.array([exact_p_value(*one, table.shape[1], max_loss=max_loss) for one in both])
    return clopper_pearson_p_values(lost, table.shape[1], max_rate=max_loss)


def _counts(
    trace: Answered, cells: Cells, method: str, measure: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For how many samples the bounded quantity can be 1 in each cell, and for how many -1."""
    agree = trace.classes == trace.classes[:, -1:]
    correct = agree if method == "disagreement" else trace.correct
    lost, gained = gap_counts(trace, cells, correct=correct, measure=measure)
    return lost, gained * (method in {"betting", "exact"})


def _check_max_loss(max_loss: float) -> None:
    if not 0 <= max_loss <= 1:
        raise CertificateError(
            f"A largest loss of {max_loss} is outside 0 to 1; give a fraction, such as 0.01 for "
            "one point."
        )
