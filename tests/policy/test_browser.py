"""The browser counts what Python counts."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid import policy
from hybrid.traces.confidence import CODES
from hybrid.traces.trace import Trace
from tests.policy.loops import every_measure
from tests.strategies import (
    grid_thresholds,
    random_traces,
    synthetic_trace,
)


def follow(payload: dict, steps: Sequence[int]) -> tuple[list[int], list[int]]:
    """What the browser does with a payload: the loop of its documentation, on bytes alone."""
    samples, exits = payload["samples"], payload["exits"]
    codes = np.frombuffer(payload["codes"].tobytes(), "<u2")
    correct = payload["correct"].tobytes()
    stride = (samples + 7) // 8
    counts, right = [0] * exits, [0] * exits
    for s in range(samples):
        i = 0
        while i < exits - 1 and codes[i * samples + s] < steps[i]:
            i += 1
        counts[i] += 1
        right[i] += (correct[i * stride + (s >> 3)] >> (s & 7)) & 1
    return counts, right


@every_measure
@given(data=st.data(), trace=random_traces(max_samples=20))
def test_a_browser_counts_the_same_at_every_step_of_the_slider(
    data: st.DataObject, trace: Trace, measure: str
):
    early = trace.all_exits - 1
    limits = data.draw(st.lists(grid_thresholds, min_size=early, max_size=early))

    counts, right = follow(
        policy.payload(trace, measure), [round(limit * CODES) for limit in limits]
    )

    result = policy.outcome(trace, limits, measure)
    assert tuple(counts) == result.exit_counts
    assert tuple(right) == result.correct_counts


def test_the_payload_is_small():
    payload = policy.payload(synthetic_trace(samples=1001), "margin")

    assert payload["codes"].nbytes == 2 * 2 * 1001  # early exits × bytes of a uint16 × samples
    assert payload["correct"].nbytes == 3 * 126  # exits × bytes for 1,001 bits
    assert payload["grid"] == CODES
