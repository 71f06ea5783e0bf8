"""Cells of threshold settings, and the most that early exits can cost anywhere in a cell.

A cell is a box of settings [low, high] of whole-number thresholds T (of T / CODES). Anywhere in it
a sample can take only an exit whose code reaches `low`, and none after the first whose code
reaches `high`. So U = f - (the least correct of those exits) is at least its gap D = f - e at every
setting of the cell: one bound of the mean of U holds for all of them. Where low = high, U is D.

Cells, and the share of delta that each gets, are fixed without the labels that certify: they come
from round numbers and from `tune`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid.policy import TraceLike
from hybrid.policy.points import early_confidences
from hybrid.traces.confidence import CODES, to_codes

__all__ = ["Cells", "gap_counts", "positions", "slider_cells"]

Codes = npt.NDArray[np.int64]
Narrow = npt.NDArray[np.uint16]

_START = 0.8  # where the sliders start
# Parts of delta: where most users are gets most, and the settings far from there the rest.
_PARTS = {"start": 0.25, "common": 0.25, "one moved": 0.15, "path": 0.15, "grid": 0.2}
_COMMON_CELLS = 64
_MOVED_CELLS = 32
_GRID_CELLS = 512  # in all, the same number on each axis
_MOST_ON_AN_AXIS = 24
_NUMBERS_AT_ONCE = 1 << 17  # cells times samples: memory is bounded


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Closed boxes of settings, and how delta is divided among them.

    | field  | shape      |                                        |
    |--------|------------|----------------------------------------|
    | low    | (k, early) | thresholds times CODES, whole numbers  |
    | high   | (k, early) | at least low                           |
    | shares | (k,)       | fractions of delta, at most 1 in all   |
    """

    low: Codes
    high: Codes
    shares: npt.NDArray[np.float64]


def slider_cells(tune: TraceLike, path: npt.ArrayLike, measure: str = "max_probability") -> Cells:
    """Cells that cover every setting of the sliders, most finely where sliders usually are.

    A quarter of delta each for the start and for the other common thresholds; then the settings
    with one slider moved from the start, the points of a path, and a grid over all the rest. Cells
    of one kind have equal shares, and about as many confidences of `tune` in each.

    Args:
        tune: a trace of images that do not certify; its labels are not read.
        path: (m, early) thresholds fixed on `tune`, such as its frontier; m may be 0.
    """
    codes = to_codes(early_confidences(tune, measure).T).astype(np.int64)  # (early, n)
    early = len(codes)
    start = np.full((1, early), round(_START * CODES))
    points = np.unique(
        np.rint(np.asarray(path) * CODES).astype(np.int64).reshape(-1, early), axis=0
    )
    kinds = {
        "start": (start, start),
        "common": _common(_edges(codes, _COMMON_CELLS), early),
        "one moved": _one_moved(codes, start[0]),
        "path": (points, points),
        "grid": _grid(codes),
    }
    return Cells(
        low=np.concatenate([low for low, _ in kinds.values()]),
        high=np.concatenate([high for _, high in kinds.values()]),
        shares=np.concatenate(
            [np.full(len(low), _PARTS[kind] / max(1, len(low))) for kind, (low, _) in kinds.items()]
        ),
    )


def gap_counts(
    trace: TraceLike, cells: Cells, *, correct: npt.NDArray[np.bool_], measure: str
) -> tuple[Codes, Codes]:
    """(k,), (k,): for how many samples U is 1, and for how many it is -1, in each cell.

    Args:
        correct: (n, exits) what counts as correct at each exit, the final exit last.
    """
    codes = to_codes(early_confidences(trace, measure).T)
    low, high = cells.low.astype(codes.dtype), cells.high.astype(codes.dtype)  # narrow, so fast
    rows = max(1, _NUMBERS_AT_ONCE // len(correct))
    parts = [
        _count(codes, correct, low[at : at + rows], high[at : at + rows])
        for at in range(0, len(low), rows)
    ]
    lost, gained = zip(*parts, strict=True)
    return np.concatenate(lost), np.concatenate(gained)


def positions(thresholds: Sequence[float]) -> npt.NDArray[np.float64]:
    """Thresholds as numbers to compare with a cell's; between two whole ones, the middle.

    A confidence reaches a threshold as float32, so two that are equal as float32 are one setting.

    >>> positions([0.8, 0.80001])
    array([8000. , 8000.5])
    """
    exact = np.asarray(thresholds, np.float32)
    below = to_codes(exact).astype(np.float64)
    return np.where((below / CODES).astype(np.float32) == exact, below, below + 0.5)


def _count(
    codes: Narrow, correct: npt.NDArray[np.bool_], low: Narrow, high: Narrow
) -> tuple[Codes, Codes]:
    """Lost and gained of some cells; the exits in the order in which a sample passes them."""
    final = correct[:, -1]
    going_on = np.ones((len(low), len(final)), np.bool_)  # can reach this exit
    worst = np.ones_like(going_on)  # every exit it can take is correct
    for exit_codes, right, least, enough in zip(codes, correct.T, low.T, high.T, strict=False):
        worst &= ~(going_on & (exit_codes >= least[:, None])) | right
        going_on &= exit_codes < enough[:, None]
    worst &= ~going_on | final
    return (final & ~worst).sum(axis=1), (~final & worst).sum(axis=1)


def _edges(confidences: Codes, cells: int) -> Codes:
    """From 0 to CODES, with about as many of the confidences between neighbours."""
    steps = np.linspace(0, 1, cells + 1)[1:-1]
    inner = np.rint(np.quantile(confidences, steps)) if confidences.size else np.empty(0)
    return np.unique(np.concatenate([[0, CODES], inner]).astype(np.int64))


def _common(edges: Codes, early: int) -> tuple[Codes, Codes]:
    """One threshold for all exits, between neighbouring edges."""
    return np.tile(edges[:-1, None], early), np.tile(edges[1:, None], early)


def _one_moved(codes: Codes, start: Codes) -> tuple[Codes, Codes]:
    """One exit's threshold between neighbouring edges, the others at the start."""
    low, high = [np.empty((0, len(codes)), np.int64)], [np.empty((0, len(codes)), np.int64)]
    for number in range(len(codes)):
        edges = _edges(codes[number], _MOVED_CELLS)
        for found, moved in ((low, edges[:-1]), (high, edges[1:])):
            some = np.tile(start, (len(moved), 1))
            some[:, number] = moved
            found.append(some)
    return np.concatenate(low), np.concatenate(high)


def _grid(codes: Codes) -> tuple[Codes, Codes]:
    """Every combination of the cells of each exit: together they hold every setting."""
    size = min(_MOST_ON_AN_AXIS, int(_GRID_CELLS ** (1 / max(1, len(codes))) + 1e-9))
    axes = [_edges(one, size) for one in codes]
    return _product([edges[:-1] for edges in axes]), _product([edges[1:] for edges in axes])


def _product(axes: Sequence[Codes]) -> Codes:
    if not axes:
        return np.zeros((1, 0), np.int64)
    return np.stack([one.ravel() for one in np.meshgrid(*axes, indexing="ij")], axis=1)
