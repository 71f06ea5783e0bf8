"""Groups of a split's images: the earliest, the least confident and the confidently wrong ones.

Arrays in, positions and captions out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.traces.trace import Trace

__all__ = ["Group", "groups"]

SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Group:
    """Positions in the split, the most typical first, with a caption each."""

    title: str
    about: str
    positions: tuple[int, ...]
    captions: tuple[str, ...]


def groups(
    trace: Trace, thresholds: Sequence[float], measure: str, classes: Sequence[str]
) -> tuple[Group, ...]:
    """The three groups at these thresholds; an empty group has no positions."""
    confidences = trace.confidences[measure]
    taken = policy.exits_taken(confidences[:, :-1], thresholds)
    rows = np.arange(trace.samples)
    confidence = confidences[rows, taken]
    right = trace.correct[rows, taken]
    early = taken < trace.all_exits - 1
    found = (
        (
            "Leave earliest",
            "Most confident at the first exit.",
            _first((taken == 0) & right, -confidences[:, 0]),
        ),
        (
            "Least confident",
            "At every early exit; answered by the cloud.",
            _first(~early, _highest(trace, measure)),
        ),
        (
            "Confidently wrong",
            "Answered at the edge, and incorrectly.",
            _first(early & ~right, -confidence),
        ),
    )
    return tuple(
        Group(
            title=title,
            about=about,
            positions=tuple(int(p) for p in positions),
            captions=tuple(_caption(trace, int(p), int(taken[p]), classes) for p in positions),
        )
        for title, about, positions in found
    )


def _first(members: npt.NDArray[np.bool_], rank: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Positions of the members with the lowest rank."""
    positions = np.flatnonzero(members)
    return positions[np.argsort(rank[positions], kind="stable")[:SHOWN]]


def _highest(trace: Trace, measure: str) -> npt.NDArray[np.float32]:
    """(n,): the highest confidence of the early exits; 0 without any."""
    early = trace.confidences[measure][:, :-1]
    highest: npt.NDArray[np.float32] = early.max(axis=1, initial=0.0)
    return highest


def _caption(trace: Trace, position: int, taken: int, classes: Sequence[str]) -> str:
    truth = classes[trace.labels[position]]
    answer = classes[trace.classes[position, taken]]
    return truth if truth == answer else f"{truth} taken for {answer}"
