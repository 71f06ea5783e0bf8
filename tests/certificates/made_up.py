"""Traces that may be certified from, methods and error rates."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st

from hybrid import certificates
from hybrid.traces.trace import Trace
from tests.strategies import synthetic_trace

__all__ = ["VALUES", "band_of", "deltas", "every_method", "made_up", "on_certify"]

deltas = st.floats(1e-6, 0.9)
VALUES = {  # whose mean each method bounds
    "betting": certificates.loss_gaps,
    "exact": certificates.loss_gaps,
    "regret": certificates.regrets,
    "disagreement": certificates.disagreements,
}
every_method = pytest.mark.parametrize("method", list(certificates.METHODS))


def on_certify(trace: Trace) -> Trace:
    return replace(trace, split="certify")


def made_up(samples: int = 600, exits: int = 3, seed: int = 0) -> Trace:
    return synthetic_trace(samples=samples, exits=exits, seed=seed, split="certify")


def band_of(trace: Trace, tune: Trace, *, delta: float = 0.05, **named: Any) -> certificates.Band:
    cells = certificates.slider_cells(tune, [(0.9, 0.7), (0.6, 0.5)])
    return certificates.band(trace, cells, guide=tune, delta=delta, **named)
