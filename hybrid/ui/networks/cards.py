"""A card and a trace as tables and measures for the page Networks; no widget.

variants_table(card)                            # a row per variant
baselines(view)                                 # a row per static network, with a hybrid
layer_table(variant, card, profile, scope)      # a row per layer, priced
calibration(trace)                              # reliability and AUROC of each exit
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hybrid import policy, zoo
from hybrid.choosing.baselines import ComparedPoint, Comparison, compared_points, comparisons_at
from hybrid.energy import layer_energy_pj
from hybrid.evaluation import Prices
from hybrid.text import numbers
from hybrid.traces.confidence import MEASURES, Reliability, auroc, reliability
from hybrid.traces.trace import Trace
from hybrid.ui.cache import cached, prices_at, trace, trace_files
from hybrid.ui.view import DEFAULT_SPLIT, View, without_thresholds
from hybrid.zoo import Card, Variant, exit_labels

__all__ = [
    "Calibration",
    "baselines",
    "baselines_table",
    "baselines_words",
    "calibration",
    "cut",
    "describe",
    "exit_names",
    "layer_table",
    "uncertainty",
    "variant_title",
    "variants_table",
]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Reliability of each exit's confidence.

    before, after: of every exit's max_probability, without and with its temperature. auroc:
    measure to one value per exit, final last.
    """

    before: tuple[Reliability, ...]
    after: tuple[Reliability, ...]
    auroc: Mapping[str, tuple[float, ...]]


def calibration(trace: Trace) -> Calibration:
    """Every exit's reliability and AUROC on the trace's split."""
    exits = range(trace.all_exits)
    sure = trace.confidences["max_probability"]
    return Calibration(
        before=trace.reliability_before,
        after=tuple(reliability(sure[:, i], trace.correct[:, i]) for i in exits),
        auroc={
            measure: tuple(
                auroc(trace.confidences[measure][:, i], trace.correct[:, i]) for i in exits
            )
            for measure in MEASURES
        },
    )


def exit_names(variant: Variant) -> list[str]:
    """Names of a variant's exits; a static network only has the final one."""
    return exit_labels(variant.early_exits)


def cut(card: Card) -> str:
    """The stage after which the network is cut, and the hybrids that are cut elsewhere."""
    others = [
        f"{card.stage_names[place]} at {_bits(variant.bits)}"
        for variant in card.variants.values()
        if not variant.is_static and (place := int(variant.spec.get("cut", card.cut))) != card.cut
    ]
    return ", ".join([card.stage_names[card.cut], *others])


def variant_title(variant: Variant) -> str:
    """A variant's name for readers.

    The static 32-bit network is the full-precision twin that the others are compared with.
    """
    if variant.name == zoo.TWIN:
        return "Full-precision twin"
    kind = "Static" if variant.is_static else "Hybrid"
    return f"{kind} {variant.bits} bit"


def describe(variant: Variant) -> str:
    """One sentence: which parts run where, and at how many bits."""
    if variant.name == zoo.TWIN:
        return "Every layer at 32 bits and no early exits: the baseline of the hybrids."
    if variant.is_static:
        return (
            f"Every layer but the first, shortcuts and the classifier at {variant.bits} bits, no "
            "early exits; it runs entirely on the device."
        )
    exits = "one exit" if variant.early_exits == 1 else f"{variant.early_exits} exits"
    edge, cloud = (_bits(n) for n in (variant.bits, int(variant.spec.get("cloud_bits", 32))))
    sentence = f"The edge segment at {edge} with {exits}, the cloud segment at {cloud}."
    return " ".join([sentence, *_branches(variant)])


def _branches(variant: Variant) -> list[str]:
    """A sentence for each exit with a branch, and one that tells ours from the paper's."""
    blocks = variant.spec.get("branch_blocks", ())
    found = [
        f"Exit {number} has a branch of {_counted(count, 'block')} at {_bits(bits)}."
        for number, (count, bits) in enumerate(
            zip(blocks, variant.spec.get("branch_bits", ()), strict=True), start=1
        )
        if count
    ]
    ours = "The paper's exits are a pooled linear layer alone; branches before it are ours."
    return [*found, ours] if found else []


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _bits(number: int) -> str:
    return "1 bit" if number == 1 else f"{number} bits"


