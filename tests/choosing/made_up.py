"""Contenders made up from traces, and the plain loop that every choice is compared with."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid import zoo
from hybrid.choosing.candidates import Candidate, Field, candidate, see
from hybrid.choosing.modes import modes_of
from hybrid.energy import ExitCosts, Layer
from hybrid.traces.trace import Trace
from tests.strategies import SHA256


def card_of(network: str = "made-up", exits: int = 2) -> zoo.Card:
    """A card whose layers are a stem, a stage per exit with a head, and a cloud stage."""
    hybrid = variant_of("hybrid-4bit", exits=exits)
    statics = [variant_of(f"static-{bits}bit", exits=exits) for bits in (4, 32)]
    return zoo.Card(
        network=network,
        title="Made up",
        description="",
        dataset="trees",
        classes=("oak", "elm"),
        architecture="toy",
        channels=3,
        size=32,
        cut=exits,
        stage_names=tuple(f"stage {i}" for i in range(exits + 2)),
        seed=0,
        variants={v.name: v for v in (hybrid, *statics)},
    )


def variant_of(name: str, *, exits: int) -> zoo.Variant:
    kind, bits = name.removesuffix("bit").split("-")
    early = exits if kind == "hybrid" else 0
    about: dict[str, Any] = {key: {} for key in ("spec", "accuracy", "auroc", "recipe", "versions")}
    return zoo.Variant(
        name=name,
        kind=kind,
        bits=int(bits),
        exit_stages=tuple(range(1, early + 1)),
        exit_names=(*(f"exit {i}" for i in range(early)), "final"),
        layers=layers_of(kind, int(bits), exits),
        uplink_bytes=600 if early else 0,
        temperatures=(1.0,) * (early + 1),
        files={zoo.WEIGHTS: SHA256},
        history=(),
        epochs=1,
        hours=0.0,
        device="none",
        **about,
    )


def layers_of(kind: str, bits: int, exits: int) -> tuple[Layer, ...]:
    layers = [layer("stem", 0, "edge", 32)]
    layers += [layer(f"stage{i}", i, "edge", bits) for i in range(1, exits + 1)]
    cloud, width = ("cloud", 32) if kind == "hybrid" else ("edge", bits)
    layers.append(layer("last", exits + 1, cloud, width))
    if kind == "hybrid":
        layers += [layer(f"head{i}", i + 1, "head", 32, exit=i) for i in range(exits)]
    return tuple(layers)


def layer(name: str, stage: int, segment: str, bits: int, **about: Any) -> Layer:
    values: dict[str, Any] = {
        "exit": None, "kind": "conv", "macs": 1_000_000, "fan_in": 9, "weights": 9_000,
        "inputs": 2_000, "outputs": 1_000, "output_shape": (10, 10, 10),
    }  # fmt: skip
    return Layer(
        name=name,
        stage=stage,
        segment=segment,
        weight_bits=bits,
        activation_bits=bits,
        packed_bytes=9_000 * bits // 8,
        **(values | about),
    )


def candidates_of(
    tune: Trace, certify: Trace, twins: Sequence[Trace], *, measure: str = "max_probability"
) -> Field:
    """A hybrid used in both manners, and its twin on the device and in the cloud.

    Args:
        twins: the twin's traces on tune and certify.
    """
    card = card_of(exits=tune.all_exits - 1)
    found: list[Candidate] = []
    variant, twin = card.variants["hybrid-4bit"], card.variants[zoo.TWIN]
    for mode in modes_of(variant):
        own = {"tune": see(tune, mode, twins[0]), "certify": see(certify, mode, twins[1])}
        found.append(candidate(card=card, mode=mode, variant=variant, seen=own, measure=measure))
    for mode in modes_of(twin):
        seen = {t.split: see(t, mode, t) for t in twins}
        found.append(
            candidate(
                card=card, mode=mode, variant=twin, seen=seen, measure=measure, reference=True
            )
        )
    return Field(
        candidates=tuple(found),
        references={"trees": (card.network, zoo.TWIN)},
        measure=measure,
        absent=(),
    )


def next_step(confidence: np.float32) -> float:
    """The largest of the thresholds 0, 0.0001, … 1 that is not above the confidence."""
    grid = np.arange(10_001) / 10_000
    return float(grid[grid.astype(np.float32) <= confidence].max())


def every_outcome(trace: Trace, measure: str) -> list[tuple[float, ...]]:
    """Thresholds for each outcome there is: the sliders' next step to every confidence, and 1."""
    sure = trace.confidences[measure][:, :-1]
    axes = [sorted({next_step(c) for c in column} | {0.0, 1.0}) for column in sure.T]
    return list(itertools.product(*axes))


def looped(
    trace: Trace, thresholds: Sequence[float], measure: str, costs: ExitCosts
) -> tuple[int, int, float, float, float]:
    """Right ones, those that ask the cloud, and mean energy, latency and uplink, one by one."""
    right = asked = 0
    spent = [0.0, 0.0, 0.0]
    limits = [np.float32(t) for t in thresholds]
    for sample in range(trace.samples):
        taken = next(
            (i for i, t in enumerate(limits) if trace.confidences[measure][sample, i] >= t),
            len(limits),
        )
        right += bool(trace.correct[sample, taken])
        asked += taken == len(limits)
        for i, of in enumerate((costs.energy_pj, costs.latency_ms, costs.uplink_bytes)):
            spent[i] += of[taken]
    energy, latency, uplink = (total / trace.samples for total in spent)
    return right, asked, energy, latency, uplink
