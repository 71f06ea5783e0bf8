"""Published figures of early-exit networks, and what the networks in pretrained/ reach.

Each row of the table is a bar to reach: a budget (edge exits, energy) and the accuracy required
within it. Thresholds and variant are chosen on `tune`; the figures are those of `test`. Needs no
torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import policy, zoo
from hybrid.evaluation import Prices, costs, evaluate_variant, twin_accuracy, twin_energy_pj

__all__ = ["BARS", "Bar", "PublishedRow", "rows"]

Floats = NDArray[np.float64]

# Points are chosen on 2,500 images and reported on 10,000 others, so this share of a budget is kept
# in reserve.
SPARE = 0.01
PAPER = "Long, Chakraborty, Roy, arXiv 2005.10851, abstract"
LEAPLAB = "LeapLabTHU/L2W-DEN, plot, energy from its MACs in purdue-45nm"
APOT = "APoT, ResNet-20 at 3 bits, energy from its MACs in purdue-45nm"
MODELS = "chenyaofo/pytorch-cifar-models, ResNet-20 to 56"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A budget, the accuracy required within it, and the published result.

    Args:
        title: names the bar.
        dataset: of the networks that it is for.
        paper: True for the paper's ResNet-32, False for the project's own networks.
        bits: the most bits of the edge; 32 for the twin alone.
        edge_fraction: the least that stays at the edge, 0 for any.
        energy_reduction: at least, relative to the network's own twin; 0 for any.
        energy_uj: mean energy per image at most; infinite for any.
        accuracy: the least, as a fraction; relative to the twin's where `to_twin`.
        published, source: the published result and where it is from.
    """

    title: str
    dataset: str
    paper: bool
    bits: int = 8
    edge_fraction: float = 0.0
    energy_reduction: float = 0.0
    energy_uj: float = float("inf")
    accuracy: float
    to_twin: bool = False
    published: str
    source: str

    def takes(self, card: zoo.Card) -> bool:
        """Whether a network is one that the bar is for."""
        return card.dataset == self.dataset and (card.architecture == "resnet32") == self.paper

    def admits(self, variant: zoo.Variant) -> bool:
        """Whether a variant of such a network may answer the bar."""
        if self.bits == 32:
            return variant.name == zoo.TWIN
        return not variant.is_static and variant.bits <= self.bits


