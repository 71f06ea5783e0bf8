"""A candidate of a choice in words: its name, its figures, and why it was left out."""

import math
from collections.abc import Callable, Mapping, Sequence

from hybrid.choosing import Point, RankedCandidate, Uncertifiable, Violation, at_least
from hybrid.text import numbers

__all__ = [
    "FIGURES",
    "bound",
    "days",
    "figure",
    "how",
    "lower",
    "name",
    "percent",
    "reason",
    "short",
    "shortest",
    "takes",
    "thresholds",
    "violated",
]

FIGURES = {
    "loss_points": "Accuracy lost",
    "energy_uj": "Energy per image",
    "latency_ms": "Mean latency",
    "p95_latency_ms": "95th percentile of latency",
    "uplink_bytes": "Uplink per image",
    "edge_memory_kib": "Edge memory",
    "accuracy_percent": "Accuracy",
    "class_accuracy_percent": "Lowest accuracy of a class",
    "days": "Battery lasts",
}
_MODES = {
    "cloud": "every image to the cloud",
    "edge": "hybrid {bits} bit, edge only",
    "hybrid": "hybrid {bits} bit",
    "static": "static {bits} bit on the device",
}
_BATTERY_YEARS = 20
_WINS = {
    "cloud": "Nothing is computed on the device: it sends every raw image, and the full-precision "
    "network in the cloud answers.",
    "edge": "The cloud is never used: the last exit on the device answers all images that no "
    "earlier exit has answered.",
    "hybrid": "Confident images are answered on the device, the others in the cloud.",
    "static": "No early exits and no cloud: the static network on the device needs less energy "
    "than any cut network that meets the limits.",
}


def name(point: Point) -> str:
    """The name of a point.

    In the cloud mode the bit width is always 32, so it is left out.
    """
    said = _MODES[point.mode].format(bits=point.bits)
    if point.variant.startswith("deployed-"):
        said = said.replace("hybrid", "deployed", 1)
    return f"{point.network}, {said}"


def how(point: Point) -> str:
    """One sentence: which part answers where."""
    return _WINS[point.mode]


def thresholds(values: Sequence[float]) -> str:
    """Thresholds with as many digits as they have, never in powers of ten.

    >>> thresholds((0.9, 0.94831, 0.0))
    '0.9, 0.94831, 0'
    """
    return ", ".join(f"{value:.8f}".rstrip("0").rstrip(".") for value in values)


def figure(key: str, value: float) -> str:
    """A figure with its unit, by the name of its limit."""
    return _FIGURES[key](value)


def percent(fraction: float) -> str:
    """A fraction as a percentage without needless digits."""
    return f"{shortest(100 * fraction)} %"


def days(value: float) -> str:
    """How long a battery lasts; whole days, rounded down, from ten on.

    No battery keeps its charge for decades, so beyond 20 years no number is given.

    >>> days(214.9), days(2.55), days(1e6)
    ('214 days', '2.5 days', '20+ years')
    """
    if value > _BATTERY_YEARS * 365:
        return f"{_BATTERY_YEARS}+ years"
    whole = math.floor(value) if value >= 10 else math.floor(10 * value) / 10
    return f"{whole:,} {'day' if whole == 1 else 'days'}"


_FIGURES: Mapping[str, Callable[[float], str]] = {
    "loss_points": lambda value: f"{numbers.fixed(value, 2)} points",
    "energy_uj": lambda value: numbers.energy(1e6 * value),
    "latency_ms": numbers.latency,
    "p95_latency_ms": numbers.latency,
    "uplink_bytes": numbers.kilobytes,
    "edge_memory_kib": lambda value: f"{numbers.significant(value)} KiB",
    "accuracy_percent": lambda value: f"{numbers.fixed(value, 2)} %",
    "class_accuracy_percent": lambda value: f"{numbers.fixed(value, 2)} %",
    "days": days,
}


def takes(one: Uncertifiable) -> str:
    """The images or the limit that it would take."""
    if not one.samples:
        return "there is no trace of the certify split"
    if math.isinf(one.bound_points):
        return "it is not on the path that certificates are tested along"
    if one.images is None:
        return f"it would take a limit of {bound(one.bound_points)}; a million images are too few"
    return f"it would take {numbers.count(one.images)} images, or {bound(one.bound_points)}"


def reason(ranked: RankedCandidate) -> str:
    """Why a candidate was left out: each limit that it violates."""
    return "; ".join(map(violated, ranked.violations)) or "meets all limits"


def short(point: Point) -> str:
    """A point in one line: its name, its energy, and the accuracy it loses on tune."""
    at = f" at {thresholds(point.thresholds)}" if point.thresholds else ""
    lost = figure("loss_points", point.tune.loss_points)
    return (
        f"{name(point)}{at}: {numbers.energy(point.tune.energy_pj)} per image, {lost} lost on tune"
    )


def bound(points: float) -> str:
    """A bound in points, rounded up so that the printed number holds."""
    return figure("loss_points", math.ceil(100 * points - 1e-7) / 100)


def lower(words: str) -> str:
    """For the middle of a sentence."""
    return words[0].lower() + words[1:]


def violated(violation: Violation) -> str:
    """By how much a candidate misses a limit, or what it would take to certify it."""
    allowed = figure(violation.limit, violation.allowed)
    if violation.limit == "days":
        return f"the battery lasts {days(violation.value)} (at least {allowed} required)"
    if violation.certified:
        return _unproven(violation, allowed)
    value = figure(violation.limit, violation.value)
    if value == allowed:  # both rounded
        value = f"just {'under' if at_least(violation.limit) else 'over'} {value}"
    if violation.limit == "loss_points":
        return f"loses {value} (limit {allowed})"
    return f"{lower(FIGURES[violation.limit])} {value} (limit {allowed})"


def _unproven(violation: Violation, allowed: str) -> str:
    if not violation.samples:
        return "the accuracy lost cannot be certified: there is no trace of the certify split"
    if math.isinf(violation.value):
        return "meets the limits only away from the path that certificates are tested along"
    value = bound(violation.value)
    if value == allowed:
        value = f"just over {value}"
    return (
        f"can be certified to lose at most {value} (limit {allowed}); {_images(violation.enough)}"
    )


def _images(enough: int | None) -> str:
    if enough is None:
        return "no million images would be enough for the limit"
    return f"it would take about {numbers.count(enough)} images to certify the limit"


def shortest(value: float) -> str:
    """A number without needless digits."""
    return f"{round(value, 6):g}"
