"""The operating point in words: the headline figures and the verdict on the static networks.

`follower.js` says the same while a slider is dragged; a browser test compares every sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hybrid.energy import ExitCosts
from hybrid.policy import OperatingPoint
from hybrid.text import numbers

__all__ = ["Headline", "against", "headlines", "honest", "unlabelled_note", "verdict"]

UNLABELLED = (
    "These images have no labels, so no accuracy is known. Shown instead is how many are answered "
    "as the cloud would; leaving early costs no more accuracy than the share of the others."
)


class Baseline(Protocol):
    """A static network as the verdict reads it."""

    @property
    def bits(self) -> int: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def energy_pj(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One headline figure: what it is, its value with its unit, what stands below it, and help."""

    key: str
    label: str
    value: str
    note: str
    help: str


def against(scope: str) -> str:
    """What the energy is compared with in this scope."""
    return "raw image" if scope == "device" else "twin"


def headlines(
    point: OperatingPoint,
    costs: ExitCosts,
    *,
    scope: str,
    image_bytes: int,
    labelled: bool = True,
) -> tuple[Headline, ...]:
    """The headline figures of an operating point, means per image.

    Args:
        labelled: where not, the point was counted against the final exit's answers.
    """
    counted = point.outcome
    at_edge = sum(counted.exit_counts[:-1])
    difference = point.accuracy_difference
    whole = "sending the raw image" if scope == "device" else "asking the full-precision twin"
    return (
        Headline(
            key="edge",
            label="At the edge",
            value=numbers.percent(counted.edge_fraction),
            note=f"{numbers.count(at_edge)} of {numbers.count(counted.samples)}",
            help="Images that an early exit answers; the others go on to the cloud.",
        ),
        Headline(
            key="accuracy",
            label="Accuracy",
            value=numbers.percent(counted.accuracy, 2) if labelled else "unknown",
            note=unlabelled_note(counted.accuracy)
            if not labelled
            else "no twin"
            if difference is None
            else f"{numbers.points(difference)} to twin",
            help="Right answers, each at the exit that its image takes; below, the difference from "
            "the full-precision twin in percentage points.",
        ),
        Headline(
            key="energy",
            label="Energy per image",
            value=numbers.energy(point.energy_pj),
            note=f"{against(scope)} {numbers.energy(point.twin_energy_pj)}",
            help="Mean over all images, in the scope and by the energy model on the left; below, "
            f"that of {whole}.",
        ),
        Headline(
            key="reduction",
            label="Energy reduction",
            value=numbers.ratio(point.energy_reduction),
            note=scope,
            help=f"The energy of {whole}, divided by the energy per image here.",
        ),
        Headline(
            key="latency",
            label="Mean latency",
            value=numbers.latency(point.latency_ms),
            note=f"via cloud {numbers.latency(costs.latency_ms[-1])}",
            help="Mean time until an image has its answer: the edge segment and, for those that go "
            "on, the link and the cloud segment too.",
        ),
        Headline(
            key="uplink",
            label="Uplink per image",
            value=numbers.kilobytes(point.uplink_bytes),
            note=f"raw image {numbers.kilobytes(image_bytes)}",
            help="Bytes sent to the cloud, on average; images that leave at the edge send none.",
        ),
    )


def unlabelled_note(agreement: float) -> str:
    """What is known of the accuracy without labels.

    Args:
        agreement: share of the images that are answered as the final exit would.
    """
    return f"{numbers.percent(1 - agreement, 2)} differ"


def honest(point: OperatingPoint, *, labelled: bool) -> OperatingPoint:
    """The point to be written down: without labels, no accuracy is known."""
    return replace(point, outcome=replace(point.outcome, labelled=labelled))


def verdict(
    point: OperatingPoint, baselines: Sequence[Baseline], *, scope: str, labelled: bool = True
) -> str:
    """One sentence: which static network is both more accurate and cheaper, if one is."""
    if not labelled:
        return UNLABELLED
    if not baselines:
        return "No static network is recorded here to compare this point with."
    accuracy = point.outcome.accuracy
    better = [o for o in baselines if o.accuracy > accuracy and o.energy_pj < point.energy_pj]
    if not better and all(opponent.bits == 32 for opponent in baselines):
        return (
            "The full-precision twin does not beat this point on both accuracy and energy "
            f"({scope}); no static network of fewer bits is recorded here, and one might."
        )
    if not better:
        return f"No static network beats this point on both accuracy and energy ({scope})."
    best = max(better, key=lambda opponent: opponent.accuracy)
    return (
        f"The static {best.bits}-bit network beats this point on both axes: "
        f"{numbers.percent(best.accuracy, 2)} at {numbers.energy(best.energy_pj)} per image "
        f"({scope}), against {numbers.percent(accuracy, 2)} at {numbers.energy(point.energy_pj)}."
    )
