"""Publish a trained network to pretrained/: weights, traces and its entry in the card."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from hybrid import data, zoo
from hybrid.data.preprocess import CROP
from hybrid.errors import UnknownNameError
from hybrid.files import sha256_of
from hybrid.inference import record
from hybrid.models import Network
from hybrid.models.census import census
from hybrid.models.checkpoints import base_of, load_network, save_network
from hybrid.quant.payload import payload_bytes
from hybrid.traces import confidence, trace
from hybrid.traces.trace import Trace
from hybrid.training.recipe import Plan, Recipe, plan_of

__all__ = ["CARD_LOCK", "Training", "publish", "renew"]

CARD_LOCK = ".card.lock"  # beside a card that is being written

Logits = Mapping[str, list[NDArray[np.float32]]]  # by split, then by exit


@dataclass(frozen=True, kw_only=True)
class Training:
    """How weights were trained: one history row per epoch, hours of this variant alone.

    Args:
        origins: see `hybrid.zoo.Variant`.
    """

    history: tuple[Mapping[str, float], ...]
    hours: float
    device: str
    versions: Mapping[str, str]
    origins: Mapping[str, str] = field(default_factory=dict)


def publish(
    recipe: Recipe, plan: Plan, network: Network, training: Training, *, whole: bool = False
) -> None:
    """Fit temperatures on tune, write weights and traces, and update the variant in the card.

    Args:
        whole: write the frozen weights into the file too, for a variant that is moved elsewhere.
    """
    logits = {"tune": record.fit_temperatures(network, _images(recipe, "tune"))}
    path = zoo.weights_path(recipe.network, plan.name)
    sha256 = save_network(network, path, base=None if whole else _base(recipe, plan))
    _renew_card(recipe, network, _entry(recipe, plan, network, sha256, training, logits))


def renew(recipe: Recipe, *, variants: tuple[str, ...] = ()) -> None:
    """Re-record the traces of `variants` (all if empty) and rebuild the card from them.

    Weights, and their training in the card, are unchanged; a file that repeats the weights its
    heads were trained on is written without these.

    Raises:
        UnknownNameError: the card has no such variant.
    """
    known = zoo.card(recipe.network).variants
    for name in variants:
        if name not in known:
            raise UnknownNameError("variant", name, known)
    for variant in known.values():
        if not variants or variant.name in variants:
            _renew_variant(recipe, variant)


def _renew_variant(recipe: Recipe, variant: zoo.Variant) -> None:
    path = zoo.weights_path(recipe.network, variant.name)
    sha256 = variant.files[path.name]
    network = load_network(path, expect_sha256=sha256)
    training = Training(
        history=variant.history,
        hours=variant.hours,
        device=variant.device,
        versions=variant.versions,
        origins=variant.origins,
    )
    plan = plan_of(variant.recipe)
    base = _base(recipe, plan)
    if base is not None:
        sha256 = save_network(network, path, base=base)
        # now as well: a refresh that is killed while it records traces can be run again
        known = replace(variant, files={**variant.files, path.name: sha256})
        _renew_card(recipe, network, known)
    _renew_card(recipe, network, _entry(recipe, plan, network, sha256, training, {}))


def _base(recipe: Recipe, plan: Plan) -> Path | None:
    """The complete file of the weights that were frozen while heads were trained, if any."""
    start = zoo.weights_path(recipe.network, plan.start)
    if not (plan.heads_only and plan.start and start.is_file()):
        return None
    return base_of(start) or start


def _entry(
    recipe: Recipe,
    plan: Plan,
    network: Network,
    sha256: str,
    training: Training,
    logits: Logits,
) -> zoo.Variant:
    traces = _traces(recipe, plan, network, sha256, logits)
    return zoo.Variant(
        name=plan.name,
        kind="static" if plan.static else "hybrid",
        bits=plan.width,
        spec=network.spec.to_dict(),
        exit_stages=network.exit_stages,
        exit_names=(*(network.stage_names[i] for i in network.exit_stages), "final"),
        layers=tuple(census(network)),
        uplink_bytes=_uplink_bytes(network),
        temperatures=network.temperatures,
        files={zoo.WEIGHTS: sha256} | _trace_hashes(recipe, plan),
        accuracy={name: tuple(t.correct.mean(0).round(5).tolist()) for name, t in traces.items()},
        auroc={name: _aurocs(t) for name, t in traces.items()},
        history=training.history,
        recipe=asdict(plan),
        epochs=plan.epochs,
        hours=round(training.hours, 4),
        device=training.device,
        versions=training.versions,
        origins=training.origins,
    )


def _traces(
    recipe: Recipe, plan: Plan, network: Network, sha256: str, logits: Logits
) -> dict[str, Trace]:
    """Record and save the trace of each split; the network runs where its logits are unknown."""
    traces = {}
    for split in _recorded(recipe):
        traces[split] = record.record(
            network,
            _images(recipe, split),
            name=recipe.network,
            variant=plan.name,
            weights_sha256=sha256,
            logits=logits.get(split),
        )
        trace.save(traces[split], zoo.trace_path(recipe.network, plan.name, split))
    return traces


def _images(recipe: Recipe, split: str) -> data.Dataset:
    return zoo.split_images(
        recipe.dataset,
        split,
        recipe.sources,
        size=recipe.size,
        channels=recipe.channels,
        fit=recipe.fit or CROP,
    )


def _recorded(recipe: Recipe) -> tuple[str, ...]:
    """The splits with traces: no trace certifies anything on images that the model has seen."""
    return tuple(s for s in zoo.SPLITS if s != "certify" or s not in recipe.seen)


def _trace_hashes(recipe: Recipe, plan: Plan) -> dict[str, str]:
    paths = [zoo.trace_path(recipe.network, plan.name, split) for split in _recorded(recipe)]
    return {path.name: sha256_of(path) for path in paths}


def _aurocs(recorded: Trace) -> tuple[float, ...]:
    confidences = recorded.confidences["max_probability"]
    return tuple(
        round(float(confidence.auroc(confidences[:, i], recorded.correct[:, i])), 5)
        for i in range(recorded.all_exits)
    )


def _uplink_bytes(network: Network) -> int:
    """Bytes sent per sample at the cut, header included."""
    if network.spec.static:
        return 0
    return payload_bytes(network.feature_shape, bits=network.spec.uplink_bits)


def _renew_card(recipe: Recipe, network: Network, entry: zoo.Variant) -> None:
    path = zoo.pretrained_folder() / recipe.network / "card.toml"
    card = zoo.Card(
        network=recipe.network,
        title=recipe.title,
        description=recipe.description,
        dataset=recipe.dataset,
        classes=_images(recipe, "tune").classes,
        architecture=recipe.architecture,
        channels=recipe.channels,
        size=recipe.size,
        cut=recipe.cut,
        stage_names=network.stage_names,
        seed=recipe.seed,
        sources=recipe.sources,
        seen=recipe.seen,
        module_folder=recipe.module_folder,
        fit=recipe.fit,
    )
    order = [plan.name for plan in recipe.plans]
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(CARD_LOCK)):  # two variants may be trained at once
        old = zoo.load_card(path) if path.is_file() else card
        variants = {**old.variants, entry.name: entry}
        known = {name: variants[name] for name in order if name in variants}
        zoo.save_card(replace(card, variants=known, forms=_still_valid(old.forms, known)), path)


def _still_valid(
    forms: Mapping[str, zoo.Variant], trained: Mapping[str, zoo.Variant]
) -> dict[str, zoo.Variant]:
    """The deployment forms whose trained weights are still those that they were made of."""
    now = {name: one.files[zoo.WEIGHTS] for name, one in trained.items()}
    return {name: one for name, one in forms.items() if one.origins.items() <= now.items()}