def variants_table(card: Card, *, split: str) -> pd.DataFrame:
    """A row per variant from the card; accuracies in percent on the split.

    Columns that a variant does not have (the exits of a static network) are empty in its row.
    """
    rows = []
    for variant in card.variants.values():
        *early, final = variant.accuracy.get(split, (math.nan,) * (variant.early_exits + 1))
        rows.append(
            {"Variant": variant_title(variant)}
            | {f"Exit {i + 1} (%)": 100 * value for i, value in enumerate(early)}
            | {
                "Final exit (%)": 100 * final,
                "Mega-MACs": sum(layer.macs for layer in variant.layers) / 1e6,
                "Weights (kB)": sum(layer.packed_bytes for layer in variant.layers) / 1e3,
                "Uplink (B)": variant.uplink_bytes,
                "Epochs": variant.epochs,
                "Minutes": 60 * variant.hours,
            }
        )
    table = pd.DataFrame(rows)
    early_columns = sorted(name for name in table.columns if name.startswith("Exit "))
    return table[["Variant", *early_columns, *table.columns.drop(["Variant", *early_columns])]]


def uncertainty(card: Card, *, split: str) -> str:
    """How far the accuracies of few images may be off, as a sentence; empty if they are many.

    Raises:
        DataMissingError, TraceError: no variant has a trace of the split, or it is damaged.
    """
    samples = trace(card.network, next(iter(card.variants)), split).samples
    accuracies = [value for one in card.variants.values() for value in one.accuracy.get(split, ())]
    found = [policy.of_few(round(value * samples), samples) for value in accuracies]
    widest = max((one.half_width for one in found if one), default=0.0)
    if not widest:
        return ""
    return (
        f"They are of {numbers.count(samples)} images: on many more, each may be "
        f"{numbers.fixed(100 * widest, 1)} points higher or lower (95 % confidence)."
    )


def baselines_table(network: str, prices: Prices) -> tuple[pd.DataFrame, list[Comparison]]:
    """Each static network with the cheapest hybrid at most half a point less accurate, on test.

    A cell has the static network's figure first, then the hybrid's.

    Raises:
        DataMissingError, TraceError: a variant's trace is not here, or damaged.
    """
    comparisons = comparisons_at(network, prices)
    rows = [_beside(*compared_points(network, one, prices)) for one in comparisons]
    return pd.DataFrame(rows), comparisons


def _compared_files(view: View) -> tuple[Path, ...]:
    return trace_files(view.network, "tune") + trace_files(view.network, DEFAULT_SPLIT)


@cached(entries=32, files=_compared_files, of=without_thresholds)
def baselines(view: View) -> tuple[pd.DataFrame, list[Comparison]]:
    """`baselines_table` at the view's prices, computed once for all sessions."""
    return baselines_table(view.network, prices_at(view.profile, view.link, view.scope, view.cloud))


def _beside(static: ComparedPoint, hybrid: ComparedPoint | None) -> dict[str, str]:
    def both(written: Callable[[ComparedPoint], str]) -> str:
        return f"{written(static)} | {written(hybrid)}" if hybrid else written(static)

    return {
        "Static network": variant_title(static.variant),
        "Hybrid as accurate": variant_title(hybrid.variant) if hybrid else "none",
        "Accuracy": both(lambda one: numbers.percent(one.point.outcome.accuracy)),
        "Energy": both(lambda one: numbers.energy(one.point.energy_pj)),
        "Battery, with radio": both(lambda one: numbers.energy(one.device_energy_pj)),
        "Latency": both(lambda one: numbers.latency(one.point.latency_ms)),
        "Uplink": both(lambda one: f"{one.point.uplink_bytes:,.0f} B"),
        "Weights on the device": both(lambda one: numbers.kilobytes(one.edge_bytes)),
    }


def baselines_words(card: Card, comparisons: Sequence[Comparison], scope: str) -> str:
    """Which static networks need less energy than any hybrid that is as accurate."""
    winners = [
        variant_title(card.variants[comparison.static])
        for comparison in comparisons
        if comparison.static_wins
    ]
    if not winners:
        return (
            f"For each static network there is a hybrid that needs less energy ({scope}) and is at "
            "most half a point less accurate."
        )
    names = ", ".join(winners)
    return f"Static networks with less energy ({scope}) than any hybrid as accurate: {names}."


def layer_table(variant: Variant, card: Card, prices: Prices) -> pd.DataFrame:
    """A row per layer in the order a sample meets them: place, shape, MACs, bits, energy, size.

    Energy of one run of the layer where it runs; in `device`, a layer of the cloud costs nothing.
    """
    paid = (prices.profile, prices.scope, prices.cloud)
    return pd.DataFrame(
        {
            "Layer": layer.name,
            "Stage": "classifier" if layer.stage < 0 else card.stage_names[layer.stage],
            "Runs in": "exit head" if layer.segment == "head" else layer.segment,
            "Kind": layer.kind,
            "Output": "×".join(str(size) for size in layer.output_shape),
            "MACs": layer.macs,
            "Weight bits": layer.weight_bits,
            "Activation bits": layer.activation_bits,
            "Energy (nJ)": layer_energy_pj(layer, *paid) / 1e3,
            "Packed (B)": layer.packed_bytes,
        }
        for layer in variant.layers
    )
