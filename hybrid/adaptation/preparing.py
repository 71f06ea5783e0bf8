"""Prepare all that adapting needs: images, traced model, recipe. Refuses impossible requests.

Nothing is trained or published here.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn

from hybrid import zoo
from hybrid.adaptation.fitting import BATCH, HEAD_BATCH, HEAD_EPOCHS, HEAD_RATE
from hybrid.adaptation.request import AdaptRequest
from hybrid.adaptation.splits import (
    FOLDER_SIZE,
    SplitImages,
    check_images,
    seen_in_words,
    seen_on_card,
    sides,
    skipped_in_words,
    split_images,
)
from hybrid.data import DATASETS, Dataset
from hybrid.data.preprocess import CROP, mean_and_deviation
from hybrid.errors import ModelError
from hybrid.files import sha256_of
from hybrid.models import Reference, Spec
from hybrid.models.adapted import stage_cuts
from hybrid.models.cutting import Cut, cuts
from hybrid.models.tracing import Outline, trace
from hybrid.models.user_models import folder_of, load_model, materialise
from hybrid.models.weight_files import fit_weights
from hybrid.quant.levels import FULL_PRECISION, check_bits
from hybrid.training.recipe import Plan, Recipe
from hybrid.zoo import TWIN

__all__ = [
    "FOLDER_SIZE",
    "AdaptRequest",
    "Preparation",
    "Say",
    "first_channels",
    "prepare",
    "sides",
    "weighted",
]

FINE_RATE = 3e-4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """Everything that the variants share."""

    request: AdaptRequest
    outline: Outline
    images: SplitImages
    train: Dataset
    tune: Dataset
    recipe: Recipe
    reference: Reference
    say: Say
    twin_logits: list[np.ndarray] = field(default_factory=list)  # on train, once computed

    def spec(self, *, bits: int, static: bool) -> Spec:
        """The description of a variant."""
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


def prepare(request: AdaptRequest, say: Say) -> Preparation:
    """Load images and model, trace it and plan its variants.

    Raises:
        ModelError, WeightsError: a model, weights, modules or a name that cannot be used.
        BitWidthError: a bit width that is not offered.
        UnknownNameError, DataMissingError, SourceError, ImageError: data that cannot be used.
    """
    _check_numbers(request)
    images = split_images(request)
    say(f"Reading {images.where}.")
    classes = len(images.load("train").classes)
    model = load_model(request.model, classes=classes)
    channels = first_channels(model) or images.channels
    images = _with_channels(images, channels, request)
    train, tune = images.load("train"), images.load("tune")
    check_images(images, train)
    for line in (*skipped_in_words(train), *seen_in_words(images)):
        say(line)
    shape = (channels, *sides(request.size, images.size))
    outline = weighted(model, request, shape)
    _check_classes(request, outline, classes)
    places, exits, cut = stage_cuts(
        cuts(outline), cut=request.cut, exits=request.exit_modules, reference=request.model
    )
    preparation = Preparation(
        request=request,
        outline=outline,
        images=images,
        train=train,
        tune=tune,
        recipe=_recipe(request, images, train, exits, cut, stages=len(places) + 1),
        reference=_reference(request, images, outline, places),
        say=say,
    )
    return replace(preparation, recipe=replace(preparation.recipe, plans=_plans(preparation)))


def first_channels(model: nn.Module) -> int | None:
    """Colour channels that the first convolution takes; None if there is none or it is lazy."""
    convolutions = (m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    return next(convolutions, None) or None


def weighted(model: nn.Module, request: AdaptRequest, shape: tuple[int, int, int]) -> Outline:
    """The traced model with the weights of its file."""
    materialise(model, shape, reference=request.model)
    fit_weights(model, request.weights)
    return trace(model, shape=shape, reference=request.model, output=request.output)


def _check_numbers(request: AdaptRequest) -> None:
    for bits in request.bits:
        check_bits(bits)
    if not request.bits or not request.exit_modules or request.epochs < 0:
        raise ModelError("Adapting needs a bit width, an exit and 0 or more epochs; give them.")


def _with_channels(images: SplitImages, wanted: int, request: AdaptRequest) -> SplitImages:
    """The images with as many colour channels as the model takes; a folder's may become grey."""
    channels = 1 if not images.named and wanted == 1 else images.channels
    if channels not in (1, wanted):
        raise ModelError(
            f"{request.model} takes {wanted} colour channels, but the images have {channels}; give "
            "it a first layer for as many."
        )
    return replace(images, channels=channels)


