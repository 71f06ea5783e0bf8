"""A trace in the form that a browser counts operating points from, exactly."""

from typing import Any

import numpy as np

from hybrid.policy.points import TraceLike, early_confidences
from hybrid.traces.confidence import CODES, to_codes

__all__ = ["payload"]


def payload(trace: TraceLike, measure: str) -> dict[str, Any]:
    """Everything a follower in the browser needs to recompute an outcome exactly.

    | key     | type               |                                                          |
    |---------|--------------------|----------------------------------------------------------|
    | samples | int                | n                                                        |
    | exits   | int                | exits, the final one included                            |
    | grid    | int                | 10,000: slider position T stands for threshold T / grid  |
    | codes   | uint16 (early, n)  | sample s leaves exit i where codes[i][s] >= T            |
    | correct | uint8 (exits, ⌈n/8⌉) | right at exit i where correct[i][s >> 3] >> (s & 7) & 1 |

    Both arrays are C-contiguous and little-endian, so `tobytes()` is what a Uint16Array and a
    Uint8Array read. With `t` one whole number per early exit, counts and correct counts are

        for (let s = 0; s < samples; s++) {
          let i = 0;
          while (i < exits - 1 && codes[i * samples + s] < t[i]) i++;
          counts[i]++;
          right[i] += (correct[i * stride + (s >> 3)] >> (s & 7)) & 1;   // stride = ⌈n/8⌉
        }

    the accuracy is sum(right) / samples, and a mean cost is the sum over i, upwards from 0, of
    counts[i] * cost[i], divided by samples: the same float64 as `mean_cost`.

    Raises:
        UnknownNameError: the trace does not have this measure.
    """
    codes = to_codes(early_confidences(trace, measure).T)
    return {
        "samples": len(trace.correct),
        "exits": trace.correct.shape[1],
        "grid": CODES,
        "codes": np.ascontiguousarray(codes, "<u2"),
        "correct": np.packbits(trace.correct.T, axis=1, bitorder="little"),
    }
