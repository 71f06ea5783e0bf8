"""What choosing says, in words: names, reasons, certificates; for page, report and command line."""

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
    "edge": "hybrid {bits} bit, everything at the edge",
    "hybrid": "hybrid {bits} bit",
    "static": "static {bits} bit on the device",
}
_BATTERY_YEARS = 20
_BATTERY = (
    "The battery is counted for these images alone: what the device draws while it waits, its "
    "camera and the battery's own discharge shorten its life, often to a fraction."
)
_UNLABELLED = (
    "These images have no labels: every answer that is not the full-precision twin's counts as "
    "lost, and the accuracy lost is at most that."
)
_WINS = {
    "cloud": "Nothing is computed on the device: every raw image is sent, and the full-precision "
    "network in the cloud answers.",
    "edge": "The cloud is never asked: the last exit of the edge answers whatever no earlier exit "
    "has.",
    "hybrid": "Who is sure leaves early; the others ask the cloud.",
    "static": "No early exit and no cloud: the static network on the device needs less than any "
    "cut network that keeps the limits.",
}


def name(point: Point) -> str:
    """What a point is called.

    A bit width of 32 in the cloud is the full-precision network, so it is not said there.
    """
    return f"{point.network}, {_MODES[point.mode].format(bits=point.bits)}"


def how(point: Point) -> str:
    """One sentence on who answers."""
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

    No battery keeps its charge for decades: beyond them a number would say nothing.

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
    return ", ".join(parts) or "no limit"


def on_images(answer: Answer) -> str:
    """Which images decide, which certify and which report."""
    splits = taken_from(answer.images)
    report = f", reported on {splits['test']}" if "test" in splits else ""
    return f"Chosen on {splits['tune']}, certified on {splits['certify']}{report}."


def headline(answer: Answer) -> str:
    """The answer in one sentence."""
    if answer.best is None:
        assert answer.nearest_miss is not None
        miss = answer.nearest_miss
        return f"Nobody keeps these limits; the nearest miss is {name(miss.point)}: {reason(miss)}."
    best = answer.best
    at = f" at thresholds {thresholds(best.thresholds)}" if best.thresholds else ""
    spent = numbers.energy(best.tune.energy_pj)
    lasts = "" if best.tune.days is None else f", and the battery lasts {days(best.tune.days)}"
    return (
        f"{name(best)}{at}: {spent} per image ({answer.scope}), the least of all that keep the "
        f"limits{lasts}."
    )


def certificate(proof: Proof, best: Point, limits: Limits) -> str:
    """The promise in words; a bound is rounded up, so that what is read holds too."""
    sure = _percent(proof.confidence)
    network, variant = proof.reference
    against = f"asking {variant} of {network} for every image"
    if (best.network, best.variant) == proof.reference:
        return f"It loses nothing: {against} is what the loss is counted against."
    bound = proof.bound_points if limits.certified else rounded_up(proof.bound_points / 100)
    images = f"({numbers.count(proof.samples)} images)"
    if bound < 0:
        claim = f"it is at least {numbers.fixed(-bound, 1)} points better than {against}"
    else:
        points = "point" if bound == 1 else "points"
        claim = f"it loses at most {_short(bound)} {points} against {against}"
    shared = (
        ""
        if proof.comparisons == 1
        else f" {proof.comparisons} candidates were tested and share what may go wrong."
    )
    return f"With {sure} confidence, {claim}, on images like these {images}.{shared}"


def reason(ranked: RankedCandidate) -> str:
    """Why a ranked was left out: each limit that it breaks, and by how much."""
    return "; ".join(_broken(violation) for violation in ranked.violations) or "it keeps all limits"


def place(ranked: RankedCandidate, answer: Answer) -> str:
    """Where a candidate stands beside the choice."""
    point = ranked.point
    if answer.best is not None and point == answer.best:
        return "the choice"
    if not ranked.kept:
        return f"left out: {reason(ranked)}"
    assert answer.best is not None  # somebody keeps the limits
    more = point.tune.energy_pj - answer.best.tune.energy_pj
    if more == 0:
        return "keeps every limit at the same energy, and is no more accurate"
    return f"keeps every limit, and needs {numbers.energy(more)} more"


