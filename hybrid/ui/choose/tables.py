"""The parts of an answer that the page Choose shows: boxes, links and rows; no widgets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from hybrid.choosing import Answer, ParetoSet, Point, ProfileCheck
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
    "under_models",
]


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
    """The figures that a point was chosen by, those of the test split below."""
    tune, test = best.tune, best.test
    accuracy = test and f"test {numbers.percent(test.accuracy, 2)}"
    return [
        Box("Accuracy", numbers.percent(tune.accuracy, 2), accuracy or None),
        *(
            Box(
                choice.FIGURES[key],
                _short(key, value),
                f"test {_short(key, test.by_limit[key])}" if test else None,
            )
            for key, value in tune.by_limit.items()
        ),
    ]


def _short(key: str, value: float) -> str:
    """A figure that fits a box."""
    return f"{numbers.fixed(value, 2)} pp" if key == "loss_points" else choice.figure(key, value)


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
    """The nearest miss of each mode, and why it was left out."""
    return [
        {"Left out": choice.name(one.point), "Why": choice.reason(one)} for one in answer.left_out
    ]


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
