"""A choice in words: names, reasons and certificates, for page, report and command line."""

from collections.abc import Mapping, Sequence

from hybrid.certificates import rounded_up
from hybrid.choosing import (
    Answer,
    Figures,
    Limits,
    Point,
    ProfileCheck,
    Proof,
    RankedCandidate,
    at_least,
    taken_from,
)
from hybrid.text import numbers
from hybrid.text.candidate import (
    FIGURES,
    days,
    figure,
    lower,
    name,
    percent,
    reason,
    shortest,
    takes,
    thresholds,
    violated,
)

__all__ = [
    "apart",
    "asked",
    "certificate",
    "column",
    "counted",
    "headline",
    "notes",
    "on_images",
    "on_test",
    "on_tune",
    "place",
    "rows",
    "survival",
    "verdict",
]

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


def asked(limits: Limits) -> str:
    """The limits as one line."""
    parts = [
        f"{lower(FIGURES[key])} {'≥' if at_least(key) else '≤'} {figure(key, value)}"
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
        claim = f"it loses at most {shortest(bound)} {points} of accuracy"
    shared = (
        ""
        if proof.comparisons == 1
        else f" The {percent(1 - proof.confidence)} risk of error is divided among "
        f"{proof.comparisons} paths of points that were fixed on the tuning images."
    )
    alone = ""
    if proof.without_cloud_points is not None:
        down = numbers.fixed(rounded_up(proof.without_cloud_points / 100), 1)
        alone = (
            f" With as much confidence, it loses at most {down} points while the cloud is down and "
            "the most confident exit answers instead."
        )
    return (
        f"With {confidence} confidence, {claim} compared with {against}, on images like these "
        f"{images}.{shared}{alone}"
    )


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
        f"{lower(FIGURES[key])} {figure(key, seen.by_limit[key])} (limit {figure(key, allowed)})"
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


def verdict(one: ProfileCheck) -> str:
    """A choice under another energy model."""
    if one.best is None:
        return "no candidate meets the limits"
    if one.agrees:
        return f"the same choice, {numbers.energy(one.own.tune.energy_pj)} per image"
    instead = f"{name(one.best)} is chosen, {numbers.energy(one.best.tune.energy_pj)} per image"
    first = f"the first choice needs {numbers.energy(one.own.tune.energy_pj)}"
    over = "; ".join(map(violated, one.violations))
    return f"{instead}; {first}" + (f" and violates a limit: {over}" if over else "")


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


def _main_figures(seen: Figures) -> str:
    return (
        f"{numbers.percent(seen.accuracy, 2)} correct, {figure('loss_points', seen.loss_points)} "
        f"lost, {numbers.energy(seen.energy_pj)} per image"
    )