def _check_classes(request: AdaptRequest, outline: Outline, classes: int) -> None:
    if outline.classes != classes:
        raise ModelError(
            f"{request.model} returns {outline.classes} logits per image, but the data has "
            f"{classes} classes; give a model that was trained on these classes."
        )


def _reference(
    request: AdaptRequest, images: SplitImages, outline: Outline, places: Sequence[Cut]
) -> Reference:
    channels, height, width = outline.shape
    scale, shift = _scale_and_shift(request, images, model=channels)
    return Reference(
        stages=tuple(place.name for place in places),
        size=0 if height == images.size else height,
        width=0 if width == height else width,
        output=request.output,
        channels=0 if channels == images.channels else channels,
        scale=scale,
        shift=shift,
    )


def _scale_and_shift(
    request: AdaptRequest, images: SplitImages, *, model: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """From the data set's normalisation to the model's (primed): (x · d + m - m') / d'.

    Empty if the request has no mean and deviation.
    """
    if not request.mean and not request.std:
        return (), ()
    if not len(request.mean) == len(request.std) == model or min(request.std) <= 0:
        raise ModelError(
            f"Give a mean and a standard deviation above 0 for each of {model} channels."
        )
    mean, std = mean_and_deviation(images.where, channels=images.channels)
    copies = model // images.channels
    rows = list(zip(mean * copies, std * copies, request.mean, request.std, strict=True))
    return tuple(d / d2 for _, d, _, d2 in rows), tuple((m - m2) / d2 for m, _, m2, d2 in rows)


def _recipe(
    request: AdaptRequest,
    images: SplitImages,
    train: Dataset,
    exits: Sequence[int],
    cut: int,
    *,
    stages: int,
) -> Recipe:
    function = request.model.partition(":")[2]
    path = Path(images.where)
    source = path.name if images.named or path.is_dir() else path.stem
    shown = DATASETS[images.where].title if images.named else path.name
    return Recipe(
        network=_checked_name(request.name or f"{source}-{function}"),
        dataset=images.where,
        title=f"{function} on {shown}",
        description=(
            f"{request.model} with the weights of {request.weights.name} (SHA-256 "
            f"{sha256_of(request.weights)[:12]}…), cut after {request.cut}, exits after "
            f"{', '.join(request.exit_modules)}. The twin is the model as it was given."
            f"{seen_on_card(images)}"
        ),
        seed=request.seed,
        architecture=request.model,
        classes=len(train.classes),
        channels=images.channels,
        size=images.size,
        cut=cut,
        exits=tuple(exits),
        stages=stages,
        plans=(),
        sources=images.sources,
        seen=images.seen,
        module_folder=folder_of(request.model),
        fit="" if images.fit == CROP else images.fit,
    )


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name[:60]!r} cannot name a network; use up to 60 letters, digits, dots, - and _ "
            "with --name."
        )
    return name


def _plans(preparation: Preparation) -> tuple[Plan, ...]:
    """The twin, then hybrid and static network of each bit width, existing ones included."""
    kept = _kept_variants(preparation)
    request = preparation.request
    bits = {*request.bits, *(v.bits for v in kept if v.kind == "hybrid")}
    plans = [Plan(name=TWIN, start=request.weights.name, epochs=0)]
    for width in sorted(bits):
        plans.append(_plan(request, width, static=False))
        if width != FULL_PRECISION:
            plans.append(_plan(request, width, static=True))
    return tuple(plans)


def _kept_variants(preparation: Preparation) -> tuple[zoo.Variant, ...]:
    """Variants that the network already has.

    Raises:
        ModelError: the name is that of a network of another model, data, cut or exits.
    """
    recipe = preparation.recipe
    if recipe.network not in zoo.networks():
        return ()
    card = zoo.card(recipe.network)
    twin = card.variants.get(TWIN)
    same = twin is not None and dict(twin.spec) == (
        preparation.spec(bits=FULL_PRECISION, static=True).to_dict()
    )
    other_exits = {v.exit_stages for v in card.variants.values() if v.kind == "hybrid"} - {
        recipe.exits
    }
    if not same or (card.dataset, card.cut) != (recipe.dataset, recipe.cut) or other_exits:
        raise ModelError(
            f"There is already a network {recipe.network}, with another model, data, cut or exits; "
            "choose another --name."
        )
    return tuple(card.variants.values())


def _plan(request: AdaptRequest, bits: int, *, static: bool) -> Plan:
    epochs = 0 if bits == FULL_PRECISION else request.epochs
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
