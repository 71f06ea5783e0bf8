"""A trace, its prices and its templates as JSON, for the follower in the browser.

The follower counts and fills in templates. All sentences, units and number formats come from here.
"""

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.energy import ExitCosts
from hybrid.text import numbers, point
from hybrid.traces.trace import Trace
from hybrid.ui import palette
from hybrid.ui.view import STEPS, View, slider_keys
from hybrid.zoo import exit_labels

__all__ = ["SWEEP_POINTS", "payload", "templates"]

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
    alternatives: Sequence[point.Alternative],
    *,
    static_bits: Collection[int],
    classes: int,
    image_bytes: int,
    scale_pj: float,
    labelled: bool = True,
) -> dict[str, Any]:
    """All the browser needs to compute any operating point of this view; contains no threshold.

    | key                   | type                        |                                     |
    |-----------------------|-----------------------------|-------------------------------------|
    | codes, correct        | base64, see policy.payload  | confidences and correctness         |
    | labels                | base64 of uint16 (n,)       | true classes                        |
    | sliders, together     | keys of the sliders         | one for each exit, or one for all   |
    | energy_pj, latency_ms, uplink_bytes | (exits,)      | costs of a sample by exit taken     |
    | parts                 | part to (exits,)            | energy_pj by part                   |
    | alternatives          | field to (m,)               | by rising energy and accuracy       |
    | scale_pj              | float                       | of the figures' energy axes         |
    | templates             | see `templates`             | all texts, numbers left open        |
    | numbers               | numbers.as_payload          | how numbers are written             |
    """
    counted = policy.payload(recorded, view.measure)
    codes, correct = counted.pop("codes"), counted.pop("correct")
    labels = recorded.labels.astype("<u2")
    data = counted | {
        "codes": _base64(codes),
        "correct": _base64(correct),
        "labels": _base64(labels),
        "classes": classes,
        "class_samples": np.bincount(labels, minlength=classes).tolist(),
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
        "alternatives": {
            field: [getattr(one, field) for one in alternatives]
            for field in ("bits", "is_static", "accuracy", "energy_pj")
        },
        "templates": templates(
            view, prices, static_bits, image_bytes=image_bytes, labelled=labelled
        ),
        "numbers": numbers.as_payload(),
        "scale_pj": scale_pj,
    }
    return data | {"id": hashlib.sha256(repr(sorted(data.items())).encode()).hexdigest()}


def templates(
    view: View,
    prices: PricesLike,
    static_bits: Collection[int],
    *,
    image_bytes: int,
    labelled: bool,
) -> dict[str, Any]:
    """The texts that follow a slider, with numbers left open as `numbers.fill` reads them.

    | key              | type                 |                                           |
    |------------------|----------------------|-------------------------------------------|
    | headlines        | key to (value, note) | a note without numbers is None: it stands |
    | verdict          | kind to str          | the verdict, by what the better point is  |
    | flow             | list of str          | labels of the flow's nodes                |
    | spoken           | str                  | for a screen reader, at rest              |
    """
    headlines = point.headline_templates(
        prices.costs,
        twin_energy_pj=prices.twin_energy_pj,
        twin_accuracy=prices.twin_accuracy,
        scope=view.scope,
        image_bytes=image_bytes,
        labelled=labelled,
    )
    return {
        "headlines": {
            one.key: (one.value, one.note if numbers.slots(one.note) else None) for one in headlines
        }
        | {"interval": (point.INTERVAL, None)},
        "verdict": point.verdict_templates(static_bits, scope=view.scope, labelled=labelled),
        "flow": point.flow_templates(exit_labels(view.early_exits), labelled=labelled),
        "spoken": point.SPOKEN if labelled else point.SPOKEN_UNLABELLED,
    }


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
