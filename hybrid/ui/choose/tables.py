"""The parts of an answer that the page Choose shows: boxes, links and rows; no widgets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from hybrid.choosing import Answer, Figures, ParetoSet, Point, ProfileCheck
from hybrid.text import choice, numbers
from hybrid.ui.charts import Box
from hybrid.ui.view import STEPS, View, on_grid

__all__ = [
    "MarkedPoint",
    "boxes",
    "explore_link",
    "left_out",
    "marked",
    "ranking",
    "rounded",
    "ruled_out",
    "under_models",
]


_NEAREST = 6  # misses shown, whatever their mode


@dataclass(frozen=True, kw_only=True)
class MarkedPoint:
    """A network at some thresholds; early_exits is False if it is static or all in the cloud."""

    network: str
    mode: str
    bits: int
    thresholds: tuple[float, ...]

    @property
    def early_exits(self) -> bool:
        """Whether Explore has sliders for it."""
        return self.mode in {"hybrid", "edge"}

    @property
    def words(self) -> str:
        """Network, deployment mode, bits and thresholds."""
        at = choice.thresholds(self.thresholds) or "no threshold"
        return f"{self.network}, {self.mode} {self.bits} bit at {at}"


def boxes(best: Point) -> list[Box]:
    """A point's figures on test, where nothing was chosen; those on tune are the small ones.

    Without a trace of test, there are only those on tune.
    """
    shown = best.shown
    return [
        Box(label, value, f"{best.tune.split} {on_tune}" if best.test else shown.split)
        for (label, value), (_, on_tune) in zip(_figures(shown), _figures(best.tune), strict=True)
    ]


def _figures(of: Figures) -> list[tuple[str, str]]:
    """The label of each box and its figure."""
    return [
        ("Accuracy", numbers.percent(of.accuracy, 2)),
        *(_labelled(key, value) for key, value in of.by_limit.items()),
    ]


def _labelled(key: str, value: float) -> tuple[str, str]:
    """A figure that fits a box; points are in the label."""
    if key == "loss_points":
        return "Points lost", numbers.fixed(value, 2)
    return choice.FIGURES[key], choice.figure(key, value)


def explore_link(view: View, one: MarkedPoint) -> str:
    """The address of Explore with its sliders at a candidate's thresholds."""
    there = replace(
        view,
        network=one.network,
        bits=one.bits,
        thresholds=tuple(on_grid(threshold) for threshold in one.thresholds),
        sliders="each",
    )
    return f"./?{urlencode(there.write())}"  # relative: the server may be below a path


def rounded(thresholds: Sequence[float]) -> str:
    """A sentence with Explore's thresholds if its sliders cannot match the point's; else empty."""
    nearest = [on_grid(threshold) for threshold in thresholds]
    if nearest == list(thresholds):
        return ""
    return (
        f"Explore's sliders move in steps of {1 / STEPS:g}: there it is shown at "
        f"{choice.thresholds(nearest)}."
    )


def left_out(answer: Answer) -> list[dict[str, str]]:
    """The choice, and below it what was left out: the nearest misses, and that of each mode."""
    missed = [one for one in answer.ranking if not one.kept]
    shown = [one for place, one in enumerate(missed) if place < _NEAREST or one in answer.left_out]
    chosen = [] if answer.best is None else [_row(answer.best, "the choice")]
    return chosen + [_row(one.point, choice.reason(one)) for one in shown]


def _row(point: Point, why: str) -> dict[str, str]:
    return {
        "Candidate": choice.name(point),
        "Energy per image": numbers.energy(point.tune.energy_pj),
        "Why": why,
    }


def ruled_out(answer: Answer, sets: Sequence[ParetoSet]) -> str:
    """How many points meet every limit on tune and need less energy; they were not certified.

    Empty if there are none.
    """
    best = answer.best
    if best is None or not answer.limits.certified:
        return ""
    left = sum(
        int(((one.over == 0) & (one.figures["energy_uj"] * 1e6 < best.tune.energy_pj)).sum())
        for one in sets
    )
    if not left:
        return ""
    return f"; certification came after and ruled out the {left} to the left of the choice"


def ranking(answer: Answer) -> list[dict[str, str]]:
    """The best point of every candidate and its place."""
    return [
        {
            "Candidate": choice.name(one.point),
            "Thresholds": choice.thresholds(one.point.thresholds) or "none",
            "Place": choice.place(one, answer),
        }
        for one in answer.ranking
    ]


def under_models(checks: Sequence[ProfileCheck]) -> list[dict[str, str]]:
    """The choice under each energy model."""
    return [{"Energy model": one.profile, "Choice": choice.verdict(one)} for one in checks]


def marked(points: Sequence[Any], sets: Sequence[ParetoSet]) -> MarkedPoint | None:
    """The candidate that was clicked in the figure; None for anything unexpected."""
    if not points or "customdata" not in points[0]:
        return None
    number, row = (int(value) for value in list(points[0]["customdata"])[:2])
    if number >= len(sets) or row >= len(sets[number].over):
        return None
    one = sets[number]
    return MarkedPoint(
        network=one.network,
        mode=one.mode,
        bits=one.bits,
        thresholds=tuple(one.thresholds[row].tolist()),
    )
