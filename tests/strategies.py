"""Made-up traces and random input, shared by the tests of everything right of the trace."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hybrid.energy import ExitCosts
from hybrid.traces import trace as traces_of
from hybrid.traces.confidence import CODES, MEASURES
from hybrid.traces.trace import Trace

SHA256 = "5d41402abc4b2a76b9719d911017c592ae2d1f4b1b8a0c3b6c8a9f0e1d2c3b4a"


def synthetic_logits(
    samples: int, exits: int, classes: int, seed: int
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.int64]]:
    """Logits of exits that grow better, (n, classes) each, and the labels, (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    truth = np.eye(classes)[labels]
    strengths = np.linspace(2.0, 4.0, exits) if exits > 1 else [4.0]
    noise = [rng.normal(scale=1.5, size=(samples, classes)) for _ in strengths]
    logits = [(truth * s + e).astype(np.float32) for s, e in zip(strengths, noise, strict=True)]
    return logits, labels


def synthetic_trace(
    *, samples: int = 200, exits: int = 3, classes: int = 10, seed: int = 0, **about: Any
) -> Trace:
    """A trace as a network could have given it; `about` replaces network, variant, split, …."""
    logits, labels = synthetic_logits(samples, exits, classes, seed)
    described: dict[str, Any] = {
        "network": "made-up",
        "variant": "hybrid-1bit" if exits > 1 else "static-32bit",
        "split": "test",
        "weights_sha256": SHA256,
        "temperatures": [1.0] * exits,
    }
    return traces_of.build(logits=logits, labels=labels, **(described | about))


def trace_of(*, confidences: npt.ArrayLike, correct: npt.ArrayLike) -> Trace:
    """A trace with (n, exits) confidences, the same by every measure, right where said."""
    right = np.asarray(correct, bool)
    made = synthetic_trace(samples=1, exits=right.shape[1])
    return replace(
        made,
        labels=np.zeros(len(right), np.int64),
        classes=(~right).astype(np.int64),
        confidences=dict.fromkeys(MEASURES, np.asarray(confidences, np.float32)),
    )


def costs_of(exits: int) -> ExitCosts:
    """Costs that rise from exit to exit; only the final exit needs the uplink."""
    return ExitCosts(
        energy_pj=tuple(1e5 * 3.7**i for i in range(exits)),
        latency_ms=tuple(0.3 + 1.1 * i for i in range(exits)),
        uplink_bytes=(0.0,) * (exits - 1) + (1026.0,),
    )


# Few different values, so that ties and thresholds that equal a confidence are common.
_STEPS = [0, 1, 2499, 2500, 2501, 5000, 9999, CODES]
grid_thresholds = st.sampled_from([step / CODES for step in _STEPS]) | st.integers(0, CODES).map(
    lambda step: step / CODES
)
thresholds = grid_thresholds | st.floats(0, 1)


@st.composite
def near_thresholds(draw: st.DrawFn) -> np.float32:
    """A float32 in [0, 1]: often a threshold of the grid, or a neighbour of one."""
    value = np.float32(draw(grid_thresholds))
    towards = draw(st.sampled_from([None, 0, 1]))
    return value if towards is None else np.nextafter(value, np.float32(towards))


@st.composite
def random_traces(draw: st.DrawFn, *, max_samples: int = 12, max_exits: int = 4) -> Trace:
    """Traces of one to few samples, with and without early exits, from one class to several."""
    samples = draw(st.integers(1, max_samples))
    exits = draw(st.integers(1, max_exits))
    classes = draw(st.integers(1, 4))
    answers = st.integers(0, classes - 1)
    sure = draw(npst.arrays(np.float32, (samples, exits), elements=near_thresholds()))
    # the same numbers in other places: measures that disagree, for a third of the drawing
    orders = np.s_[:], np.s_[::-1], np.s_[:, ::-1]
    return replace(
        synthetic_trace(samples=1, exits=exits),
        labels=draw(npst.arrays(np.int64, samples, elements=answers)),
        classes=draw(npst.arrays(np.int64, (samples, exits), elements=answers)),
        confidences={name: sure[order] for name, order in zip(MEASURES, orders, strict=True)},
    )


@st.composite
def traces_with_thresholds(draw: st.DrawFn, **bounds: int) -> tuple[Trace, tuple[float, ...]]:
    """A trace and one threshold per early exit, many of them equal to a confidence."""
    trace = draw(random_traces(**bounds))
    early = trace.all_exits - 1
    return trace, tuple(draw(st.lists(thresholds, min_size=early, max_size=early)))


@st.composite
def probabilities(draw: st.DrawFn, *, max_classes: int = 6) -> npt.NDArray[np.float64]:
    """(n, classes) with rows of sum 1; certain and even rows among them."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, max_classes)))
    weights = draw(npst.arrays(np.float64, shape, elements=st.floats(0, 1) | st.just(0.0)))
    weights[weights.sum(axis=1) < 1e-9] = 1.0
    return weights / weights.sum(axis=1, keepdims=True)
