"""What the follower in the browser needs of a trace and its prices; numbers in, JSON out."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.energy import ExitCosts
from hybrid.text.point import Baseline
from hybrid.traces.trace import Trace
from hybrid.ui import palette
from hybrid.ui.session import STEPS, View, slider_keys
from hybrid.zoo import exit_labels

__all__ = ["SWEEP_POINTS", "payload"]

SWEEP_POINTS = 201  # thresholds of the curves that the follower redraws


class PricesLike(Protocol):
    """Prices as the payload reads them."""

    @property
    def costs(self) -> ExitCosts: ...
    @property
    def parts(self) -> Mapping[str, tuple[float, ...]]: ...
    @property
    def twin_energy_pj(self) -> float: ...
    @property
    def twin_accuracy(self) -> float | None: ...


def payload(
    view: View,
    recorded: Trace,
    prices: PricesLike,
    statics: Sequence[Baseline],
    *,
    classes: int,
    scale_pj: float,
    labelled: bool = True,
) -> dict[str, Any]:
    """What the browser needs to compute any operating point of this view; no threshold in it.

    | key                   | type                        |                                     |
    |-----------------------|-----------------------------|-------------------------------------|
    | codes, correct        | base64, see policy.payload  | confidences and correctness         |
    | labels                | base64 of uint16 (n,)       | true classes                        |
    | labelled              | bool                        | else those of the final exit        |
    | sliders, together     | keys of the sliders         | one for each exit, or one for all   |
    | energy_pj, latency_ms, uplink_bytes | (exits,)      | what a sample pays at each exit     |
    | parts                 | part to (exits,)            | energy_pj by part                   |
    | scale_pj              | float                       | of the figures' energy axes         |
    """
    counted = policy.payload(recorded, view.measure)
    codes, correct = counted.pop("codes"), counted.pop("correct")
    labels = recorded.labels.astype("<u2")
    data = counted | {
        "codes": _base64(codes),
        "correct": _base64(correct),
        "labels": _base64(labels),
        "labelled": labelled,
        "classes": classes,
        "class_samples": np.bincount(labels, minlength=classes).tolist(),
        "names": exit_labels(view.early_exits),
        "sliders": list(slider_keys(view)),
        "together": view.together,
        "steps": STEPS,
        "sweep_points": SWEEP_POINTS,
        "energy_pj": list(prices.costs.energy_pj),
        "latency_ms": list(prices.costs.latency_ms),
        "uplink_bytes": list(prices.costs.uplink_bytes),
        "parts": {palette.part_label(part): list(costs) for part, costs in prices.parts.items()},
        "twin_energy_pj": prices.twin_energy_pj,
        "twin_accuracy": prices.twin_accuracy,
        "statics": [
            {"bits": s.bits, "accuracy": s.accuracy, "energy_pj": s.energy_pj} for s in statics
        ],
        "scope": view.scope,
        "scale_pj": scale_pj,
    }
    return data | {"id": hashlib.sha256(repr(sorted(data.items())).encode()).hexdigest()}


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
