"""A choice in words: names, reasons and certificates, for page, report and command line."""

import math
from collections.abc import Mapping, Sequence

from hybrid.certificates import rounded_up
from hybrid.choosing import (
    Answer,
    Limits,
    Point,
    ProfileCheck,
    Proof,
    RankedCandidate,
    Violation,
    taken_from,
)
from hybrid.text import numbers

__all__ = [
    "FIGURES",
    "apart",
    "asked",
    "certificate",
    "counted",
    "days",
    "figure",
    "headline",
    "how",
    "name",
    "notes",
    "on_images",
    "on_test",
    "place",
    "reason",
    "rows",
    "short",
    "survival",
    "thresholds",
    "verdict",
]

FIGURES = {
    "loss_points": "Accuracy lost",
    "energy_uj": "Energy per image",
    "latency_ms": "Mean latency",
    "uplink_bytes": "Uplink per image",
    "edge_memory_kib": "Edge memory",
    "days": "Battery lasts",
}
_MODES = {
    "cloud": "every image to the cloud",
    "edge": "hybrid {bits} bit, edge only",
    "hybrid": "hybrid {bits} bit",
    "static": "static {bits} bit on the device",
}
_BATTERY_YEARS = 20
_BATTERY = (
    "The battery life covers these images only. Standby, the camera and self-discharge shorten it, "
    "often to a fraction."
)
_UNLABELLED = (
    "These images have no labels, so every answer that differs from the full-precision twin's "
    "counts as lost. The accuracy lost is at most that share."
)
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
    return f"{point.network}, {_MODES[point.mode].format(bits=point.bits)}"


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
    if key == "loss_points":
        return f"{numbers.fixed(value, 2)} points"
    if key == "energy_uj":
        return numbers.energy(1e6 * value)
    if key == "latency_ms":
        return numbers.latency(value)
    if key == "uplink_bytes":
        return numbers.kilobytes(value)
    if key == "edge_memory_kib":
        return f"{numbers.significant(value)} KiB"
    return days(value)


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


def asked(limits: Limits) -> str:
    """The limits as one line."""
    parts = [f"{FIGURES[key].lower()} ≤ {figure(key, value)}"
             for key, value in limits.on_figures.items() if key != "days"]  # fmt: skip
    if limits.certified:
        assert limits.confidence is not None
        parts[0] += f" ({_percent(limits.confidence)} confidence)"
    if limits.min_days is not None:
        parts.append(f"battery lasts ≥ {days(limits.min_days)}")
    return ", ".join(parts) or "no limits"


def on_images(answer: Answer) -> str:
    """Which images were used to choose, to certify and to report."""
    splits = taken_from(answer.images)
    report = f", reported on {splits['test']}" if "test" in splits else ""
    return f"Chosen on {splits['tune']}, certified on {splits['certify']}{report}."


def headline(answer: Answer) -> str:
    """The answer in one sentence."""
    if answer.best is None:
        assert answer.nearest_miss is not None
        miss = answer.nearest_miss
        return (
            f"No candidate meets all limits. The nearest miss is {name(miss.point)}: "
            f"{reason(miss)}."
        )
    best = answer.best
    at = f" at thresholds {thresholds(best.thresholds)}" if best.thresholds else ""
    spent = numbers.energy(best.tune.energy_pj)
    lasts = "" if best.tune.days is None else f", and the battery lasts {days(best.tune.days)}"
    return (
        f"{name(best)}{at}: {spent} per image ({answer.scope}), the least of all candidates that "
        f"meet the limits{lasts}."
    )


def certificate(proof: Proof, best: Point, limits: Limits) -> str:
    """The certificate in words. A bound is rounded up, so that the printed number holds too."""
    confidence = _percent(proof.confidence)
    network, variant = proof.reference
    against = f"running {variant} of {network} on every image"
    if (best.network, best.variant) == proof.reference:
        return f"It loses nothing: losses are relative to {against}."
    bound = proof.bound_points if limits.certified else rounded_up(proof.bound_points / 100)
    images = f"({numbers.count(proof.samples)} images)"
    if bound < 0:
        claim = f"it gains at least {numbers.fixed(-bound, 1)} points of accuracy"
    else:
        points = "point" if bound == 1 else "points"
        claim = f"it loses at most {_short(bound)} {points} of accuracy"
    shared = (
        ""
        if proof.comparisons == 1
        else f" The {_percent(1 - proof.confidence)} risk of error is divided among the "
        f"{proof.comparisons} candidates tested."
    )
    return (
        f"With {confidence} confidence, {claim} compared with {against}, on images like these "
        f"{images}.{shared}"
    )


def reason(ranked: RankedCandidate) -> str:
    """Why a candidate was left out: each limit that it violates."""
    return "; ".join(map(_violated, ranked.violations)) or "meets all limits"


def place(ranked: RankedCandidate, answer: Answer) -> str:
    """A candidate compared with the choice."""
    point = ranked.point
    if answer.best is not None and point == answer.best:
        return "the choice"
    if not ranked.kept:
        return f"left out: {reason(ranked)}"
    assert answer.best is not None  # this candidate meets the limits
    more = point.tune.energy_pj - answer.best.tune.energy_pj
    if more == 0:
        return "meets all limits at the same energy, and is not more accurate"
    return f"meets all limits, needs {numbers.energy(more)} more"


