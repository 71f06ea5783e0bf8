"""What the follower in the browser needs, in two parts: traces as bytes, everything else as JSON.

The follower counts and fills in templates. All sentences, units and number formats come from here.
Traces are large and change with the network, the images and the measure. The rest is small and
changes with every price. Neither part contains a bit width or a threshold that is selected.
"""

import hashlib
import json
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hybrid import policy
from hybrid.energy import ExitCosts
from hybrid.text import numbers, point
from hybrid.traces.confidence import CODES
from hybrid.traces.trace import Trace
from hybrid.ui import palette
from hybrid.ui.view import STEPS, View, slider_keys
from hybrid.zoo import exit_labels

__all__ = ["SWEEP_POINTS", "Width", "bounds_id", "chunk", "identity", "settings", "templates"]

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


class RangesLike(Protocol):
    """Ends of the axes that fit one bit width, as the payload reads them."""

    @property
    def accuracy(self) -> tuple[float, float]: ...
    @property
    def parts(self) -> tuple[float, float]: ...


@dataclass(frozen=True, kw_only=True)
class Width:
    """A bit width on offer.

    trace: id of its trace in the browser; None if it has none that can be read.
    """

    bits: int
    trace: str | None
    prices: PricesLike
    ranges: RangesLike


def chunk(identity: str, recorded: Trace, measure: str, *, classes: int) -> bytes:
    """A trace as bytes; several may follow each other in one message.

    | bytes        |                                                                        |
    |--------------|------------------------------------------------------------------------|
    | 4            | uint32: length of the header; all numbers are little-endian            |
    | that many    | header, JSON: id, samples, exits, classes, grid, bytes (of what follows) |
    | early · n · 2 | uint16 (early, n): confidence codes, see `policy.payload`             |
    | n · 2        | uint16 (n,): true classes                                              |
    | exits · ⌈n/8⌉ | bits (exits, n): correctness, see `policy.payload`                    |
    """
    counted = policy.payload(recorded, measure)
    arrays = (counted.pop("codes"), recorded.labels.astype("<u2"), counted.pop("correct"))
    body = b"".join(array.tobytes() for array in arrays)
    header = counted | {"id": identity, "classes": classes, "bytes": len(body)}
    written = json.dumps(header).encode()
    return struct.pack("<I", len(written)) + written + body


def identity(sent: bytes) -> str:
    """The id in a chunk."""
    (size,) = struct.unpack_from("<I", sent)
    return str(json.loads(sent[4 : 4 + size])["id"])


def bounds_id(view: View) -> str:
    """Id of the bounds in the browser, which are sent apart from the settings."""
    return f"{view.network}/{view.form}/{view.split}/{view.measure}/bounds"


def settings(
    view: View,
    widths: Sequence[Width],
    alternatives: Sequence[point.Alternative],
    *,
    shown: Mapping[str, str],
    static_bits: Collection[int],
    image_bytes: int,
    scale_pj: float,
    labelled: bool = True,
) -> dict[str, Any]:
    """All the browser needs besides the traces to compute any operating point of this network.

    | key                   | type                        |                                     |
    |-----------------------|-----------------------------|-------------------------------------|
    | widths                | list, see `_width`          | in the order of the slider          |
    | sliders, together     | keys of the sliders         | one for each exit, or one for all   |
    | exits                 | int                         | as many as the sliders are for      |
    | alternatives          | field to (m,)               | by rising energy and accuracy       |
    | bounds                | id                          | see `bounds_id`                     |
    | scale_pj              | float                       | of the figures' energy axes         |
    | shown                 | key of a control to str     | what it shows at these settings     |
    | templates             | see `templates`             | texts, numbers left open            |
    | numbers               | numbers.as_payload          | how numbers are written             |
    | id                    | str                         | changes with everything else        |
    """
    data = {
        "widths": [
            _width(width, view, image_bytes=image_bytes, labelled=labelled) for width in widths
        ],
        "sliders": list(slider_keys(view)),
        "together": view.together,
        "exits": view.early_exits + 1,
        "grid": CODES,
        "steps": STEPS,
        "sweep_points": SWEEP_POINTS,
        "alternatives": {
            field: [getattr(one, field) for one in alternatives]
            for field in ("bits", "is_static", "accuracy", "energy_pj")
        },
        "bounds": bounds_id(view),
        "templates": templates(view, static_bits, labelled=labelled),
        "numbers": numbers.as_payload(),
        "scale_pj": scale_pj,
        "shown": dict(shown),
    }
    return data | {"id": hashlib.sha256(repr(sorted(data.items())).encode()).hexdigest()}


def templates(
    view: View, static_bits: Collection[int], *, labelled: bool
) -> dict[str, str | list[str] | dict[str, str]]:
    """The texts that follow a slider, with numbers left open as `numbers.fill` reads them.

    | key     | type        |                                          |
    |---------|-------------|------------------------------------------|
    | verdict | kind to str | the verdict, by what the better point is |
    | reach   | list of str | by how many early exits are reached      |
    | interval | str        | of the accuracy, where images are few    |
    | flow    | list of str | labels of the flow's nodes               |
    | spoken  | str         | for a screen reader, at rest             |
    """
    exits = exit_labels(view.early_exits)
    return {
        "verdict": point.verdict_templates(static_bits, scope=view.scope, labelled=labelled),
        "reach": point.reach_templates(exits[:-1], together=view.together),
        "interval": point.INTERVAL,
        "flow": point.flow_templates(exits, labelled=labelled),
        "spoken": point.spoken_template(view.scope, labelled=labelled),
    }


def _width(width: Width, view: View, *, image_bytes: int, labelled: bool) -> dict[str, Any]:
    """A bit width's prices and texts.

    | key           | type                  |                                                |
    |---------------|-----------------------|------------------------------------------------|
    | bits, trace   | int, str or None      | as in `Width`                                  |
    | energy_pj, latency_ms, uplink_bytes | (exits,) | costs of a sample by exit taken       |
    | parts         | part to (exits,)      | energy_pj by part                              |
    | headlines     | key to (value, note)  | templates                                      |
    | ranges        | axis to (low, high)   | of the axes that fit this width alone          |
    """
    prices = width.prices
    headlines = point.headline_templates(
        prices.costs,
        twin_energy_pj=prices.twin_energy_pj,
        twin_accuracy=prices.twin_accuracy,
        scope=view.scope,
        image_bytes=image_bytes,
        labelled=labelled,
    )
    return {
        "bits": width.bits,
        "trace": width.trace,
        "energy_pj": list(prices.costs.energy_pj),
        "latency_ms": list(prices.costs.latency_ms),
        "uplink_bytes": list(prices.costs.uplink_bytes),
        "parts": {palette.part_label(part): list(costs) for part, costs in prices.parts.items()},
        "twin_energy_pj": prices.twin_energy_pj,
        "twin_accuracy": prices.twin_accuracy,
        "headlines": {one.key: (one.value, one.note) for one in headlines},
        "ranges": {"accuracy": width.ranges.accuracy, "parts": width.ranges.parts},
    }
