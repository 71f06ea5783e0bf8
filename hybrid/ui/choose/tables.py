"""The parts of an answer that the page Choose shows: boxes, links and rows; no widgets."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hybrid.choosing import Answer, Limits, LossCurve, ParetoSet, Point, ProfileCheck, taken_from
from hybrid.text import candidate, choice, decision, glossary, intervals, numbers
from hybrid.ui.charts import Box
from hybrid.ui.choose import figures
from hybrid.ui.choose.certified import CertifiedPoint
from hybrid.ui.view import DEPLOYED, TRAINED, View

__all__ = [
    "MarkedPoint",
    "about_boxes",
    "boxes",
    "certified",
    "costs",
    "in_explore",
    "left_out",
    "marked",
    "ranking",
    "ruled_out",
    "under_models",
]


_NEAREST = 8  # misses shown


_EARLY = {"hybrid", "edge"}  # modes that Explore has sliders for
# The figures in boxes; others are there if they have a limit.
_BOXES = (
    "accuracy_percent", "loss_points", "energy_uj", "latency_ms", "uplink_bytes", "edge_memory_kib",
    "days",
)  # fmt: skip
_LABELS = {
    "loss_points": "Points lost",
    "p95_latency_ms": "95 % latency",
    "class_accuracy_percent": "Weakest class",
    "uplink_bytes": "Uplink",
}


@dataclass(frozen=True, kw_only=True)
class MarkedPoint:
    """A network at some thresholds; early_exits is False if it is static or all in the cloud.

    deployed: whether it is a deployment form.
    """

    network: str
    mode: str
    bits: int
    thresholds: tuple[float, ...]
    deployed: bool = False

    @property
    def early_exits(self) -> bool:
        """Whether Explore has sliders for it."""
        return self.mode in _EARLY

    @property
    def words(self) -> str:
        """Network, deployment mode, bits and thresholds."""
        at = candidate.thresholds(self.thresholds) or "no threshold"
        return f"{self.network}, {self.mode} {self.bits} bit at {at}"


def boxes(best: Point, limits: Limits) -> list[Box]:
    """A point's figures on test, where nothing was chosen; those on tune are the small ones.

    Without a trace of test, there are only those on tune.
    """
    shown, tune = best.shown.by_limit, best.tune.by_limit
    keys = [key for key in _BOXES if key in shown]
    keys += [key for key in limits.on_figures if key not in keys]
    return [
        Box(
            _LABELS.get(key, candidate.FIGURES[key]),
            _boxed(key, shown[key]),
            f"{best.tune.split} {_boxed(key, tune[key])}" if best.test else best.tune.split,
            glossary.explain(candidate.FIGURES[key]),
        )
        for key in keys
    ]


def about_boxes(best: Point, scope: str) -> str:
    """Which images the figures in boxes are of, and which energy is counted."""
    tune = numbers.count(best.tune.samples)
    if best.test is None:
        return (
            f"On the {tune} images of {best.tune.split}, by which the point was chosen. "
            f"Energy: {scope}."
        )
    test = best.test.samples
    between = intervals.between(round(best.test.accuracy * test), test)
    return (
        f"Large: on the {numbers.count(test)} test images, which decided nothing. "
        f"Small: on the {tune} tuning images, by which the point was chosen. Energy: {scope}."
        + (
            f" On more such images, the accuracy may be {between} (95 % confidence)."
            if between
            else ""
        )
    )


def _boxed(key: str, value: float) -> str:
    """A figure that fits a box; points are in its label."""
    return numbers.fixed(value, 2) if key == "loss_points" else candidate.figure(key, value)


def in_explore(one: MarkedPoint, view: View) -> dict[str, Any]:
    """The fields of Explore's view that show a candidate.

    Args:
        view: with the split to show it on.
    """
    return {
        "network": one.network,
        "bits": one.bits,
        "thresholds": one.thresholds,
        "sliders": "each",
        "split": view.split,
        "form": DEPLOYED if one.deployed else TRAINED,
    }


def certified(answer: Answer) -> CertifiedPoint | None:
    """The best point with its certificate; None if it has none or Explore cannot show it."""
    best = answer.best
    if best is None or answer.proof is None or best.mode not in _EARLY:
        return None
    return CertifiedPoint(
        network=best.network,
        bits=best.bits,
        thresholds=best.thresholds,
        measure=best.measure,
        form=DEPLOYED if answer.deployed else TRAINED,
        splits=tuple(taken_from(answer.images).values()),
        sentence=choice.certificate(answer.proof, best, answer.limits),
        certificate=asdict(answer.proof),
    )


def left_out(answer: Answer) -> list[dict[str, str]]:
    """The choice, and below it the candidates that were left out, the nearest miss first."""
    return [
        _row(one.point, candidate.reason(one) if one.violations else "the choice", answer.scope)
        for one in decision.near_misses(answer, _NEAREST)
    ]


def _row(point: Point, why: str, scope: str) -> dict[str, str]:
    return {
        "Candidate": candidate.name(point),
        f"Energy on tune ({scope})": numbers.energy(point.tune.energy_pj),
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
            "Candidate": candidate.name(one.point),
            "Thresholds": candidate.thresholds(one.point.thresholds) or "none",
            "Place": choice.place(one, answer),
        }
        for one in answer.ranking
    ]


def costs(curve: LossCurve) -> list[dict[str, str]]:
    """The least energy at each loss allowed, with and without the certificate."""
    return [
        {
            "Accuracy that may be lost": f"{numbers.fixed(allowed, 2)} points",
            figures.CURVES[0]: _energy(certified),
            figures.CURVES[1]: _energy(uncertified),
        }
        for allowed, certified, uncertified in zip(
            curve.allowed_points,
            curve.certified_energy_pj,
            curve.uncertified_energy_pj,
            strict=True,
        )
    ]


def _energy(energy_pj: float) -> str:
    return numbers.energy(energy_pj) if math.isfinite(energy_pj) else "no point"


def under_models(checks: Sequence[ProfileCheck]) -> list[dict[str, str]]:
    """The choice under each energy model."""
    return [{"Energy model": one.profile, "Choice": choice.verdict(one)} for one in checks]


def marked(
    points: Sequence[Any], sets: Sequence[ParetoSet], *, deployed: bool = False
) -> MarkedPoint | None:
    """The candidate that was clicked in the figure; None for anything unexpected.

    Args:
        deployed: the candidates are deployment forms.
    """
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
        deployed=deployed,
    )
