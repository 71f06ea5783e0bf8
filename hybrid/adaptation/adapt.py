"""A user's own model to a network in pretrained/: quantized edge, exits, traces and card.

    adapt(AdaptRequest(model="torchvision.models:resnet18", weights=Path("mine.safetensors"),
                  data="photos", cut="layer2", exits=("layer1",), bits=(4,)))

The twin is the model as it was given. For each bit width the edge is quantized and the exits are
trained on its frozen features; where epochs are asked for, edge and exits then learn together to
answer like the twin. The cloud segment stays as it was given. Needs no Lightning.
"""

import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hybrid import data, zoo
from hybrid.adaptation.fitting import (
    BATCH,
    HEAD_BATCH,
    HEAD_EPOCHS,
    HEAD_RATE,
    fine_tune,
    pixels,
    quantize,
    train_heads,
)
from hybrid.data import DATASETS, Dataset
from hybrid.data.preprocess import mean_and_deviation
from hybrid.errors import ModelError, SourceError
from hybrid.files import sha256_of
from hybrid.inference.record import exit_logits
from hybrid.models import Network, Reference, Spec, build
from hybrid.models.adapted import Adapted, Prepare, stage_cuts
from hybrid.models.census import census
from hybrid.models.cutting import cuts
from hybrid.models.tracing import Outline, fit_weights, load_model, trace
from hybrid.quant.levels import FULL_PRECISION, check_bits
from hybrid.training.publish import Training, publish
from hybrid.training.recipe import Plan, Recipe

__all__ = ["AdaptRequest", "adapt", "check", "first_channels"]

TWIN = "static-32bit"
FOLDER_SIZE = 224
LEAST_IMAGES = 10  # of each class, to be divided in four
FINE_RATE = 3e-4
_MOST_SKIPPED = 5  # pictures that could not be read, said by name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_CHANCE = 1.5  # times what guessing gets right: a twin below knows other classes

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class AdaptRequest:
    """What is made of which model.

    Args:
        model: "package.module:function".
        weights: a safetensors file of the model's state.
        data: a data set by name, or a folder or zip with a folder for each class.
        cut: the module behind which the edge ends.
        exit_modules: those behind which there is an exit.
        bits: of the edge, one variant each.
        epochs: for which edge and exits learn together; 0 quantizes after training.
        name: of the network; without it, made of data and function.
        size: of the images that the model sees; without it, the data set's.
        mean, std: per channel, of the pixels in [0, 1] that it was trained with; without
            them, the data set's own.
        seed: of the order of images and of the heads' first weights.
    """

    model: str
    weights: Path
    data: str
    cut: str
    exit_modules: tuple[str, ...]
    bits: tuple[int, ...]
    epochs: int = 0
    name: str = ""
    size: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """All that the variants share."""

    request: AdaptRequest
    model: nn.Module
    outline: Outline
    train: Dataset
    tune: Dataset
    recipe: Recipe
    reference: Reference
    say: Say
    twin_logits: list[np.ndarray] = field(default_factory=list)  # on train, once they are made

    def spec(self, *, bits: int, static: bool) -> Spec:
        """What a variant is built from."""
        recipe = self.recipe
        return Spec(
            architecture=recipe.architecture,
            classes=recipe.classes,
            channels=recipe.channels,
            size=recipe.size,
            cut=recipe.stages - 1 if static else recipe.cut,
            exits=() if static else recipe.exits,
            bits=bits,
            static=static,
            reference=self.reference,
        )


def adapt(request: AdaptRequest, *, say: Say = lambda _: None) -> str:
    """Adapt a model and publish it; the network's name.

    Args:
        say: told what is being done, a sentence at a time.

    Raises:
        ModelError, WeightsError: a model, weights, places or a name that cannot be used.
        BitWidthError: a bit width that is not offered.
        UnknownNameError, DataMissingError, SourceError, ImageError: data that cannot be used.
    """
    _check_numbers(request)
    torch.manual_seed(request.seed)
    job = _job(request, say)
    try:
        with _useful_or_gone(job.recipe.network):
            _publish_twin(job)
            for bits in dict.fromkeys(request.bits):
                for static in (False, True) if bits != FULL_PRECISION else (False,):
                    _publish_variant(job, bits, static=static)
    except OSError as error:
        raise ModelError(
            f"The network cannot be kept in {zoo.pretrained_folder()} ({error.strerror or error}); "
            "make room, or name another folder in HYBRID_PRETRAINED."
        ) from error
    return job.recipe.network


