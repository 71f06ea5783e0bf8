"""Bounds at many thresholds together: along a path, and on the grid of a free slider."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid.certificates.bounds import (
    Floats,
    betting_p_values,
    check_delta,
    clopper_pearson_p_values,
)
from hybrid.certificates.certificates import (
    METHODS,
    Answered,
    Certificate,
    check_comparisons,
    check_trace,
    upper_bounds,
    value_table,
)
from hybrid.errors import CertificateError

__all__ = ["Band", "band", "fixed_sequence", "nearest", "slider_grid"]

# Round thresholds, closer together near 1, where most confidences are; chosen without data.
_AXES = {
    1: (0.3, *(i / 100 for i in range(40, 100, 2)), 0.99, 0.995, 0.999),
    2: (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.999),
    3: (0.5, 0.7, 0.8, 0.9, 0.95, 0.99),
}
_FEW = (0.6, 0.8, 0.95)  # for each of four exits and more


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """Bounds on a grid of thresholds, which all hold together, so that any point may be chosen.

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
        """The certificate at these thresholds; None if they are not on the grid."""
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
    if method == "betting":
        p_values = betting_p_values(table, max_loss=max_loss, delta=delta, seed=seed)
    else:
        failures = table.sum(axis=1, dtype=np.int64)
        p_values = clopper_pearson_p_values(failures, table.shape[1], max_rate=max_loss)
    failed = np.flatnonzero(~(p_values <= delta))
    last = int(failed[0]) - 1 if len(failed) else len(path) - 1
    return last if last >= 0 else None


def slider_grid(exits: int) -> Floats:
    """(k, exits): the round thresholds at which a slider's point is certified; 0.8 among them.

    They depend on no data, so they are fixed before anyone looks.
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
    """Bounds at every point of a grid, each at delta / (k * offers), so that all hold together.

    Args:
        grid: (k, early) thresholds, fixed before anyone looked at the trace's labels.
        offers: number of such grids to choose among: every network, bit width and measure on
            offer counts, looked at or not.

    Raises:
        CertificateError, ThresholdError, UnknownNameError: as `certify`.
    """
    check_trace(trace, method)
    points = np.asarray(grid, np.float64)
    comparisons = len(points) * check_comparisons(offers)
    share = check_delta(delta) / comparisons
    table = value_table(trace, points.tolist(), method, measure)
    return Band(
        thresholds=points,
        bounds=upper_bounds(table, method, share, seed),
        observed=table.mean(axis=1),
        method=method,
        delta=delta,
        comparisons=comparisons,
        samples=table.shape[1],
        split=trace.split,
    )


def nearest(of: Band, thresholds: Sequence[float], *, together: bool = False) -> tuple[float, ...]:
    """The band's point nearest to thresholds; of equally near ones the highest.

    Args:
        together: only among the points whose thresholds are all the same.
    """
    points = of.thresholds
    if together:
        points = points[(points == points[:, :1]).all(axis=1)]
    apart = np.round(((points - np.asarray(thresholds)) ** 2).sum(axis=1), 12)
    first = np.lexsort((-points.sum(axis=1), apart))[0]
    return tuple(points[first].tolist())


def _check_max_loss(max_loss: float) -> None:
    if not 0 <= max_loss <= 1:
        raise CertificateError(
            f"A largest loss of {max_loss} is outside 0 to 1; give a fraction, such as 0.01 for "
            "one point."
        )
