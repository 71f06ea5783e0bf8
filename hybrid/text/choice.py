"""A choice in words: names, reasons and certificates, for page, report and command line."""

import math
from collections.abc import Callable, Mapping, Sequence

from hybrid.certificates import rounded_up
from hybrid.choosing import (
    Answer,
    Figures,
    Limits,
    Point,
    ProfileCheck,
    Proof,
    RankedCandidate,
    Uncertifiable,
    Violation,
    at_least,
    taken_from,
)
from hybrid.text import numbers

__all__ = [
    "FIGURES",
    "apart",
    "asked",
    "certificate",
    "column",
    "counted",
    "days",
    "figure",
    "headline",
    "how",
    "name",
    "notes",
    "on_images",
    "on_test",
    "on_tune",
    "percent",
    "place",
    "reason",
    "rows",
    "short",
    "survival",
    "takes",
    "thresholds",
    "verdict",
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
_BATTERY = (
    "The battery life covers these images only. Standby, the camera and self-discharge shorten it, "
    "often to a fraction."
)
_UNLABELLED = (
    "These images have no labels, so every answer that differs from the full-precision twin's "
    "counts as lost. The accuracy lost is at most that share."
)
_ACCURACY = (
    "Accuracy limits are checked on the tuning images and are not certified. Only the accuracy "
    "lost is."
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
    return _FIGURES[key](value)


def percent(fraction: float) -> str:
    """A fraction as a percentage without needless digits."""
    return f"{_short(100 * fraction)} %"


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


def asked(limits: Limits) -> str:
    """The limits as one line."""
    parts = [
        f"{_lower(FIGURES[key])} {'≥' if at_least(key) else '≤'} {figure(key, value)}"
        for key, value in limits.on_figures.items()
    ]
    if limits.certified:
        assert limits.confidence is not None
        parts[0] += f" ({percent(limits.confidence)} confidence)"
    if limits.uncertified:
        parts[0] += " (on the tuning images, not certified)"
    return ", ".join(parts) or "no limits"


def on_images(answer: Answer) -> str:
    """Which images were used to choose, to certify and to report."""
    splits = taken_from(answer.images)
    certify = f", certified on {splits['certify']}" if answer.proof is not None else ""
    report = f", reported on {splits['test']}" if "test" in splits else ""
    return f"Chosen on {splits['tune']}{certify}{report}."


def headline(answer: Answer) -> str:
    """The answer in one sentence."""
    best = answer.best
    if best is not None:
        at = f" at thresholds {thresholds(best.thresholds)}" if best.thresholds else ""
        return (
            f"{name(best)}{at}: {numbers.energy(best.shown.energy_pj)} per image ({answer.scope})."
        )
    if answer.without is not None:
        return _only_uncertified(answer)
    assert answer.nearest_miss is not None
    miss = answer.nearest_miss
    return f"No network meets all limits. The nearest miss is {name(miss.point)}: {reason(miss)}."


def certificate(proof: Proof, best: Point, limits: Limits) -> str:
    """The certificate in words. A bound is rounded up, so that the printed number holds too."""
    confidence = percent(proof.confidence)
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
        else f" The {percent(1 - proof.confidence)} risk of error is divided among "
        f"{proof.comparisons} paths of points that were fixed on the tuning images."
    )
    return (
        f"With {confidence} confidence, {claim} compared with {against}, on images like these "
        f"{images}.{shared}"
    )


def takes(one: Uncertifiable) -> str:
    """The images or the limit that it would take."""
    if not one.samples:
        return "there is no trace of the certify split"
    if math.isinf(one.bound_points):
        return "it is not on the path that certificates are tested along"
    if one.images is None:
        return f"it would take a limit of {_bound(one.bound_points)}; a million images are too few"
    return f"it would take {numbers.count(one.images)} images, or {_bound(one.bound_points)}"


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
    if point.test is None:
        return (
            "All these images were used to choose or to certify; none are left to report on."
            if answer.images
            else "There is no trace of the test split to report on."
        )
    seen = point.test
    found = (
        f"On the {numbers.count(seen.samples)} test images, which were not used for choosing: "
        f"{_main_figures(seen)}"
    )
    broken = [
        f"{_lower(FIGURES[key])} {figure(key, seen.by_limit[key])} (limit {figure(key, allowed)})"
        for key, allowed in answer.limits.on_figures.items()
        if (seen.by_limit[key] < allowed if at_least(key) else seen.by_limit[key] > allowed)
    ]
    return (
        f"{found}. Violated there: {' and '.join(broken)}."
        if broken
        else f"{found}. All limits are met there too."
    )


def on_tune(answer: Answer) -> str:
    """Figures on the images that the point was chosen by, in one sentence."""
    point = answer.best
    assert point is not None
    seen = point.tune
    lasts = "" if seen.days is None else f", and the battery lasts {days(seen.days)}"
    return (
        f"On the {numbers.count(seen.samples)} tuning images, by which it was chosen: "
        f"{_main_figures(seen)}{lasts}."
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
    if {"accuracy_percent", "class_accuracy_percent"} & set(answer.limits.on_figures):
        found = (_ACCURACY, *found)
    return found


def column(key: str, scope: str) -> str:
    """The name of a figure as a column's head; an energy is named with its scope."""
    return f"{FIGURES[key]} ({scope})" if key == "energy_uj" else FIGURES[key]


def rows(points: Mapping[str, Point], scope: str) -> list[dict[str, str]]:
    """One row per point for a table: its name and its figures on tune."""
    return [
        {"": place, "Point": name(point), "Thresholds": thresholds(point.thresholds) or "none"}
        | {
            column(key, scope): figure(key, point.tune.by_limit[key])
            for key in FIGURES
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
    if violation.certified:
        return _unproven(violation, allowed)
    value = figure(violation.limit, violation.value)
    if value == allowed:  # both rounded
        value = f"just {'under' if at_least(violation.limit) else 'over'} {value}"
    if violation.limit == "loss_points":
        return f"loses {value} (limit {allowed})"
    return f"{_lower(FIGURES[violation.limit])} {value} (limit {allowed})"


def _unproven(violation: Violation, allowed: str) -> str:
    if not violation.samples:
        return "the accuracy lost cannot be certified: there is no trace of the certify split"
    if math.isinf(violation.value):
        return "meets the limits only away from the path that certificates are tested along"
    value = _bound(violation.value)
    if value == allowed:
        value = f"just over {value}"
    return (
        f"can be certified to lose at most {value} (limit {allowed}); {_images(violation.enough)}"
    )


def _images(enough: int | None) -> str:
    if enough is None:
        return "no million images would be enough for the limit"
    return f"it would take about {numbers.count(enough)} images to certify the limit"


def _only_uncertified(answer: Answer) -> str:
    """That there are points within the limits, but none that can be certified."""
    ruled_out = answer.uncertifiable
    nearest = ruled_out[0]
    meet = (
        f"{name(nearest.point)} meets every limit on the tuning images and cannot be certified"
        if len(ruled_out) == 1
        else f"{len(ruled_out)} candidates meet every limit on the tuning images and cannot be "
        f"certified. The nearest is {name(nearest.point)}"
    )
    return f"{meet} ({takes(nearest)})."


def _bound(points: float) -> str:
    """A bound in points, rounded up so that the printed number holds."""
    return figure("loss_points", math.ceil(100 * points - 1e-7) / 100)


def _main_figures(seen: Figures) -> str:
    return (
        f"{numbers.percent(seen.accuracy, 2)} correct, {figure('loss_points', seen.loss_points)} "
        f"lost, {numbers.energy(seen.energy_pj)} per image"
    )


def _lower(words: str) -> str:
    """For the middle of a sentence."""
    return words[0].lower() + words[1:]


def _short(value: float) -> str:
    return f"{round(value, 6):g}"