def on_test(answer: Answer) -> str:
    """Figures on images that were not used for choosing, and the limits violated there."""
    point = answer.best
    assert point is not None
    limits = answer.limits
    if point.test is None:
        return (
            "All these images were used to choose or to certify; none are left to report on."
            if answer.images
            else "There is no trace of the test split to report on."
        )
    seen = point.test
    found = (
        f"On the {numbers.count(seen.samples)} test images, which were not used for choosing: "
        f"{numbers.percent(seen.accuracy, 2)} correct, {figure('loss_points', seen.loss_points)} "
        f"lost, {numbers.energy(seen.energy_pj)} per image"
    )
    broken = [
        f"{FIGURES[key].lower()} {figure(key, seen.by_limit[key])} (limit {figure(key, allowed)})"
        for key, allowed in limits.on_figures.items()
        if (seen.by_limit[key] < allowed if key == "days" else seen.by_limit[key] > allowed)
    ]
    return (
        f"{found}. Violated there: {' and '.join(broken)}."
        if broken
        else f"{found}. All limits are met there too."
    )


def counted(answer: Answer) -> str:
    """How many settings were tried, how completely, and the rule of the choice."""
    tried = (
        "all that can differ"
        if answer.exact
        else "all common thresholds, a grid of separate ones, then one threshold at a time"
    )
    candidates = len(answer.ranking)
    return (
        f"{numbers.count(answer.settings)} threshold settings of {candidates} candidates were "
        f"tried on {taken_from(answer.images)['tune']}: {tried}. Of those that meet the limits, "
        "the one with the least energy was chosen; of equals, the most accurate."
    )


def apart(answer: Answer) -> str:
    """The warning that networks of several data sets cannot replace each other; else empty."""
    if len(answer.references) < 2:
        return ""
    *others, last = answer.references
    return (
        f"{', '.join(others)} and {last} are different tasks, and the easiest one needs the least "
        "energy. Choose among networks of one data set. Each loss is relative to the best twin of "
        "its own data set."
    )


def notes(answer: Answer) -> tuple[str, ...]:
    """Notes that belong to every answer like this one."""
    found = answer.absent
    if answer.limits.images_per_day is not None:
        found = (_BATTERY, *found)
    if not answer.labelled:
        found = (_UNLABELLED, *found)
    return found


def rows(points: Mapping[str, Point]) -> list[dict[str, str]]:
    """One row per point for a table: its name and its figures on tune."""
    return [
        {"": place, "Point": name(point), "Thresholds": thresholds(point.thresholds) or "none"}
        | {
            words: figure(key, point.tune.by_limit[key])
            for key, words in FIGURES.items()
            if key in point.tune.by_limit
        }
        for place, point in points.items()
    ]


def short(point: Point) -> str:
    """A point in one line: its name, its energy, and the accuracy it loses on tune."""
    at = f" at {thresholds(point.thresholds)}" if point.thresholds else ""
    lost = figure("loss_points", point.tune.loss_points)
    return (
        f"{name(point)}{at}: {numbers.energy(point.tune.energy_pj)} per image, {lost} lost on tune"
    )


def verdict(one: ProfileCheck) -> str:
    """A choice under another energy model."""
    if one.best is None:
        return "no candidate meets the limits"
    if one.agrees:
        return f"the same choice, {numbers.energy(one.own.tune.energy_pj)} per image"
    instead = f"{name(one.best)} is chosen, {numbers.energy(one.best.tune.energy_pj)} per image"
    first = f"the first choice needs {numbers.energy(one.own.tune.energy_pj)}"
    violated = "; ".join(map(_violated, one.violations))
    return f"{instead}; {first}" + (f" and violates a limit: {violated}" if violated else "")


def survival(found: Sequence[ProfileCheck], first: Point) -> str:
    """One sentence: under how many energy models the choice remains the best one."""
    kept = sum(one.agrees for one in found)
    if kept == len(found):
        return f"Under all {kept} energy models the choice is {name(first)}."
    others = ", ".join(one.profile for one in found if not one.agrees)
    return (
        f"Under {kept} of {len(found)} energy models the choice is {name(first)}, but not under "
        f"{others}."
    )


def _violated(violation: Violation) -> str:
    allowed = figure(violation.limit, violation.allowed)
    if violation.limit == "days":
        return f"the battery lasts {days(violation.value)} (at least {allowed} required)"
    if math.isinf(violation.value):
        return "the accuracy lost cannot be certified: there is no trace of the certify split"
    value = figure(violation.limit, violation.value)
    if value == allowed:  # both rounded
        value = f"just over {value}"
    if violation.certified:
        return f"can be certified to lose at most {value} (limit {allowed}){_too_few(violation)}"
    if violation.limit == "loss_points":
        return f"loses {value} (limit {allowed})"
    return f"{FIGURES[violation.limit].lower()} {value} (limit {allowed})"


def _too_few(violation: Violation) -> str:
    """Why no point could have been certified on so few images."""
    if violation.fewest is None:
        return "; no number of images can certify so small a loss"
    if violation.samples >= violation.fewest:
        return ""
    return (
        f"; {numbers.count(violation.samples)} images are too few: certifying this loss takes at "
        f"least {numbers.count(violation.fewest)}, even with no errors"
    )


def _percent(fraction: float) -> str:
    return f"{_short(100 * fraction)} %"


def _short(value: float) -> str:
    return f"{round(value, 6):g}"