@contextmanager
def _useful_or_gone(network: str) -> Iterator[None]:
    """What ends early leaves finished variants, and nothing where none of them is a hybrid."""
    folder = zoo.pretrained_folder() / network
    strange = folder.exists() and network not in zoo.networks()  # of whatever else
    try:
        yield
    finally:  # also where somebody interrupts
        known = zoo.card(network).variants.values() if network in zoo.networks() else ()
        if not strange and not any(variant.kind == "hybrid" for variant in known):
            shutil.rmtree(folder, ignore_errors=True)


def _publish(job: _Job, plan: Plan, network: Network, training: Training) -> None:
    """Publish a variant whole, or leave what was there; the card, written last, decides."""
    folder = zoo.weights_path(job.recipe.network, plan.name).parent
    before = folder.with_name(f".{folder.name}.before")
    if before.is_dir():  # of a run that was killed here
        shutil.rmtree(folder, ignore_errors=True)
        before.replace(folder)
    whole = False
    try:
        if folder.is_dir():
            folder.replace(before)
        # a sweep moves variants one by one, to a twin that another machine may have recorded
        publish(job.recipe, plan, network, training, whole=True)
        whole = True
    finally:  # also where somebody interrupts
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)
            if before.is_dir():
                before.replace(folder)
    shutil.rmtree(before, ignore_errors=True)


def check(request: AdaptRequest) -> None:
    """Refuse, and make nothing, what `adapt` would refuse at its start; it raises the same."""
    _check_numbers(request)
    _job(request, lambda _: None)


def _check_numbers(request: AdaptRequest) -> None:
    for bits in request.bits:
        check_bits(bits)
    if not request.bits or not request.exit_modules or request.epochs < 0:
        raise ModelError("Adapting needs a bit width, an exit and 0 or more epochs; give them.")


def _job(request: AdaptRequest, say: Say) -> _Job:
    named = request.data in DATASETS
    where = request.data if named else str(Path(request.data).expanduser().resolve())
    if not named and not Path(where).exists():
        data.load(request.data, "train")  # says which data sets there are
    size = DATASETS[where].size if named else request.size or FOLDER_SIZE
    channels = DATASETS[where].channels if named else 3
    say(f"Reading {where}.")
    train = data.load(where, "train", size=size, channels=channels)
    model = load_model(request.model, classes=len(train.classes))
    wanted = first_channels(model) or channels
    if not named and wanted == 1:
        channels = 1
    if channels not in (1, wanted):
        raise ModelError(
            f"{request.model} takes {wanted} colour channels, and the images have {channels}; give "
            "it a first layer for as many."
        )
    train, tune = (
        data.load(where, split, size=size, channels=channels) for split in ("train", "tune")
    )
    _check_images(train, where, size=size, channels=channels)
    _list_skipped(train, say)
    fit_weights(model, request.weights)
    sees = (wanted, *(request.size or size,) * 2)
    outline = trace(model, shape=sees, reference=request.model)
    if outline.classes != len(train.classes):
        raise ModelError(
            f"{request.model} answers with {outline.classes} numbers for an image, and the data "
            f"has {len(train.classes)} classes; give a model that was trained on these classes."
        )
    places, exits, cut = stage_cuts(
        cuts(outline), cut=request.cut, exits=request.exit_modules, reference=request.model
    )
    scale, shift = _scale_and_shift(request, where, images=channels, model=sees[0])
    job = _Job(
        request=request,
        model=model,
        outline=outline,
        train=train,
        tune=tune,
        recipe=_recipe(request, where, train, size, channels, exits, cut, stages=len(places) + 1),
        reference=Reference(
            stages=tuple(place.name for place in places),
            size=0 if sees[1] == size else sees[1],
            channels=0 if sees[0] == channels else sees[0],
            scale=scale,
            shift=shift,
        ),
        say=say,
    )
    return replace(job, recipe=replace(job.recipe, plans=_plans(job)))


def _check_images(train: Dataset, where: str, *, size: int, channels: int) -> None:
    """Refuse what nothing can be learned from, or what cannot be divided."""
    if len(train.classes) == 1:
        raise SourceError(
            f"{where} has one class, {train.classes[0]}, and there is nothing to tell apart; give "
            "a folder for each of two or more classes."
        )
    if where in DATASETS:
        return
    splits = [data.load(where, split, size=size, channels=channels) for split in data.SPLITS]
    counts = np.bincount(np.concatenate([s.labels for s in splits]), minlength=len(train.classes))
    least = int(np.argmin(counts))
    if counts[least] < LEAST_IMAGES:
        raise SourceError(
            f"{train.classes[least]} has {counts[least]} images in {where}, and {LEAST_IMAGES} of "
            "each class are needed to train, tune, certify and test on; add some, or leave the "
            "class out."
        )


