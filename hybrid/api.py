"""The functions of `from hybrid import …`: plain names and numbers in, library objects out.

Every function here only collects what a call needs and passes it on; docs/api.md shows each.
Torch is loaded where a network is run, not before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hybrid import choosing, energy, evaluation, policy, zoo
from hybrid.choosing import Answer, Limits
from hybrid.data import ingest as ingesting
from hybrid.data import sources
from hybrid.data.labels import class_table, match
from hybrid.errors import ModelError, TraceError
from hybrid.evaluation import Certified, Prices
from hybrid.policy import OperatingPoint

if TYPE_CHECKING:
    from torch import nn

    from hybrid.data.user_splits import UserSplit

__all__ = [
    "adapt",
    "certify",
    "choose",
    "evaluate",
    "frontier",
    "ingest",
    "operating_point",
]

_MEASURE = "max_probability"


def evaluate(
    network: str,
    *,
    bits: int,
    thresholds: Sequence[float] = (),
    static: bool = False,
    measure: str = _MEASURE,
    split: str = "test",
    profile: str = energy.DEFAULT_PROFILE,
    cloud_profile: str = "",
    link: str = energy.DEFAULT_LINK,
    scope: str = energy.SCOPES[0],
) -> OperatingPoint:
    """The operating point of a network at these thresholds: exits taken, accuracy, energy.

    Args:
        network: a name from `networks`.
        bits: bit width of the edge; of the whole network if `static`.
        thresholds: one per early exit, from 0 to 1; none if `static`.
        measure: confidence measure that is compared with the thresholds.
        split: tune, certify, test, or a split that you made.
        profile, link: hardware and radio, as `hybrid profiles` lists them, or paths of TOML files.
        cloud_profile: hardware of the cloud; empty to price it like the device.
        scope: which energy is counted.
    """
    return evaluation.evaluate(
        network,
        bits,
        thresholds,
        static=static,
        measure=measure,
        split=split,
        prices=Prices.named(profile=profile, cloud=cloud_profile, link=link, scope=scope),
    )


def operating_point(
    confidences: npt.ArrayLike,
    correct: npt.ArrayLike,
    thresholds: Sequence[float],
    *,
    energy_pj: Sequence[float],
    twin_energy_pj: float,
    latency_ms: Sequence[float] | None = None,
    uplink_bytes: Sequence[float] | None = None,
) -> OperatingPoint:
    """The operating point of any early-exit network, from your own arrays.

    Args:
        confidences: (n, early) or (n, exits), from 0 to 1; the final exit's are not read.
        correct: (n, exits), whether each exit is right; the final exit last.
        thresholds: one per early exit.
        energy_pj, latency_ms, uplink_bytes: cost of one image by the exit it takes, the final
            exit last. Without latency or uplink they count as 0.
        twin_energy_pj: energy per image of the network to compare with.

    Raises:
        TraceError: arrays whose shapes do not match.
        ThresholdError: thresholds outside 0 to 1, or not one per early exit.
    """
    outputs = _Outputs.checked(confidences, correct)
    exits = outputs.correct.shape[1]
    free = (0.0,) * exits
    costs = energy.ExitCosts(
        energy_pj=tuple(energy_pj),
        latency_ms=tuple(latency_ms or free),
        uplink_bytes=tuple(uplink_bytes or free),
    )
    if {len(costs.energy_pj), len(costs.latency_ms), len(costs.uplink_bytes)} != {exits}:
        raise TraceError(f"There are {exits} exits; give one cost for each, the final exit last.")
    return policy.operating_point(
        outputs, thresholds, costs=costs, twin_energy_pj=twin_energy_pj, twin_accuracy=None
    )


def frontier(
    network: str,
    *,
    bits: int,
    measure: str = _MEASURE,
    profile: str = energy.DEFAULT_PROFILE,
    cloud_profile: str = "",
    link: str = energy.DEFAULT_LINK,
    scope: str = energy.SCOPES[0],
) -> tuple[OperatingPoint, ...]:
    """The best operating points of a network, by rising energy, with their figures on test.

    The thresholds are searched on the tune split: none of the others tried is more accurate there
    at the same energy. Arguments as in `evaluate`.
    """
    prices, variant = (
        Prices.named(profile=profile, cloud=cloud_profile, link=link, scope=scope),
        zoo.variant(network, bits),
    )
    tune, test = (zoo.trace(network, variant.name, split) for split in ("tune", "test"))
    costs = evaluation.costs(variant, prices)
    best = policy.frontier_on(policy.all_points(tune, measure), test, costs, measure=measure)
    twin_pj = evaluation.twin_energy_pj(zoo.card(network), variant, prices)
    twin_accuracy = evaluation.twin_accuracy(network, "test")
    return tuple(
        policy.operating_point(
            test,
            thresholds,
            measure=measure,
            costs=costs,
            twin_energy_pj=twin_pj,
            twin_accuracy=twin_accuracy,
        )
        for thresholds in best.thresholds.tolist()
    )


def certify(
    network: str,
    *,
    bits: int,
    thresholds: Sequence[float],
    measure: str = _MEASURE,
    split: str = "certify",
    confidence: float = 0.95,
) -> Certified:
    """An upper bound on the accuracy that early exits cost, at the stated confidence.

    It holds for thresholds that were fixed before anyone looked at the split's labels.

    Args:
        split: certify, or a split that you made; the bound holds for images like those.
        confidence: above 0 and below 1.
    """
    variant = zoo.variant(network, bits)
    return evaluation.certified(
        network, variant, thresholds, measure=measure, split=split, confidence=confidence
    )


def choose(
    networks: str | Sequence[str],
    limits: Limits,
    *,
    images: str = "",
    measure: str = _MEASURE,
    profile: str = energy.DEFAULT_PROFILE,
    cloud_profile: str = "",
    link: str = energy.DEFAULT_LINK,
    scope: str = energy.SCOPES[0],
    progress: Callable[[int, int], None] | None = None,
) -> Answer:
    """The point of least energy that meets all limits, with runners-up and reasons.

    Args:
        networks: one or more names, as `networks` lists them.
        images: name of your own images, which `ingest` split with `tune_certify=True`.
        progress: called with the variants done and their total.

    Returns:
        An answer whose `best` is None if no candidate meets the limits.
    """
    names = [networks] if isinstance(networks, str) else networks
    field = choosing.collect_candidates(names, images=images, measure=measure, progress=progress)
    return choosing.choose(
        field, limits, Prices.named(profile=profile, cloud=cloud_profile, link=link, scope=scope)
    )


def ingest(
    images: str | Path,
    network: str,
    *,
    name: str,
    labels: str | Path | None = None,
    map_labels: Mapping[str, str] | None = None,
    labelled: bool = True,
    tune_certify: bool = False,
    invert: bool = False,
    fit: str = "crop",
    bits: int | None = None,
) -> tuple["UserSplit", ...]:
    """Make a split from your own images and record the predictions of every exit.

    Args:
        images: a folder or a zip; the folder that an image is in is its label.
        name: of the new split.
        labels: a CSV of file and label, instead of folders.
        map_labels: label to class, for labels whose names differ from their class's.
        labelled: False ignores all labels; the accuracy is then unknown.
        tune_certify: make two splits, `name-tune` to choose on and `name-certify`.
        invert: exchange light and dark, for dark ink on white paper.
        fit: how pictures that are not square become so: crop, stretch or letterbox.
        bits: record only this bit width; by default every variant is recorded.

    Returns:
        The new split, or both halves. Unreadable files are skipped; the split has their number.
    """
    card = zoo.card(network)
    variants = card.variants.values() if bits is None else [zoo.variant(network, bits)]
    table_bytes = None if labels is None else sources.table_bytes(Path(labels))
    with sources.opened(Path(images), labels=table_bytes) as source:
        words = sources.label_words(source, card.classes) if labelled else ()
        table = class_table(match(words, card.classes), map_labels or {}, card.classes)
        whole = ingesting.plan_ingest(
            source,
            card,
            name=name,
            words=words,
            table=table if labelled else None,
            inverted=invert,
            fit=fit,
        )
        plans = ingesting.divided(whole) if tune_certify else (whole,)
        made = tuple(ingesting.ingest(plan, source.read) for plan in plans)
    _record(network, variants, made)
    return made


def adapt(
    model: "str | Callable[..., nn.Module]",
    weights: str | Path,
    data: str | Path,
    *,
    cut: str,
    exits: Sequence[str],
    bits: Sequence[int],
    epochs: int = 0,
    name: str = "",
    size: int | tuple[int, int] | None = None,
    output: str = "",
    tune: str | Path = "",
    certify: str | Path = "",
    test: str | Path = "",
    unseen: bool = False,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> zoo.Card:
    """Cut your own torch model, quantize its edge, train exits, and store it with the networks.

    Args:
        model: a function that returns the model, or its name as "package.module:function".
        weights: a file of the model's state: safetensors, .pth, .pt, .bin or .ckpt.
        data: a data set by name, or a folder or zip with a folder for each class.
        cut: the module after which the edge ends.
        exits: modules after which there is an early exit.
        bits: bit widths of the edge, one variant each.
        epochs: of training for edge and exits together; 0 only quantizes and trains the exits.
        name: of the network; by default made from data and function.
        size: of the images that the model takes, height and width if they differ; by default the
            data set's.
        output: name or number of the logits in what the model returns; by default the first
            tensor.
        tune, certify, test: a folder or zip for each of these splits, if they are not drawn from
            `data`.
        unseen: the model was not trained on the images that they are drawn from. Without this,
            nothing is certified if `data` has no images apart from those to train on.
        mean, std: per channel, of the pixels from 0 to 1 that it was trained with.
        say: called with one sentence at each step.

    Returns:
        The new network's card.
    """
    from hybrid.adaptation.adapt import adapt as run
    from hybrid.adaptation.preparing import AdaptRequest

    request = AdaptRequest(
        model=model if isinstance(model, str) else _reference(model),
        weights=Path(weights),
        data=str(data),
        cut=cut,
        exit_modules=tuple(exits),
        bits=tuple(bits),
        epochs=epochs,
        name=name,
        size=size,
        output=output,
        tune=str(tune),
        certify=str(certify),
        test=str(test),
        unseen=unseen,
        mean=tuple(mean),
        std=tuple(std),
        seed=seed,
    )
    return zoo.card(run(request, say=say))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Outputs:
    """A user's own arrays, in the form in which `hybrid.policy` reads a trace."""

    labels: npt.NDArray[np.int64]
    correct: npt.NDArray[np.bool_]
    confidences: Mapping[str, npt.NDArray[np.float32]]

    @classmethod
    def checked(cls, confidences: npt.ArrayLike, correct: npt.ArrayLike) -> "_Outputs":
        sure, right = np.asarray(confidences, np.float32), np.asarray(correct, np.bool_)
        matching = sure.ndim == right.ndim == 2 and len(sure) == len(right)
        if not matching or right.shape[1] - sure.shape[1] not in (0, 1):
            raise TraceError(
                f"Confidences of shape {sure.shape} and answers of shape {right.shape} do not "
                "match; give one row per image and one column per exit."
            )
        return cls(
            labels=np.zeros(len(right), np.int64), correct=right, confidences={_MEASURE: sure}
        )


def _record(network: str, variants: Iterable[zoo.Variant], splits: Sequence["UserSplit"]) -> None:
    """Record the traces of some variants on new splits, each network loaded once."""
    from hybrid.inference.record import record_user_split

    for variant in variants:
        loaded = zoo.load_variant(network, variant)
        for split in splits:
            record_user_split(
                loaded, split, variant=variant.name, weights_sha256=variant.files[zoo.WEIGHTS]
            )


def _reference(function: Callable[..., object]) -> str:
    """The name by which a later session can import a function again."""
    module, qualified = function.__module__, function.__qualname__
    if module == "__main__" or "." in qualified:
        raise ModelError(
            f"{qualified} cannot be imported again later; move it to the top level of a module of "
            "its own, and give it from there."
        )
    return f"{module}:{qualified}"
