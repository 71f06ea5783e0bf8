"""Limits on figures, and by how much a figure exceeds them. Independent of networks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import reduce

import numpy as np
import numpy.typing as npt

from hybrid.errors import LimitError

__all__ = [
    "Limits",
    "Violation",
    "at_least",
    "days_of_battery",
    "excess_share",
    "violations_of",
]

Floats = npt.NDArray[np.float64]

_SECONDS_PER_HOUR = 3600
_WORDS = {
    "max_loss_points": ("the accuracy lost", "points"),
    "max_energy_uj": ("the energy", "µJ"),
    "max_latency_ms": ("the mean latency", "ms"),
    "max_p95_latency_ms": ("the 95th percentile of the latency", "ms"),
    "max_uplink_bytes": ("the uplink", "bytes"),
    "max_edge_memory_kib": ("the edge memory", "KiB"),
    "min_accuracy_percent": ("the accuracy", "%"),
    "min_class_accuracy_percent": ("the accuracy of every class", "%"),
    "images_per_day": ("the images a day", ""),
    "battery_mah": ("the battery's capacity", "mAh"),
    "battery_volts": ("the battery's voltage", "V"),
    "min_days": ("the battery life", "days"),
}
_BATTERY = ("images_per_day", "battery_mah", "battery_volts")
_FRACTIONS = ("min_accuracy_percent", "min_class_accuracy_percent")
_PERCENTS = (*_FRACTIONS, "max_loss_points")


# A figure that must be at least its limit; all others must be at most theirs.
_AT_LEAST = frozenset({"accuracy_percent", "class_accuracy_percent", "days"})
_MOST_POINTS = 100.0
_MOST = 1e15  # of any limit: products of several are still finite


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on means per image; None sets no limit.

    Args:
        max_loss_points: accuracy that may be lost, in percentage points, compared with running
            the full-precision reference on every image.
        confidence: of the certificate for the loss limit, between 0 and 1; with None, only the
            loss measured on `tune` is limited.
        max_p95_latency_ms: 95 % of the images must be answered within this time.
        max_edge_memory_kib: packed weights of the edge and its largest activations.
        min_accuracy_percent, min_class_accuracy_percent: of all images, and of the images of each
            class, measured on `tune`.
        images_per_day, battery_mah, battery_volts: the battery life in days follows from all three.
        min_days: how long the battery must last.

    Raises:
        LimitError: a number that cannot be a limit.
    """

    max_loss_points: float | None = None
    confidence: float | None = 0.95
    max_energy_uj: float | None = None
    max_latency_ms: float | None = None
    max_p95_latency_ms: float | None = None
    max_uplink_bytes: float | None = None
    max_edge_memory_kib: float | None = None
    min_accuracy_percent: float | None = None
    min_class_accuracy_percent: float | None = None
    images_per_day: float | None = None
    battery_mah: float | None = None
    battery_volts: float | None = None
    min_days: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be limits, and a battery life without a battery."""
        _check_confidence(self.confidence)
        for name, value in self.to_dict().items():
            if name != "confidence":
                _check(name, value)
        self._check_battery()

    @property
    def certified(self) -> bool:
        """True if the loss has a limit that must be certified; 100 points cannot be exceeded."""
        limited = self.max_loss_points is not None and self.max_loss_points < _MOST_POINTS
        return limited and self.confidence is not None

    @property
    def uncertified(self) -> bool:
        """True if the loss has a limit that is only checked on the tuning images."""
        return self.max_loss_points is not None and self.confidence is None

    @property
    def battery_joules(self) -> float | None:
        """Energy of the battery; None if no battery is described."""
        if self.battery_mah is None or self.battery_volts is None:
            return None
        return self.battery_mah / 1000 * _SECONDS_PER_HOUR * self.battery_volts

    @property
    def on_figures(self) -> dict[str, float]:
        """Figure name to its maximum (or minimum, see `at_least`); only limits that are set."""
        named = {
            "loss_points": self.max_loss_points,
            "energy_uj": self.max_energy_uj,
            "latency_ms": self.max_latency_ms,
            "p95_latency_ms": self.max_p95_latency_ms,
            "uplink_bytes": self.max_uplink_bytes,
            "edge_memory_kib": self.max_edge_memory_kib,
            "accuracy_percent": self.min_accuracy_percent,
            "class_accuracy_percent": self.min_class_accuracy_percent,
            "days": self.min_days,
        }
        return {name: value for name, value in named.items() if value is not None}

    def to_dict(self) -> dict[str, float]:
        """Every limit that is set, by its field's name."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def _check_battery(self) -> None:
        about = {
            "images a day": self.images_per_day,
            "the battery's mAh": self.battery_mah,
            "its volts": self.battery_volts,
        }
        missing = [words for words, value in about.items() if value is None]
        wanted = self.min_days is not None or len(missing) < len(about)
        if wanted and missing:
            raise LimitError(
                f"How long a battery lasts needs {', '.join(about)}, each more than 0; "
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing."
            )


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A limit that a point violates.

    Args:
        limit: a key of `Limits.on_figures`.
        certified: the value is an upper bound, not an observation.
        samples: images that the bound comes from.
        enough: about how many images would certify the limit; None if a million would not.
    """

    limit: str
    value: float
    allowed: float
    certified: bool = False
    samples: int = 0
    enough: int | None = None

    @property
    def excess(self) -> float:
        """The amount by which the limit is missed."""
        return abs(self.value - self.allowed)


def days_of_battery(energy_pj: Floats, limits: Limits) -> Floats:
    """Days until the battery is empty; infinite if an image costs nothing.

    Args:
        energy_pj: energy of one image in the scope `device`; idle consumption is not counted.

    >>> one_day = Limits(images_per_day=100, battery_mah=1, battery_volts=1)  # 3.6 J
    >>> days_of_battery(np.array([0.036e12]), one_day)  # 100 images of 36 mJ
    array([1.])
    """
    assert limits.battery_joules is not None  # callers check it
    assert limits.images_per_day is not None
    with np.errstate(divide="ignore"):
        return limits.battery_joules / (limits.images_per_day * energy_pj * 1e-12)


def at_least(name: str) -> bool:
    """Whether a figure must be at least its limit; otherwise it must be at most that."""
    return name in _AT_LEAST


def excess_share(figures: Mapping[str, Floats], limits: Limits) -> Floats:
    """(m,): the largest share by which a point exceeds one of its limits; 0 if it meets all.

    It is a share and not an amount, so that microjoules and bytes can be compared: 0.5 means 50 %
    above the limit. Where at least the limit is required, it is the missing share of it. For a
    limit of 0, it is the figure itself.

    >>> excess_share({"energy_uj": np.array([10.0, 30.0])}, Limits(max_energy_uj=20))
    array([0. , 0.5])
    """
    shares = [_share(name, figures[name], allowed) for name, allowed in limits.on_figures.items()]
    rows = len(next(iter(figures.values())))
    return reduce(np.maximum, shares, np.zeros(rows))


def violations_of(figures: Mapping[str, float], limits: Limits) -> tuple[Violation, ...]:
    """The limits that one point violates."""
    return tuple(
        Violation(limit=name, value=figures[name], allowed=allowed)
        for name, allowed in limits.on_figures.items()
        if _share(name, np.array(figures[name]), allowed) > 0
    )


def _share(name: str, values: Floats, allowed: float) -> Floats:
    beyond = allowed - values if at_least(name) else values - allowed
    with np.errstate(over="ignore"):  # a tiny limit can make a miss infinite
        return np.asarray(np.maximum(beyond, 0) / (allowed or 1))


def _check(name: str, value: float) -> None:
    words, unit = _WORDS[name]
    said = f"The limit on {words} is {value:g} {unit}".rstrip()
    if not 0 <= value < math.inf:
        raise LimitError(f"{said}; give a number of 0 or more, or no limit.")
    if value > _MOST:
        raise LimitError(f"{said}; give a number of at most {_MOST:g}, or no limit.")
    if name in _BATTERY and not value:
        raise LimitError(f"{said}; give a number above 0, or leave it out.")
    if name not in _PERCENTS:
        return
    if value > _MOST_POINTS:
        raise LimitError(f"{said}, but it is never more than 100; give a number from 0 to 100.")
    if name in _FRACTIONS and 0 < value <= 1:
        raise LimitError(f"{said}; accuracies are in percent, so write {100 * value:g}.")


def _check_confidence(value: float | None) -> None:
    if value is None or 0 < value < 1:
        return
    if 1 < value < 100:
        raise LimitError(
            f"A confidence is a fraction, not a percentage; for {value:g} %, write {value / 100:g}."
        )
    if value in {1, 100}:
        raise LimitError(
            "A confidence of 100 % cannot be had from samples; write a fraction below 1, such as "
            "0.99."
        )
    raise LimitError(
        f"A confidence of {value:g} cannot be had from samples; give a number between 0 and 1, "
        "such as 0.95."
    )