BARS = (
    Bar(
        title="CIFAR-10, ResNet-32, full precision",
        dataset="cifar10", paper=True, bits=32, accuracy=0.926,
        published="92.5–93.5 %", source=MODELS,
    ),
    Bar(
        title="CIFAR-10, ResNet-32, edge of 2 bits or fewer",
        dataset="cifar10", paper=True, bits=2, edge_fraction=0.65, energy_reduction=5.5,
        accuracy=-0.010, to_twin=True,
        published="65 % at the edge, 5.5x", source=PAPER,
    ),
    Bar(
        title="CIFAR-10, ResNet-32, 1-bit edge",
        dataset="cifar10", paper=True, bits=1, edge_fraction=0.65, energy_reduction=5.5,
        accuracy=0.88,
        published="65 % at the edge, 5.5x", source=PAPER,
    ),
    Bar(
        title="CIFAR-100, ResNet-32, full precision",
        dataset="cifar100", paper=True, bits=32, accuracy=0.695,
        published="70.2 %", source=MODELS,
    ),
    Bar(
        title="CIFAR-100, ResNet-32, 4-bit edge",
        dataset="cifar100", paper=True, bits=4, edge_fraction=0.52, energy_reduction=4.8,
        accuracy=-0.010, to_twin=True,
        published="52 % at the edge, 4.8x", source=PAPER,
    ),
    Bar(
        title="CIFAR-10, own network, 40 µJ",
        dataset="cifar10", paper=False, energy_uj=40.0, accuracy=0.940,
        published="94.0 % at 58 µJ", source=LEAPLAB,
    ),
    Bar(
        title="CIFAR-10, own network, 16 µJ",
        dataset="cifar10", paper=False, energy_uj=16.0, accuracy=0.925,
        published="92.5 % at 16–18 µJ", source=APOT,
    ),
    Bar(
        title="CIFAR-100, own network, 70 µJ",
        dataset="cifar100", paper=False, energy_uj=70.0, accuracy=0.743,
        published="74.3 % at 102 µJ", source=LEAPLAB,
    ),
    Bar(
        title="CIFAR-100, own network, 30 µJ",
        dataset="cifar100", paper=False, energy_uj=30.0, accuracy=0.700,
        published="70 % at 45 µJ", source=LEAPLAB,
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A bar and the operating point for it; no point if there is no such network.

    Attributes:
        wanted: the accuracy required, as an absolute value.
        missed: the shortfalls in words; empty if the bar is met.
    """

    bar: Bar
    network: str = ""
    variant: str = ""
    point: policy.OperatingPoint | None = None
    wanted: float = float("nan")
    missed: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether budget and accuracy are met on test."""
        return self.point is not None and not self.missed

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = self.point.as_row() if self.point else {}
        return {
            "bar": self.bar.title,
            "published": self.bar.published,
            "source": self.bar.source,
            "met": self.met,
            "missed": list(self.missed) if self.point else ["no network of this kind is trained"],
            "network": self.network,
            "variant": self.variant,
            **figures,
        }


def rows(bars: Sequence[Bar] = BARS) -> list[PublishedRow]:
    """The best result in pretrained/ for each bar, in `compute` and `purdue-45nm`."""
    choices: dict[Bar, list[_Choice]] = {bar: [] for bar in bars}
    for card in zoo.cards()[0]:
        for variant in card.variants.values():
            entered = [bar for bar in bars if bar.takes(card) and bar.admits(variant)]
            for bar, choice in zip(entered, _best_on_tune(entered, card, variant), strict=True):
                choices[bar].append(choice)
    return [_row(bar, choices[bar]) for bar in bars]


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A variant with thresholds, and its result on tune."""

    card: zoo.Card
    variant: zoo.Variant
    thresholds: tuple[float, ...]
    excess: float  # by which the budget is exceeded, 0 if it is met
    accuracy: float


def _row(bar: Bar, choices: Sequence[_Choice]) -> PublishedRow:
    if not choices:
        return PublishedRow(bar=bar)
    best = min(choices, key=lambda one: (one.excess, -one.accuracy))
    point = evaluate_variant(best.card, best.variant, best.thresholds, split="test")
    twin = twin_accuracy(best.card.network, "test") if bar.to_twin else None
    wanted = bar.accuracy + (twin or 0.0)
    return PublishedRow(
        bar=bar,
        network=best.card.network,
        variant=best.variant.name,
        point=point,
        wanted=wanted,
        missed=tuple(_missed(bar, point, wanted)),
    )


def _best_on_tune(bars: Sequence[Bar], card: zoo.Card, variant: zoo.Variant) -> Iterator[_Choice]:
    """For each bar, the most accurate of the thresholds that exceed the budget least."""
    if not bars:
        return
    prices = Prices()
    points = policy.all_points(zoo.trace(card.network, variant.name, "tune"))
    energy_pj = points.mean(costs(variant, prices).energy_pj)
    twin_pj = twin_energy_pj(card, variant, prices)
    for bar in bars:
        excess = _excess(bar, points.edge_fraction, energy_pj, twin_pj)
        least = excess.min()
        best = np.where(excess == least, points.accuracy, -1).argmax()
        yield _Choice(
            card=card,
            variant=variant,
            thresholds=tuple(points.thresholds[best].tolist()),
            excess=float(least),
            accuracy=float(points.accuracy[best]),
        )


def _excess(bar: Bar, edge_fraction: Floats, energy_pj: Floats, twin_pj: float) -> Floats:
    """By how much each point exceeds the budget less its spare; 0 if it does not."""
    spare = 0.0 if bar.bits == 32 else SPARE
    fraction = bar.edge_fraction + spare * (bar.edge_fraction > 0)
    most_pj = bar.energy_uj * 1e6
    if bar.energy_reduction:
        most_pj = min(most_pj, twin_pj / bar.energy_reduction)
    short = np.maximum(fraction - edge_fraction, 0)
    over = np.maximum(energy_pj / (most_pj * (1 - spare)) - 1, 0)
    return np.asarray(short + over)


def _missed(bar: Bar, point: policy.OperatingPoint, wanted: float) -> Iterator[str]:
    edge = point.outcome.edge_fraction
    if edge < bar.edge_fraction:
        yield f"edge exits by {100 * (bar.edge_fraction - edge):.1f} points"
    if point.energy_reduction < bar.energy_reduction:
        yield f"energy reduction by {bar.energy_reduction - point.energy_reduction:.2f}x"
    if point.energy_pj > bar.energy_uj * 1e6:
        yield f"energy by {point.energy_pj / 1e6 - bar.energy_uj:.2f} µJ"
    if point.outcome.accuracy < wanted:
        yield f"accuracy by {100 * (wanted - point.outcome.accuracy):.2f} points"
