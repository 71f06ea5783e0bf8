"""An operating point as text: the headlines, the flow's labels, and the verdict.

Each text is a template that `hybrid.text.numbers.fill` completes with `values` of the point.
Explore's script in the browser completes the same templates while a slider is dragged.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hybrid.energy import ExitCosts
from hybrid.policy import OperatingPoint, Outcome, of_few, wilson
from hybrid.quant.levels import FULL_PRECISION
from hybrid.text import glossary, numbers

__all__ = [
    "INTERVAL",
    "UNLABELLED",
    "Headline",
    "against",
    "flow_labels",
    "flow_templates",
    "headline_templates",
    "headlines",
    "honest",
    "interval",
    "reach",
    "reach_templates",
    "spoken_template",
    "unlabelled_note",
    "values",
    "verdict",
    "verdict_templates",
]

UNLABELLED = (
    "These images have no labels, so the accuracy is unknown. Shown instead: the share of images "
    "answered as the cloud would answer them. Early exits cost at most as much accuracy as the "
    "share on which the two differ."
)
# Below the headlines, where the accuracy is that of few images.
INTERVAL = (
    "{samples:count} images are few: with 95 % confidence, the accuracy on images like these is "
    "between {accuracy_low:percent} and {accuracy_high:percent}."
)
_UNLABELLED_NOTE = "{error:percent_2} differ"


class Alternative(Protocol):
    """Another point of the page as the verdict reads it."""

    @property
    def bits(self) -> int: ...
    @property
    def is_static(self) -> bool: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def energy_pj(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One headline figure: name, value with its unit, note below it, and help."""

    key: str
    label: str
    value: str
    note: str
    help: str


def against(scope: str) -> str:
    """Name of the energy's baseline in this scope."""
    return "raw image" if scope == "device" else "twin"


def headline_templates(
    costs: ExitCosts,
    *,
    twin_energy_pj: float,
    twin_accuracy: float | None,
    scope: str,
    image_bytes: int,
    labelled: bool = True,
) -> tuple[Headline, ...]:
    """The headlines with templates for value and note; all figures are means per image.

    Args:
        labelled: False if the point was counted against the final exit's answers.
    """
    whole = "sending the raw image" if scope == "device" else "running the full-precision twin"
    return (
        Headline(
            key="edge",
            label="At the edge",
            value="{edge_fraction:percent}",
            note="{at_edge:count} of {samples:count}",
            help="Images answered by an early exit on the device. The rest go to the cloud.",
        ),
        Headline(
            key="accuracy",
            label="Accuracy",
            value="{accuracy:percent_2}" if labelled else "unknown",
            note=_accuracy_note(twin_accuracy, labelled=labelled),
            help=glossary.define(
                "twin",
                note="Share of correct answers, each from the exit at which the image stops. "
                "Below: the difference from the full-precision twin in percentage points.",
            ),
        ),
        Headline(
            key="energy",
            label="Energy per image",
            value="{energy_pj:energy}",
            note=scope,
            help="Mean over all images, for the scope and the energy model selected on the left. "
            f"The energy of {whole} is {numbers.energy(twin_energy_pj)}.",
        ),
        Headline(
            key="reduction",
            label="Energy reduction",
            value="{reduction:ratio}",
            note=scope,
            help=f"The energy of {whole}, {numbers.energy(twin_energy_pj)}, divided by the energy "
            "per image here.",
        ),
        Headline(
            key="latency",
            label="Mean latency",
            value="{latency_ms:latency}",
            note=f"via cloud {numbers.latency(costs.latency_ms[-1])}",
            help="Mean time to an answer: the edge segment, plus the link and the cloud segment "
            "for images that go to the cloud.",
        ),
        Headline(
            key="uplink",
            label="Uplink per image",
            value="{uplink_bytes:bytes}",
            note=f"raw image {numbers.kilobytes(image_bytes)}",
            help=glossary.define(
                "uplink",
                note="Mean number of bytes sent to the cloud. Images answered at the edge send "
                "none.",
            ),
        ),
    )


def headlines(
    point: OperatingPoint,
    costs: ExitCosts,
    *,
    scope: str,
    image_bytes: int,
    labelled: bool = True,
) -> tuple[Headline, ...]:
    """The headline figures of an operating point, as `headline_templates` with its values."""
    templates = headline_templates(
        costs,
        twin_energy_pj=point.twin_energy_pj,
        twin_accuracy=point.twin_accuracy,
        scope=scope,
        image_bytes=image_bytes,
        labelled=labelled,
    )
    known = values(point)
    return tuple(
        replace(one, value=numbers.fill(one.value, known), note=numbers.fill(one.note, known))
        for one in templates
    )


def values(point: OperatingPoint) -> dict[str, float]:
    """The numbers of a point by the names that templates use."""
    difference = point.accuracy_difference
    return _outcome_values(point.outcome) | {
        "energy_pj": point.energy_pj,
        "reduction": point.energy_reduction,
        "latency_ms": point.latency_ms,
        "uplink_bytes": point.uplink_bytes,
        **({} if difference is None else {"difference": difference}),
    }


def interval(point: OperatingPoint, *, labelled: bool) -> str:
    """The interval of the accuracy in a sentence; empty if it is unknown or of many images."""
    outcome = point.outcome
    few = labelled and of_few(outcome.correct, outcome.samples)
    return numbers.fill(INTERVAL, values(point)) if few else ""


def spoken_template(scope: str, *, labelled: bool = True) -> str:
    """One sentence for a screen reader, each time a slider comes to rest."""
    accuracy = "{accuracy:percent_2}" if labelled else "unknown"
    return (
        f"{{edge_fraction:percent}} answered at the edge, accuracy {accuracy}, "
        f"{{energy_pj:energy}} per image ({scope})"
    )


