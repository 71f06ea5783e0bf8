"""Kept points as rows of tables: the list of all, and two of them side by side. No widgets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hybrid.text import intervals, numbers
from hybrid.text.point import Headline, headlines, values
from hybrid.ui.explore.kept.evaluated import Evaluated
from hybrid.ui.explore.kept.points import KeptPoint
from hybrid.ui.view import DEFAULT_SPLIT, SAME_AS_DEVICE

__all__ = ["ComparedRow", "apart", "compared", "listed"]

NONE = "–"


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """One figure of two points, and the second minus the first."""

    label: str
    first: str
    second: str
    difference: str


def listed(kept: KeptPoint, found: Evaluated | None) -> dict[str, Any]:
    """A row of the list of kept points.

    Args:
        found: its figures; None if they cannot be computed on this machine.
    """
    view = kept.view
    row: dict[str, Any] = {
        "Name": kept.name,
        "Network": f"{view.network} (as deployed)" if view.deployed else view.network,
        "Bits": view.bits,
        "Thresholds": ", ".join(f"{one:g}" for one in view.thresholds),
    }
    if found is not None:
        point = found.point
        row |= {
            "Accuracy (%)": 100 * point.outcome.accuracy if found.labelled else None,
            "Energy (µJ)": point.energy_pj / 1e6,
            "At the edge (%)": 100 * point.outcome.edge_fraction,
            "Latency (ms)": point.latency_ms,
            "Uplink (B)": point.uplink_bytes,
        }
    images = "test split" if view.split == DEFAULT_SPLIT else view.split
    apart = "" if view.cloud == SAME_AS_DEVICE else f", cloud {view.cloud}"
    about = {"Scope": view.scope, "Hardware": view.profile + apart, "Link": view.link}
    return row | about | {"Images": images, "Confidence": view.measure}


def compared(one: Evaluated, other: Evaluated) -> tuple[ComparedRow, ...]:
    """All headline figures of two points, each with its difference where there is one."""
    known = values(one.point), values(other.point)
    rows = []
    for first, second in zip(_headlines(one), _headlines(other), strict=True):
        name, write, comparable = _DIFFERENCES[first.key]
        difference = NONE
        if comparable(one, other):
            difference = write(known[1][name] - known[0][name], known[0][name])
        rows.append(
            ComparedRow(
                label=first.label,
                first=_shown(first, one, other),
                second=_shown(second, other, one),
                difference=difference,
            )
        )
    return tuple(rows)


def apart(one: Evaluated, other: Evaluated) -> tuple[str, ...]:
    """One sentence for each reason why some figures of two points have no difference."""
    said = []
    if not _same_images(one, other):
        said.append("The points were evaluated on different images, so accuracies do not compare.")
    elif not (one.labelled and other.labelled):
        said.append("These images have no labels, so the accuracy is unknown.")
    if not _same_scope(one, other):
        said.append(
            f"The energy of one is for {one.view.scope}, that of the other for {other.view.scope}."
        )
    if not _same_hardware(one, other):
        said.append(
            "Their hardware profiles differ: energy and latency differ for that reason too."
        )
    if one.view.link != other.view.link:
        said.append("Their link profiles differ: energy and latency differ for that reason too.")
    return tuple(said)


def _headlines(found: Evaluated) -> tuple[Headline, ...]:
    return headlines(
        found.point,
        found.prices.costs,
        scope=found.view.scope,
        image_bytes=found.card.image_bytes,
        labelled=found.labelled,
    )


def _shown(headline: Headline, found: Evaluated, other: Evaluated) -> str:
    """The value, with its interval if of few images, its scope if the other point has another."""
    if headline.key == "accuracy" and found.labelled:
        outcome = found.point.outcome
        return headline.value + intervals.in_brackets(outcome.correct, outcome.samples)
    of_scope = _DIFFERENCES[headline.key][2] is _same_scope
    apart = of_scope and not _same_scope(found, other)
    return f"{headline.value} ({found.view.scope})" if apart else headline.value


def _same_images(one: Evaluated, other: Evaluated) -> bool:
    return (one.card.dataset, one.view.split) == (other.card.dataset, other.view.split)


def _same_scope(one: Evaluated, other: Evaluated) -> bool:
    return one.view.scope == other.view.scope


def _same_hardware(one: Evaluated, other: Evaluated) -> bool:
    return (one.view.profile, one.view.cloud) == (other.view.profile, other.view.cloud)


def _accuracies(one: Evaluated, other: Evaluated) -> bool:
    return one.labelled and other.labelled and _same_images(one, other)


def _always(*_: Evaluated) -> bool:
    return True


def _points(change: float, _: float) -> str:
    return numbers.points(change)


def _amount(kind: str) -> Callable[[float, float], str]:
    """A change with its sign, and by how much of the first it is."""

    def write(change: float, first: float) -> str:
        if not change:
            return "equal"
        sign = "+" if change > 0 else "−"
        share = f" ({sign}{numbers.percent(abs(change / first), 0)})" if first else ""
        return f"{sign}{numbers.write(abs(change), kind)}{share}"

    return write


# By the key of a headline: the name of its number, how a change of it is written, and when it has
# a meaning.
_DIFFERENCES: dict[
    str, tuple[str, Callable[[float, float], str], Callable[[Evaluated, Evaluated], bool]]
] = {
    "edge": ("edge_fraction", _points, _always),
    "accuracy": ("accuracy", _points, _accuracies),
    "energy": ("energy_pj", _amount("energy"), _same_scope),
    "reduction": ("reduction", _amount("ratio"), _same_scope),
    "latency": ("latency_ms", _amount("latency"), _always),
    "uplink": ("uplink_bytes", _amount("bytes"), _always),
}