def _list_skipped(train: Dataset, say: Say) -> None:
    """Say which pictures could not be read, and why, the first by name."""
    if not train.skipped:
        return
    more = len(train.skipped) - _MOST_SKIPPED
    say(f"Skipped {len(train.skipped):,} of the files:")
    for one in train.skipped[:_MOST_SKIPPED]:
        say(f"  {one.sentence}")
    if more > 0:
        say(f"  and {more:,} more.")


def first_channels(model: nn.Module) -> int | None:
    """Colour channels that the first convolution takes; None where there is none."""
    convolutions = (m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    return next(convolutions, None)


def _scale_and_shift(
    request: AdaptRequest, where: str, *, images: int, model: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """From the data set's normalisation to the model's: (x · d + m - m') / d', ' the model's.

    Nothing where the model names none.
    """
    if not request.mean and not request.std:
        return (), ()
    if not len(request.mean) == len(request.std) == model or min(request.std) <= 0:
        raise ModelError(
            f"Give as many means as deviations above 0, one for each of {model} channels."
        )
    mean, std = mean_and_deviation(where, channels=images)
    rows = list(
        zip(
            mean * (model // images),
            std * (model // images),
            request.mean,
            request.std,
            strict=True,
        )
    )
    return tuple(d / d2 for _, d, _, d2 in rows), tuple((m - m2) / d2 for m, _, m2, d2 in rows)


def _recipe(
    request: AdaptRequest,
    where: str,
    train: Dataset,
    size: int,
    channels: int,
    exits: Sequence[int],
    cut: int,
    *,
    stages: int,
) -> Recipe:
    function = request.model.partition(":")[2]
    source = where if where in DATASETS or Path(where).is_dir() else Path(where).stem
    shown = DATASETS[where].title if where in DATASETS else Path(where).name
    return Recipe(
        network=_checked_name(request.name or f"{Path(source).name}-{function}"),
        dataset=where,
        title=f"{function} on {shown}",
        description=(
            f"{request.model} with the weights of {request.weights.name} (SHA-256 "
            f"{sha256_of(request.weights)[:12]}…), cut behind {request.cut}, exits behind "
            f"{', '.join(request.exit_modules)}. The twin is the model as it was given."
        ),
        seed=request.seed,
        architecture=request.model,
        classes=len(train.classes),
        channels=channels,
        size=size,
        cut=cut,
        exits=tuple(exits),
        stages=stages,
        plans=(),
    )


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name[:60]!r} cannot name a network; take up to 60 letters, digits, dots, - and _ "
            "with --name."
        )
    return name


def _plans(job: _Job) -> tuple[Plan, ...]:
    """The twin, then hybrid and static of each bit width, those that are there already included.

    Raises:
        ModelError: the name is that of a network of another model, data, cut or exits.
    """
    recipe, kept = job.recipe, {}
    if recipe.network in zoo.networks():
        card = zoo.card(recipe.network)
        kept = dict(card.variants)
        twin = kept.get(TWIN)
        same = twin is not None and dict(twin.spec) == job.spec(bits=32, static=True).to_dict()
        hybrids = {v.exit_stages for v in kept.values() if v.kind == "hybrid"}
        if (
            not same
            or (card.dataset, card.cut) != (recipe.dataset, recipe.cut)
            or (hybrids - {recipe.exits})
        ):
            raise ModelError(
                f"There is a network {recipe.network} already, of another model, data, cut or "
                "exits; choose another --name."
            )
    bits = {*job.request.bits, *(v.bits for v in kept.values() if v.kind == "hybrid")}
    plans = [Plan(name=TWIN, start=job.request.weights.name, epochs=0)]
    for width in sorted(bits):
        plans.append(_plan(job, width, static=False))
        if width != FULL_PRECISION:
            plans.append(_plan(job, width, static=True))
    return tuple(plans)


def _plan(job: _Job, bits: int, *, static: bool) -> Plan:
    epochs = 0 if bits == FULL_PRECISION else job.request.epochs
    return Plan(
        name=zoo.variant_name(bits, static=static),
        start=TWIN,
        epochs=epochs if static else epochs + HEAD_EPOCHS,
        optimizer="adam",
        learning_rate=FINE_RATE if epochs else HEAD_RATE,
        batch=BATCH if epochs else HEAD_BATCH,
        teacher=TWIN if epochs else "",
        heads_only=not static and not epochs,
        warmup=0.0,
        weight_decay=0.0,
        crop=0,
        flip=False,
    )


def _publish_twin(job: _Job) -> None:
    """The model as it was given, in pieces; refused where these answer differently."""
    started = time.monotonic()
    network = _built(job, bits=FULL_PRECISION, static=True)
    again = build(network.spec).eval()
    again.load_state_dict(network.state_dict())
    _check_same_answers(job, again)
    recipe = job.recipe
    if recipe.network in zoo.networks() and TWIN in zoo.card(recipe.network).variants:
        _check_same_weights(job, network)
    else:
        job.say("Recording the twin, the model as it was given.")
        _publish(job, recipe.plan(TWIN), network, _training(started, []))
    accuracy = zoo.variant(recipe.network, 32, static=True).accuracy["tune"][0]
    job.say(f"The model answers {100 * accuracy:.2f} % of the tune split rightly.")
    if accuracy * recipe.classes < _CHANCE:
        job.say(
            "That is hardly more than guessing: its classes may stand in another order than "
            f"{', '.join(job.train.classes[:5])} …, or its images be normalised otherwise (--mean, "
            "--std)."
        )
    counted = sum(layer.macs for layer in census(network))
    total = sum(seen.macs for seen in job.outline.seen.values())
    if counted < total:
        job.say(
            f"{100 * (1 - counted / total):.1f} % of its MACs are neither convolutions nor linear "
            "layers (attention, say); no energy is counted for them."
        )


def _built(job: _Job, *, bits: int, static: bool) -> Adapted:
    network = build(job.spec(bits=bits, static=static))
    assert isinstance(network, Adapted)
    network.take(job.model)
    return network.eval()


@torch.inference_mode()
def _check_same_answers(job: _Job, network: Network) -> None:
    images = pixels(job.train, np.arange(min(8, len(job.train.labels))))
    stem = network.stages[0]
    assert isinstance(stem, nn.Sequential)
    seen = stem[0](images) if isinstance(stem[0], Prepare) else images
    theirs, ours = job.model(seen), network(images)[-1]
    if not theirs.isfinite().all():
        raise ModelError(
            f"{job.request.model} answers with numbers that are not finite; look for such numbers "
            "in its weights, or name the mean and std that it was trained with."
        )
    if not torch.allclose(theirs, ours, rtol=1e-4, atol=1e-5):
        raise ModelError(
            f"{job.request.model} answers differently once it is cut, by up to "
            f"{float((theirs - ours).abs().max()):.3g}: it keeps numbers outside its weights, or "
            "draws them at random; put them into its state."
        )


def _check_same_weights(job: _Job, network: Network) -> None:
    kept = zoo.load(job.recipe.network, bits=FULL_PRECISION, static=True).state_dict()
    if any(not torch.equal(kept[name], value) for name, value in network.state_dict().items()):
        raise ModelError(
            f"There is a network {job.recipe.network} already, with other weights than "
            f"{job.request.weights.name}; choose another --name."
        )


def _publish_variant(job: _Job, bits: int, *, static: bool) -> None:
    started = time.monotonic()
    plan = job.recipe.plan(zoo.variant_name(bits, static=static))
    network = _built(job, bits=bits, static=static)
    if bits != FULL_PRECISION:
        job.say(f"{plan.name}: quantizing.")
        quantize(network, job.train)
        _check_quantized(network, job.request, bits)
    history: list[dict[str, float]] = []
    if not static:
        job.say(f"{plan.name}: training {len(job.recipe.exits)} exits on frozen features.")
        history += train_heads(network, job.train, job.tune, seed=job.request.seed)
    if job.request.epochs and bits != FULL_PRECISION:
        for row in _fine_tuned(network, job, plan):
            history.append(row | {"epoch": float(len(history) + 1)})
    job.say(f"{plan.name}: recording traces.")
    _publish(job, plan, network, _training(started, history))


def _fine_tuned(network: Network, job: _Job, plan: Plan) -> Iterator[dict[str, float]]:
    if not job.twin_logits:
        twin = zoo.load(job.recipe.network, bits=FULL_PRECISION, static=True)
        job.twin_logits.append(exit_logits(twin, job.train)[-1])
    rows = fine_tune(
        network,
        job.train,
        job.tune,
        twin=job.twin_logits[0],
        epochs=job.request.epochs,
        rate=plan.learning_rate,
        exit_weight=plan.exit_weight,
        seed=job.request.seed,
    )
    for row in rows:
        right = ", ".join(f"{100 * v:.1f} %" for k, v in row.items() if k.startswith("tune"))
        job.say(f"{plan.name}: epoch {row['epoch']:.0f}, loss {row['loss']:.3f}, on tune {right}.")
        yield row


def _check_quantized(network: Network, request: AdaptRequest, bits: int) -> None:
    if not any(layer.weight_bits == bits for layer in census(network)):
        raise ModelError(
            f"{request.model} has no convolution behind its first before {request.cut}, and only "
            "convolutions are quantized; cut later, or adapt it at 32 bits."
        )


def _training(started: float, history: list[dict[str, float]]) -> Training:
    return Training(
        history=tuple(history),
        hours=(time.monotonic() - started) / 3600,
        device=f"{torch.get_num_threads()} cores of a {platform.machine()} processor, 32-true",
        versions={"torch": version("torch")},
    )
