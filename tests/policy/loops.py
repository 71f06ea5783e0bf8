"""The leaving rule as a plain loop over samples, which everything faster is compared with."""

from collections.abc import Sequence

import numpy as np
import pytest

from hybrid.traces.confidence import MEASURES
from hybrid.traces.trace import Trace

__all__ = ["TraceAndThresholds", "every_measure", "exit_of", "loop", "with_threshold"]

TraceAndThresholds = tuple[Trace, tuple[float, ...]]
every_measure = pytest.mark.parametrize("measure", MEASURES)


def exit_of(confidences: Sequence[np.float32], limits: Sequence[float]) -> int:
    """The leaving rule, for one sample, as it is written down."""
    for i, limit in enumerate(limits):
        if confidences[i] >= np.float32(limit):
            return i
    return len(limits)


def loop(trace: Trace, limits: Sequence[float], measure: str) -> tuple[list[int], list[int]]:
    """Samples that take each exit, and how many of them are right there, one by one."""
    counts, right = [0] * trace.all_exits, [0] * trace.all_exits
    for s in range(trace.samples):
        taken = exit_of(trace.confidences[measure][s], limits)
        counts[taken] += 1
        right[taken] += int(trace.classes[s, taken] == trace.labels[s])
    return counts, right


def with_threshold(limits: tuple[float, ...], place: int | None, value: float) -> list[float]:
    """These thresholds with one, or with `None` all of them, replaced."""
    return [value if place in {i, None} else limit for i, limit in enumerate(limits)]
