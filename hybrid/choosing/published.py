"""The published figures of early exit, and what the networks of pretrained/ reach beside them.

A row of the table is a bar: a budget (edge exits, energy) and the accuracy that goes with it.
Thresholds and variant are chosen on `tune`, the figures are those of `test`. No torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid import policy, zoo
from hybrid.evaluation import TWIN, Prices, costs, evaluate, twin_accuracy, twin_energy_pj

__all__ = ["BARS", "COLUMNS", "NOTE", "Bar", "PublishedRow", "rows", "table"]

# Chosen on 2,500 images, read off 10,000 others: a budget is kept with this much to spare.
SPARE = 0.01
PAPER = "Long, Chakraborty, Roy, arXiv 2005.10851, abstract"
LEAPLAB = "LeapLabTHU/L2W-DEN, plot, energy from its MACs in purdue-45nm"
APOT = "APoT, ResNet-20 at 3 bits, energy from its MACs in purdue-45nm"
MODELS = "chenyaofo/pytorch-cifar-models, ResNet-20 to 56"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A budget, the accuracy wanted within it, and who published what.

    Args:
        title: names the bar.
        dataset: of the networks that it is for.
        paper: True for the paper's ResNet-32, False for the project's own networks.
        bits: the most bits of the edge; 32 for the twin alone.
        edge_fraction: the least that stays at the edge, 0 for any.
        energy_reduction: against the network's own twin, at least; 0 for any.
        energy_uj: mean energy an image at most; infinite for any.
        accuracy: the least, as a fraction; relative to the twin's where `to_twin`.
        published, source: what it is measured against.
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
            return variant.name == TWIN
        return variant.kind == "hybrid" and variant.bits <= self.bits


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
    """A bar and the operating point that answers it; no point where no network is there for it.

    Attributes:
        wanted: the accuracy that the bar asks for, relative ones turned absolute.
        missed: what falls short, in words; empty where the bar is met.
    """

    bar: Bar
    network: str = ""
    variant: str = ""
    point: policy.OperatingPoint | None = None
    wanted: float = float("nan")
    missed: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether the test split keeps budget and accuracy."""
        return self.point is not None and not self.missed

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = self.point.to_dict() if self.point else {}
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
    """What the networks of pretrained/ reach at each bar, in `compute` and `purdue-45nm`."""
    choices: dict[Bar, list[_Choice]] = {bar: [] for bar in bars}
    for card in (zoo.card(name) for name in zoo.networks()):
        for variant in card.variants.values():
            entered = [bar for bar in bars if bar.takes(card) and bar.admits(variant)]
            for bar, choice in zip(entered, _best_on_tune(entered, card, variant), strict=True):
                choices[bar].append(choice)
    return [_row(bar, choices[bar]) for bar in bars]


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """A variant with thresholds, and how it does on tune."""

    card: zoo.Card
    variant: zoo.Variant
    thresholds: tuple[float, ...]
    excess: float  # by which the budget is missed, 0 where it is kept
    accuracy: float


def _row(bar: Bar, choices: Sequence[_Choice]) -> PublishedRow:
    if not choices:
        return PublishedRow(bar=bar)
    best = min(choices, key=lambda one: (one.excess, -one.accuracy))
    static = best.variant.kind == "static"
    network = best.card.network
    point = evaluate(network, best.variant.bits, best.thresholds, static=static, split="test")
    wanted = bar.accuracy + ((twin_accuracy(network, "test") or 0.0) if bar.to_twin else 0.0)
    return PublishedRow(
        bar=bar,
        network=network,
        variant=best.variant.name,
        point=point,
        wanted=wanted,
        missed=tuple(_missed(bar, point, wanted)),
    )


def _best_on_tune(bars: Sequence[Bar], card: zoo.Card, variant: zoo.Variant) -> Iterator[_Choice]:
    """For each bar the thresholds of least excess over the budget, the most accurate of those."""
    if not bars:
        return
    prices = Prices()
    points = policy.all_points(
        zoo.trace(card.network, variant.name, "tune"), costs(variant, prices)
    )
    twin_pj = twin_energy_pj(card, variant, prices)
    for bar in bars:
        excess = _excess(bar, points, twin_pj)
        least = excess.min()
        best = np.where(excess == least, points.accuracy, -1).argmax()
        yield _Choice(
            card=card,
            variant=variant,
            thresholds=tuple(points.thresholds[best].tolist()),
            excess=float(least),
            accuracy=float(points.accuracy[best]),
        )


def _excess(bar: Bar, points: policy.AllPoints, twin_pj: float) -> NDArray[np.float64]:
    """By how much each point misses the budget and its spare, 0 where it keeps them."""
    spare = 0.0 if bar.bits == 32 else SPARE
    fraction = bar.edge_fraction + spare * (bar.edge_fraction > 0)
    most_pj = bar.energy_uj * 1e6
    if bar.energy_reduction:
        most_pj = min(most_pj, twin_pj / bar.energy_reduction)
    short = np.maximum(fraction - points.edge_fraction, 0)
    over = np.maximum(points.energy_pj / (most_pj * (1 - spare)) - 1, 0)
    excess: NDArray[np.float64] = short + over
    return excess


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


NOTE = (
    "Thresholds and variant chosen on tune with 1 % of the budget to spare, figures of test; "
    "compute, purdue-45nm."
)
COLUMNS = (
    "bar", "published", "network", "at the edge", "energy", "reduction", "accuracy", "wanted",
    "verdict",
)  # fmt: skip


def table(made: Sequence[PublishedRow]) -> list[tuple[str, ...]]:
    """The rows in words, one tuple of `COLUMNS` each."""
    return [_words(row) for row in made]


def _words(row: PublishedRow) -> tuple[str, ...]:
    if row.point is None:
        return (row.bar.title, row.bar.published, *[""] * 6, "no network of this kind is trained")
    point, edge = row.point, row.point.outcome.edge_fraction
    return (
        row.bar.title,
        row.bar.published,
        f"{row.network} {row.variant}",
        f"{100 * edge:.1f} %" if len(point.outcome.exit_counts) > 1 else "all of it",
        f"{point.energy_pj / 1e6:.1f} µJ",
        f"{point.energy_reduction:.2f}x",
        f"{100 * point.outcome.accuracy:.2f} %",
        f"{100 * row.wanted:.2f} %",
        "met" if row.met else "misses " + ", ".join(row.missed),
    )