def unlabelled_note(agreement: float) -> str:
    """Note below an unknown accuracy: how many answers are not the final exit's.

    Args:
        agreement: share of the images that are answered as the final exit would answer them.
    """
    return numbers.fill(_UNLABELLED_NOTE, {"error": 1 - agreement})


def honest(point: OperatingPoint, *, labelled: bool) -> OperatingPoint:
    """The point as it is exported: without labels, its accuracy is unknown."""
    return replace(point, outcome=replace(point.outcome, labelled=labelled))


def flow_templates(exits: Sequence[str], *, labelled: bool = True) -> list[str]:
    """Labels of the flow's nodes: all images, each exit's share, correct and incorrect answers.

    Args:
        exits: names of all exits, the final one last.
    """
    return [
        "{samples:count} images",
        *(f"{name} {{exit_fraction_{i}:percent}}" for i, name in enumerate(exits)),
        f"{'Correct' if labelled else 'Same as cloud'} {{accuracy:percent}}",
        f"{'Incorrect' if labelled else 'Different'} {{error:percent}}",
    ]


def flow_labels(outcome: Outcome, exits: Sequence[str], *, labelled: bool = True) -> list[str]:
    """`flow_templates` with the numbers of an outcome."""
    known = _outcome_values(outcome)
    return [numbers.fill(one, known) for one in flow_templates(exits, labelled=labelled)]


def reach_templates(exits: Sequence[str], *, together: bool = False) -> list[str]:
    """How many images reach each early exit, by how many of the exits are reached at all.

    Args:
        exits: names of the early exits.
        together: one slider moves all thresholds, so it always matters.
    """
    counts = " · ".join(f"{name}: {{reached_{i}:count}}" for i, name in enumerate(exits))
    texts = [f"Images that reach each exit: {counts}."] * (len(exits) + 1)
    if together:
        return texts
    return [
        text + (_unreached(exits[number:]) if number < len(exits) else "")
        for number, text in enumerate(texts)
    ]


def reach(outcome: Outcome, exits: Sequence[str], *, together: bool = False) -> str:
    """`reach_templates` with the numbers of an outcome."""
    known = _outcome_values(outcome)
    reached = sum(known[f"reached_{i}"] > 0 for i in range(len(exits)))
    return numbers.fill(reach_templates(exits, together=together)[reached], known)


def _unreached(exits: Sequence[str]) -> str:
    sliders = "its slider changes" if len(exits) == 1 else "their sliders change"
    named = " or ".join(part for part in (", ".join(exits[:-1]), exits[-1]) if part)
    return f" No image reaches {named} at these thresholds, so {sliders} nothing."


def verdict(
    point: OperatingPoint,
    better: Alternative | None,
    *,
    static_bits: Collection[int],
    scope: str,
    labelled: bool = True,
) -> str:
    """Whether another point of the page reaches this accuracy with less energy, and which.

    Args:
        better: that point; None if there is none.
        static_bits, scope, labelled: as for `verdict_templates`.
    """
    templates = verdict_templates(static_bits, scope=scope, labelled=labelled)
    if better is None:
        return templates["none"]
    named = {
        "better_bits": better.bits,
        "better_accuracy": better.accuracy,
        "better_energy_pj": better.energy_pj,
    }
    return numbers.fill(
        templates["static" if better.is_static else "hybrid"], values(point) | named
    )


def verdict_templates(
    static_bits: Collection[int], *, scope: str, labelled: bool = True
) -> dict[str, str]:
    """The verdict by what the better point is: a hybrid, a static network, or none.

    Args:
        static_bits: bit widths of the static networks on the page.
        labelled: False if the accuracy is unknown; then nothing is compared.
    """
    figures = (
        f"{{better_accuracy:percent_2}} at {{better_energy_pj:energy}} per image ({scope}), "
        "against {accuracy:percent_2} at {energy_pj:energy} here."
    )
    return {
        "hybrid": f"With {{better_bits:bits}} and well-chosen thresholds you get {figures}",
        "static": f"The static {{better_bits:count}}-bit network gives {figures}",
        "none": _none_better(static_bits, scope=scope) if labelled else UNLABELLED,
    }


def _none_better(static_bits: Collection[int], *, scope: str) -> str:
    said = f"Nothing in the chart reaches this accuracy with less energy ({scope}): no bit width"
    if not static_bits:
        return f"{said}. No static network is recorded here to compare with."
    if min(static_bits) == FULL_PRECISION:
        return (
            f"{said}, and not the full-precision twin. A static network with fewer bits might, but "
            "none is recorded here."
        )
    return f"{said} and no static network."


def _accuracy_note(twin_accuracy: float | None, *, labelled: bool) -> str:
    if not labelled:
        return _UNLABELLED_NOTE
    return "no twin" if twin_accuracy is None else "{difference:points}"


def _outcome_values(outcome: Outcome) -> dict[str, float]:
    accuracy = wilson(outcome.correct, outcome.samples)
    by_exit = {f"exit_fraction_{i}": share for i, share in enumerate(outcome.exit_fractions)}
    counts = outcome.exit_counts
    by_exit |= {f"reached_{i}": sum(counts[i:]) for i in range(len(counts))}
    return by_exit | {
        "samples": outcome.samples,
        "at_edge": sum(outcome.exit_counts[:-1]),
        "edge_fraction": outcome.edge_fraction,
        "accuracy": outcome.accuracy,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "error": 1 - outcome.accuracy,
    }
