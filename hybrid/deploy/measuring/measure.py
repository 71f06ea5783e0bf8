"""Lines of a split beside its trace: what was answered and took, and what was promised."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybrid.energy import ExitCosts
from hybrid.errors import BundleError, DataMissingError
from hybrid.monitor import AnswerLine
from hybrid.policy import exits_taken
from hybrid.policy.points import early_confidences
from hybrid.traces.trace import Trace

__all__ = ["LIMITS_MS", "AtExit", "Measured", "Spread", "check_trace", "measured"]

# Upper limits of the histograms: 0.01, 0.02, 0.05, 0.1 … 10,000.
LIMITS_MS = (*(step * 10.0**power for power in range(-2, 4) for step in (1, 2, 5)), 10_000.0)
PARTS = ("device_ms", "wire_ms", "cloud_ms")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How some milliseconds are spread.

    Args:
        histogram: how many are up to each of `LIMITS_MS`, and above the limit before; those above
            all limits are the last number.
    """

    median: float
    p95: float
    mean: float
    histogram: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class AtExit:
    """The images that one exit answered.

    Args:
        images, in_trace: how many, here and in the trace.
        total, device_ms, wire_ms, cloud_ms: None if there are none.
        sent_bytes: of a request, the median.
        promised_ms, promised_bytes: by the profiles.
    """

    images: int
    in_trace: int
    total: Spread | None
    device_ms: Spread | None
    wire_ms: Spread | None
    cloud_ms: Spread | None
    sent_bytes: float
    promised_ms: float
    promised_bytes: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A split through both processes.

    Args:
        exits: early ones, the cloud last; fallbacks are not among them.
        other_exits, other_classes: images whose exit or answer is not that of the trace.
        images_per_s: one after the other.
    """

    images: int
    exits: tuple[AtExit, ...]
    fallbacks: int
    other_exits: tuple[int, ...]
    other_classes: tuple[int, ...]
    images_per_s: float

    @property
    def as_promised(self) -> bool:
        """Whether every image was answered as in the trace, by the exit of the trace."""
        return not (self.fallbacks or self.other_exits or self.other_classes)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"as_promised": self.as_promised, "histogram_limits_ms": LIMITS_MS, **asdict(self)}


def check_trace(trace: Trace, weights: str, images: int) -> None:
    """Refuse a trace of other weights or another number of images.

    Raises:
        BundleError, DataMissingError: it is.
    """
    if trace.weights_sha256 != weights:
        raise BundleError(
            f"The bundle has other weights than {trace.network} {trace.variant} in pretrained/; "
            "export it again with `hybrid export`."
        )
    if trace.samples != images:
        raise DataMissingError(
            f"The trace of {trace.split} has {trace.samples:,} images, and the split {images:,}; "
            "record it again with `hybrid trace`."
        )


def measured(
    lines: Sequence[AnswerLine],
    seconds: float,
    trace: Trace,
    thresholds: Sequence[float],
    measure: str,
    promised: ExitCosts,
) -> Measured:
    """Lines beside the first images of a trace.

    Args:
        lines: of its images, in their order; at least one.
        thresholds, measure: of the bundle.
        promised: costs by exit.
    """
    taken = exits_taken(early_confidences(trace, measure), thresholds)[: len(lines)]
    classes = trace.classes[np.arange(len(lines)), taken]
    exits = np.array([line.exit_index for line in lines])
    forced = np.array([line.source == "fallback" for line in lines])
    answers = np.array([line.class_index for line in lines])
    return Measured(
        images=len(lines),
        exits=tuple(
            _at_exit(
                [line for line in lines if line.exit_index == one and line.source != "fallback"],
                int((taken == one).sum()),
                promised_ms=promised.latency_ms[one],
                promised_bytes=promised.uplink_bytes[one],
            )
            for one in range(len(thresholds) + 1)
        ),
        fallbacks=int(forced.sum()),
        other_exits=tuple(np.flatnonzero((exits != taken) & ~forced).tolist()),
        other_classes=tuple(np.flatnonzero((answers != classes) & ~forced).tolist()),
        images_per_s=len(lines) / seconds,
    )


def _at_exit(
    lines: Sequence[AnswerLine], in_trace: int, *, promised_ms: float, promised_bytes: float
) -> AtExit:
    parts = {part: _spread([getattr(line, part) for line in lines]) for part in PARTS}
    totals = [sum(getattr(line, part) or 0.0 for part in PARTS) for line in lines]
    return AtExit(
        images=len(lines),
        in_trace=in_trace,
        total=_spread(totals),
        sent_bytes=float(np.median([line.sent_bytes for line in lines])) if lines else 0.0,
        promised_ms=promised_ms,
        promised_bytes=promised_bytes,
        **parts,
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = np.array([one for one in values if one is not None])
    if not known.size:
        return None
    places = np.searchsorted(LIMITS_MS, known)
    return Spread(
        median=float(np.median(known)),
        p95=float(np.quantile(known, 0.95)),
        mean=float(known.mean()),
        histogram=tuple(np.bincount(places, minlength=len(LIMITS_MS) + 1).tolist()),
    )
