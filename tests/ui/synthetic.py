"""A pretrained folder made up from a seed, so that pages can be driven without torch.

Cards and traces, no weights; with as many samples and exits as a test wants.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hybrid import zoo
from hybrid.energy import Layer
from hybrid.traces import trace

CLASSES = ("oak", "elm", "ash", "fir", "yew")
SHA256 = "0" * 64
SPLITS = ("test", "certify", "tune")  # that have a trace


def write_pretrained(
    folder: Path,
    *,
    network: str = "trees-toy",
    samples: int = 500,
    exits: int = 2,
    bits: tuple[int, ...] = (1, 4),
    static: tuple[int, ...] = (4, 32),
) -> Path:
    """A network with hybrid and static variants and their traces; the folder itself."""
    widths = [(width, False) for width in bits] + [(width, True) for width in static]
    variants = {}
    for seed, (width, is_static) in enumerate(widths):
        early = 0 if is_static else exits
        variant = _variant(width, exits=early, stages=exits + 2, is_static=is_static)
        variants[variant.name] = variant
        for split in SPLITS:
            # the splits hold the same trees, which every exit sees anew
            logits = _logits(
                samples,
                early + 1,
                quality=1 + 0.2 * np.log2(width),
                seed=seed + 1000 * SPLITS.index(split),
            )
            recorded = trace.build(
                logits=logits,
                labels=_labels(samples),
                temperatures=(1.0,) * (early + 1),
                network=network,
                variant=variant.name,
                split=split,
                weights_sha256=SHA256,
            )
            trace.save(recorded, folder / network / variant.name / f"trace-{split}.parquet")
    zoo.save_card(_card(network, exits, variants), folder / network / "card.toml")
    return folder


def take_exits(folder: Path, network: str, *, bits: int) -> None:
    """Leave a bit width of a network with a single early exit, and traces to match."""
    name = zoo.variant_name(bits, static=False)
    write_pretrained(folder, network="other", exits=1, bits=(bits,), static=(32,))
    there, card = folder / network, zoo.load_card(folder / network / "card.toml")
    other = zoo.load_card(folder / "other" / "card.toml").variants[name]
    zoo.save_card(replace(card, variants={**card.variants, name: other}), there / "card.toml")
    for split in SPLITS:
        recorded = trace.load(folder / "other" / name / f"trace-{split}.parquet")
        trace.save(replace(recorded, network=network), there / name / f"trace-{split}.parquet")
    shutil.rmtree(folder / "other")


def add_form(folder: Path, network: str, *, bits: int, of: int = 0) -> None:
    """Give a network a deployment form, which answers like a variant.

    Args:
        of: the variant's bit width, if it is another.
    """
    path = folder / network / "card.toml"
    card, name = zoo.load_card(path), f"deployed-{bits}bit"
    trained = card.variants[f"hybrid-{of or bits}bit"]
    for split in zoo.SPLITS:
        recorded = trace.load(folder / network / trained.name / f"trace-{split}.parquet")
        trace.save(
            replace(recorded, variant=name), folder / network / name / f"trace-{split}.parquet"
        )
    form = replace(trained, name=name, kind="deployed", bits=bits)
    zoo.save_card(replace(card, forms={**card.forms, name: form}), path)


def _labels(samples: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, len(CLASSES), samples)


def _logits(
    samples: int, exits: int, *, quality: float, seed: int
) -> list[npt.NDArray[np.float64]]:
    """Per exit (samples, classes); later exits and wider networks are right more often."""
    rng = np.random.default_rng(seed)
    truth = np.eye(len(CLASSES))[_labels(samples)]
    ease = rng.gamma(2.0, 1.0, (samples, 1))
    return [
        3 * truth * ease * quality * (0.4 + 0.6 * (i + 1) / exits)
        + rng.normal(0, 2.0, (samples, len(CLASSES)))
        for i in range(exits)
    ]


def _card(network: str, exits: int, variants: dict[str, zoo.Variant]) -> zoo.Card:
    return zoo.Card(
        network=network,
        title=f"{network}, made up",
        description="Made up from a seed.",
        dataset="trees",
        classes=CLASSES,
        architecture="toy",
        channels=3,
        size=32,
        cut=exits,
        stage_names=tuple(f"stage {i}" for i in range(exits + 2)),
        seed=0,
        variants=variants,
    )


def _variant(bits: int, *, exits: int, stages: int, is_static: bool) -> zoo.Variant:
    name = zoo.variant_name(bits, static=is_static)
    return zoo.Variant(
        name=name,
        kind="static" if is_static else "hybrid",
        bits=bits,
        spec={},
        exit_stages=tuple(range(1, exits + 1)),
        exit_names=(*(f"stage {i + 1}" for i in range(exits)), "final"),
        layers=_layers(bits, exits=exits, stages=stages, is_static=is_static),
        uplink_bytes=0 if is_static else 256 * bits + 24,
        temperatures=(1.0,) * (exits + 1),
        files={zoo.WEIGHTS: SHA256},
        accuracy={},
        auroc={},
        history=(),
        recipe={},
        epochs=1,
        hours=0.1,
        device="none",
        versions={},
    )


def _layers(bits: int, *, exits: int, stages: int, is_static: bool) -> tuple[Layer, ...]:
    layers = [layer("stem", 0, "edge", 400_000, 32)]
    for stage in range(1, stages):
        cloud = not is_static and stage > exits
        width = 32 if cloud else bits
        layers.append(layer(f"stage{stage}", stage, "cloud" if cloud else "edge", 2_000_000, width))
    layers += [layer(f"head{i}", i + 1, "head", 5_000, 32, exit_=i) for i in range(exits)]
    last = "edge" if is_static else "cloud"
    return (*layers, layer("classifier", -1, last, 5_000, 32))


def layer(
    name: str, stage: int, segment: str, macs: int, bits: int, *, exit_: int | None = None
) -> Layer:
    """One layer of a census."""
    return Layer(
        name=name,
        stage=stage,
        segment=segment,
        exit=exit_,
        kind="conv",
        macs=macs,
        fan_in=144,
        weight_bits=bits,
        activation_bits=bits,
        weights=macs // 256,
        inputs=4096,
        outputs=4096,
        output_shape=(16, 16, 16),
        packed_bytes=macs // 256 * bits // 8,
    )
