"""Exits and confidences of a device beside those of the trace: for the eye, never the alarm.

Other exit shares may be harmless: more easy images are not a broken promise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid.monitor.plan import Plan
from hybrid.policy.shift import BINS, variation

__all__ = ["Diagnostics", "Tally"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnostics:
    """Shares on the device and in the trace.

    | field              | shape         |                                                      |
    |--------------------|---------------|------------------------------------------------------|
    | exit_shares        | (exits,)      | of the device's images, the cloud last               |
    | trace_exit_shares  | (exits,)      | of the trace                                         |
    | histograms         | (early, bins) | confidences of the answers of each exit; 0 if none   |
    | trace_histograms   | (early, bins) | of the trace                                         |

    `exits_apart` and `confidences_apart` (one per early exit) are total variation distances.
    """

    exit_shares: Floats
    trace_exit_shares: Floats
    histograms: Floats
    trace_histograms: Floats
    exits_apart: float
    confidences_apart: tuple[float, ...]


class Tally:
    """Counts of exits and confidences, image by image."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._exits = np.zeros(plan.early + 1, np.int64)
        self._bins = np.zeros((plan.early, BINS), np.int64)

    def add(self, exits: Counts, confidences: Floats) -> None:
        """Count images: the exits of the policy (n,), the cloud last, and the confidences (n,)."""
        self._exits += np.bincount(exits, minlength=len(self._exits))
        places = np.minimum((confidences * BINS).astype(np.int64), BINS - 1)
        left = exits < self._plan.early
        np.add.at(self._bins, (exits[left], places[left]), 1)

    def found(self) -> Diagnostics:
        """The shares so far."""
        shares = self._exits / max(1, self._exits.sum())
        bars = self._bins / np.maximum(1, self._bins.sum(axis=1, keepdims=True))
        promised = np.array([one or (0.0,) * BINS for one in self._plan.histograms])
        traced = np.array(self._plan.exit_shares)
        return Diagnostics(
            exit_shares=shares,
            trace_exit_shares=traced,
            histograms=bars,
            trace_histograms=promised,
            exits_apart=variation(shares, traced),
            confidences_apart=tuple(map(variation, bars, promised)),
        )