def on_test(answer: Answer) -> str:
    """What the images say that decided nothing, and which limit they see broken."""
    point = answer.best
    assert point is not None
    limits = answer.limits
    if point.test is None:
        return (
            "All these images served to choose or to certify; none is left to report on."
            if answer.images
            else "There is no trace of test here to report it on."
        )
    seen = point.test
    said = (
        f"On {numbers.count(seen.samples)} images of test, which decided nothing: "
        f"{numbers.percent(seen.accuracy, 2)} right, {figure('loss_points', seen.loss_points)} "
        f"lost, {numbers.energy(seen.energy_pj)} per image"
    )
    broken = [
        f"{FIGURES[key].lower()} {figure(key, seen.by_limit[key])} (limit {figure(key, allowed)})"
        for key, allowed in limits.on_figures.items()
        if (seen.by_limit[key] < allowed if key == "days" else seen.by_limit[key] > allowed)
    ]
    return (
        f"{said}; there it goes beyond a limit: {' and '.join(broken)}."
        if broken
        else (f"{said}; every limit holds there too.")
    )


def counted(answer: Answer) -> str:
    """What was searched, and how exactly."""
    exact = (
        "every outcome of every threshold"
        if answer.exact
        else "every outcome of a common threshold, a grid of the others, refined one at a time"
    )
    several = len(answer.ranking)
    return (
        f"{numbers.count(answer.settings)} settings of {several} candidates ({exact}), chosen "
        f"on {taken_from(answer.images)['tune']}; of those that keep the limits the one of least "
        "energy, of equals the more accurate."
    )


def apart(answer: Answer) -> str:
    """The warning that networks of several data sets cannot replace each other; else empty."""
    if len(answer.references) < 2:
        return ""
    *others, last = answer.references
    return (
        f"{', '.join(others)} and {last} are different questions, and the least energy goes to the "
        "easiest of them: choose among networks of one data set. Each loss is counted against the "
        "best twin of its own."
    )


def notes(answer: Answer) -> tuple[str, ...]:
    """What a reader must know besides."""
    said = answer.absent
    if answer.limits.images_per_day is not None:
        said = (_BATTERY, *said)
    if not answer.labelled:
        said = (_UNLABELLED, *said)
    return said


def rows(points: Mapping[str, Point]) -> list[dict[str, str]]:
    """One row per point for a table: what it is, and its figures on tune."""
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
    """A point in one line: what it is, what it costs, what it loses on tune."""
    at = f" at {thresholds(point.thresholds)}" if point.thresholds else ""
    lost = figure("loss_points", point.tune.loss_points)
    return (
        f"{name(point)}{at}: {numbers.energy(point.tune.energy_pj)} per image, {lost} lost on tune"
    )


def verdict(one: ProfileCheck) -> str:
    """What another energy model says of a choice."""
    if one.best is None:
        return "nobody keeps the limits"
    if one.check_profiles:
        return f"the same choice, {numbers.energy(one.own.tune.energy_pj)} per image"
    instead = f"{name(one.best)} is chosen, {numbers.energy(one.best.tune.energy_pj)} per image"
    first = f"the first choice needs {numbers.energy(one.own.tune.energy_pj)}"
    broken = "; ".join(_broken(violation) for violation in one.violations)
    return f"{instead}; {first}" + (f" and breaks a limit: {broken}" if broken else "")


def survival(found: Sequence[ProfileCheck], first: Point) -> str:
    """One sentence: under how many energy models the choice stays the choice."""
    kept = sum(one.check_profiles for one in found)
    if kept == len(found):
        return f"Under all {kept} energy models the choice is {name(first)}."
    others = ", ".join(one.profile for one in found if not one.check_profiles)
    return (
        f"Under {kept} of {len(found)} energy models the choice is {name(first)}; not under "
        f"{others}."
    )


def _broken(violation: Violation) -> str:
    words, allowed = FIGURES[violation.limit].lower(), figure(violation.limit, violation.allowed)
    if violation.limit == "days":
        return f"{words} {days(violation.value)}, {days(violation.excess)} short of {allowed}"
    if math.isinf(violation.value):
        return f"{words} is not certified, because there is no trace of certify"
    more = f"{figure(violation.limit, violation.excess)} over the limit of {allowed}"
    if violation.certified:
        said = f"{words} is certified to at most {figure(violation.limit, violation.value)}, {more}"
        return said + _too_few(violation)
    return f"{words} {figure(violation.limit, violation.value)}, {more}"


def _too_few(violation: Violation) -> str:
    """What no point could have been promised from so few images."""
    if violation.fewest is None:
        return " (so small a loss cannot be certified from any number of images)"
    if violation.samples >= violation.fewest:
        return ""
    return (
        f" (of {numbers.count(violation.samples)} images nothing better can come: it takes "
        f"{numbers.count(violation.fewest)}, if none of them loses anything)"
    )


def _percent(fraction: float) -> str:
    return f"{_short(100 * fraction)} %"


def _short(value: float) -> str:
    return f"{round(value, 6):g}"
