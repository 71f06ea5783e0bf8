"""Every point of Explore's chart in; the one to prefer to the present point out.

    known = alternatives(frontiers, statics)
    at = better(known, accuracy=0.91, energy_pj=35.6e6)  # its place in `known`, or None

One point is better than another if it is at least as accurate and needs less energy. Of all points
that are better, the one of least energy is preferred. counting.js applies the same rule.
"""

from collections.abc import Sequence

from hybrid import policy
from hybrid.ui.explore.data import Alternative, Frontier, StaticPoint

__all__ = ["alternatives", "better"]


def alternatives(
    frontiers: Sequence[Frontier], statics: Sequence[StaticPoint]
) -> tuple[Alternative, ...]:
    """The points that no other point of the chart beats, by rising energy and rising accuracy.

    A point that is left out is never the one to prefer: the one that beats it comes first.
    """
    every = [
        Alternative(
            bits=one.bits,
            thresholds=tuple(one.thresholds[m].tolist()),
            accuracy=float(one.accuracy[m]),
            energy_pj=float(one.energy_pj[m]),
        )
        for one in frontiers
        for m in range(len(one.energy_pj))
    ]
    every += [
        Alternative(bits=one.bits, thresholds=(), accuracy=one.accuracy, energy_pj=one.energy_pj)
        for one in statics
    ]
    best = policy.frontier([one.energy_pj for one in every], [one.accuracy for one in every])
    return tuple(every[i] for i in best.tolist())


def better(known: Sequence[Alternative], *, accuracy: float, energy_pj: float) -> int | None:
    """The place of the point of least energy that is better than a point; None if none is.

    Args:
        known: from `alternatives`, by rising energy and rising accuracy.
    """
    for at, one in enumerate(known):
        if one.accuracy >= accuracy:
            return at if one.energy_pj < energy_pj else None
    return None
