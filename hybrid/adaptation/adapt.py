"""Adapt a user's model to a network in pretrained/: quantized edge, exits, traces and card.

    adapt(AdaptRequest(model="torchvision.models:resnet18", weights=Path("mine.safetensors"),
                       data="photos", cut="layer2", exit_modules=("layer1",), bits=(4,)))

The twin is the model as it was given. For each bit width the edge is quantized and the exits are
trained on its frozen features; if epochs are asked for, edge and exits then learn together to
answer like the twin. The cloud segment is not changed. Needs no Lightning.
"""

import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import torch
from torch import nn

from hybrid import zoo
from hybrid.adaptation.checking import distance, some_of, too_good
from hybrid.adaptation.drafts import drafting, is_finished
from hybrid.adaptation.fitting import fine_tune, pixels, quantize, train_heads
from hybrid.adaptation.preparing import AdaptRequest, Preparation, Say, prepare
from hybrid.adaptation.progress import Counted, Report, Work
from hybrid.errors import ModelError
from hybrid.inference.record import exit_logits
from hybrid.models import Network, build
from hybrid.models.adapted import Prepare
from hybrid.models.census import census
from hybrid.quant.levels import FULL_PRECISION
from hybrid.training.publish import Training, publish
from hybrid.training.recipe import Plan
from hybrid.zoo import TWIN

__all__ = ["adapt", "check"]

_PROBED = 64  # images
_CHANCE = 1.5  # times the accuracy of guessing: below, the twin must know other classes


def adapt(
    request: AdaptRequest,
    *,
    say: Say = lambda _: None,
    report: Report = lambda *_: None,
) -> str:
    """Adapt a model and publish it; the network's name.

    If it is interrupted, the same request continues after the last finished variant.

    Args:
        say: called with one sentence about each step, and the time left.
        report: called with images done and images in all, after each batch.

    Raises:
        ModelError, WeightsError: a model, weights, modules or a name that cannot be used.
        BitWidthError: a bit width that is not offered.
        UnknownNameError, DataMissingError, SourceError, ImageError: data that cannot be used.
    """
    torch.manual_seed(request.seed)  # of layers that the weights' file does not set
    prepared = prepare(request, say)
    network = prepared.recipe.network
    try:
        with drafting(prepared):
            _make(prepared, _work(prepared, report))
    except OSError as error:
        raise ModelError(
            f"The network cannot be saved in {zoo.pretrained_folder()} "
            f"({error.strerror or error}); free some space, or name another folder in "
            "HYBRID_PRETRAINED. Finished variants are kept; run the same again to continue."
        ) from error
    return network


def _make(prepared: Preparation, work: Work) -> None:
    prepared = _publish_twin(prepared, work)
    _say_what_stays_wide(prepared)
    _warn_if_far(prepared)
    for bits, static in _variants(prepared.request):
        _publish_variant(prepared, work, bits, static=static)


def _variants(request: AdaptRequest) -> list[tuple[int, bool]]:
    """Bit width, and whether it is static, of each variant besides the twin."""
    return [
        (bits, static)
        for bits in dict.fromkeys(request.bits)
        for static in ((False, True) if bits != FULL_PRECISION else (False,))
    ]


def _work(prepared: Preparation, report: Report) -> Work:
    recipe = prepared.recipe
    splits = ["test", *(["certify"] if "certify" not in recipe.seen else [])]
    images = prepared.images
    train, tune = (len(split.labels) for split in (prepared.train, prepared.tune))
    counted = Counted(
        train=train,
        tune=tune,
        recorded=tune + sum(len(images.load(split).labels) for split in splits),
        size=recipe.size,
        epochs=prepared.request.epochs,
    )
    every = [(FULL_PRECISION, True), *_variants(prepared.request)]
    parts = {zoo.variant_name(b, static=s): counted.of(b, static=s) for b, s in every}
    return Work(parts=parts, report=report)


def check(request: AdaptRequest) -> None:
    """Raise the errors that `adapt` would raise at its start, without making anything."""
    prepare(request, lambda _: None)


def _publish_twin(prepared: Preparation, work: Work) -> Preparation:
    """Publish the model as it was given, in pieces, if the pieces give the same answers.

    Returns:
        The preparation, whose card tells from now on whether the model has seen the tune images.
    """
    started = time.monotonic()
    network = _built(prepared, bits=FULL_PRECISION, static=True)
    again = build(network.spec).eval()
    again.load_state_dict(network.state_dict())
    _check_same_answers(prepared, again)
    recipe = prepared.recipe
    if recipe.network in zoo.networks() and TWIN in zoo.card(recipe.network).variants:
        _check_same_weights(prepared, network)
        work.skip(TWIN)
    else:
        prepared.say("Recording the twin, the model as it was given.")
        with work.watching(TWIN, network):
            _publish(prepared, recipe.plan(TWIN), network, _training(started, []))
    _say_accuracy(prepared)
    return _warned_of_memory(prepared)


def _warned_of_memory(prepared: Preparation) -> Preparation:
    recipe = prepared.recipe
    accuracy = zoo.variant(recipe.network, FULL_PRECISION, static=True).accuracy
    tune, test = accuracy["tune"][0], accuracy["test"][0]
    samples = zoo.trace(recipe.network, TWIN, "test").samples
    if not too_good(tune, test, images=(len(prepared.tune.labels), samples)):
        return prepared
    warning = (
        f"The model classifies {100 * tune:.1f} % of the tune images correctly, but only "
        f"{100 * test:.1f} % of the test images: it was probably trained on the tune images. "
        "Thresholds and certificates from such images promise too much."
    )
    prepared.say(f"Warning: {warning} Give images that it has not seen, with --tune and --certify.")
    return replace(prepared, recipe=replace(recipe, description=f"{recipe.description} {warning}"))


def _say_what_stays_wide(prepared: Preparation) -> None:
    """Name the edge's layers, after the first, that no bit width changes."""
    if set(prepared.request.bits) == {FULL_PRECISION}:
        return
    layers = census(_built(prepared, bits=8, static=False))
    edge = [layer for layer in layers if layer.segment == "edge"]
    wide = [layer for layer in edge[1:] if layer.bits == FULL_PRECISION]
    if not wide:
        return
    share = sum(layer.macs for layer in wide) / sum(layer.macs for layer in edge)
    names = [layer.name.rpartition("graph.")[2] or layer.name for layer in wide]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    prepared.say(
        f"{', '.join(names[:5])}{more} on the device ({', '.join({one.kind: 0 for one in wide})}) "
        f"cannot be quantized and stay at 32 bits: {100 * share:.1f} % of its MACs."
    )


def _warn_if_far(prepared: Preparation) -> None:
    """Say which layer is why the static network is far from the model even at 8 bits."""
    if set(prepared.request.bits) == {FULL_PRECISION}:
        return
    network = _built(prepared, bits=8, static=True)
    some = some_of(prepared.train, _PROBED)
    quantize(network, some)
    images = pixels(some, np.arange(len(some.labels)))
    with torch.inference_mode():
        exact = _built(prepared, bits=FULL_PRECISION, static=True)(images)[-1]
    found = distance(network, images, exact)
    if found.far:
        prepared.say(
            f"Warning: even at 8 bits the network is far from the model: {100 * found.answers:.0f} "
            f"% of {found.images} images get another class. Most is lost in {found.layer}, whose "
            f"outputs are off by {100 * found.layer_error:.0f} %: a few very large weights or "
            "inputs there leave no levels for the others."
        )


def _say_accuracy(prepared: Preparation) -> None:
    recipe = prepared.recipe
    accuracy = zoo.variant(recipe.network, FULL_PRECISION, static=True).accuracy["tune"][0]
    prepared.say(f"The model classifies {100 * accuracy:.2f} % of the tune split correctly.")
    if accuracy * recipe.classes < _CHANCE:
        prepared.say(
            "That is hardly better than guessing: its classes may be in another order than "
            f"{', '.join(prepared.train.classes[:5])} …, or its images may need another "
            "normalisation (--mean, --std)."
        )


def _built(prepared: Preparation, *, bits: int, static: bool) -> Network:
    torch.manual_seed(prepared.request.seed)  # of the heads, whatever was built before
    return build(prepared.spec(bits=bits, static=static), prepared.outline).eval()


@torch.inference_mode()
def _check_same_answers(prepared: Preparation, network: Network) -> None:
    images = pixels(prepared.train, np.arange(min(8, len(prepared.train.labels))))
    stem = network.stages[0]
    assert isinstance(stem, nn.Sequential)
    seen = stem[0](images) if isinstance(stem[0], Prepare) else images
    ours, theirs = network(images)[-1], prepared.outline.graph(seen.clone())
    if not theirs.isfinite().all():
        raise ModelError(
            f"{prepared.request.model} returns numbers that are not finite; look for such numbers "
            "in its weights, or give the mean and std that it was trained with."
        )
    if not torch.allclose(theirs, ours, rtol=1e-4, atol=1e-5):
        raise ModelError(
            f"{prepared.request.model} answers differently once it is cut, by up to "
            f"{float((theirs - ours).abs().max()):.3g}: it keeps numbers outside its weights, or "
            "draws them at random; put them into its state."
        )


def _check_same_weights(prepared: Preparation, network: Network) -> None:
    kept = zoo.load(prepared.recipe.network, bits=FULL_PRECISION, static=True).state_dict()
    if any(not torch.equal(kept[name], value) for name, value in network.state_dict().items()):
        raise ModelError(
            f"There is already a network {prepared.recipe.network}, with other weights than "
            f"{prepared.request.weights.name}; choose another --name."
        )


def _publish_variant(prepared: Preparation, work: Work, bits: int, *, static: bool) -> None:
    plan = prepared.recipe.plan(zoo.variant_name(bits, static=static))
    if is_finished(prepared.recipe.network, plan.name):
        prepared.say(f"{plan.name}: finished in an earlier run.")
        work.skip(plan.name)
        return
    started = time.monotonic()
    network = _built(prepared, bits=bits, static=static)
    with work.watching(plan.name, network):
        history = _fitted(prepared, work, network, plan)
        prepared.say(f"{plan.name}: recording traces.{work.left()}")
        _publish(prepared, plan, network, _training(started, history))


def _fitted(
    prepared: Preparation, work: Work, network: Network, plan: Plan
) -> list[dict[str, float]]:
    """Quantize a network and train its exits, as far as its plan asks for it; the history."""
    request, say, bits = prepared.request, prepared.say, plan.width
    if bits != FULL_PRECISION:
        say(f"{plan.name}: quantizing.{work.left()}")
        quantize(network, prepared.train)
        _check_quantized(network, request, bits)
    history: list[dict[str, float]] = []
    if not plan.static:
        exits = len(prepared.recipe.exits)
        say(f"{plan.name}: training {exits} exits on frozen features.{work.left()}")
        history += train_heads(network, prepared.train, prepared.tune, seed=request.seed)
    if request.epochs and bits != FULL_PRECISION:
        for row in _fine_tuned(prepared, work, network, plan):
            history.append(row | {"epoch": float(len(history) + 1)})
    return history


def _publish(prepared: Preparation, plan: Plan, network: Network, training: Training) -> None:
    """Add a variant to the draft."""
    # whole: a sweep moves variants one by one, to a twin that another machine may have recorded
    publish(prepared.recipe, plan, network, training, whole=True)


def _fine_tuned(
    prepared: Preparation, work: Work, network: Network, plan: Plan
) -> Iterator[dict[str, float]]:
    if not prepared.twin_logits:
        twin = zoo.load(prepared.recipe.network, bits=FULL_PRECISION, static=True)
        prepared.twin_logits.append(exit_logits(twin, prepared.train)[-1])
    rows = fine_tune(
        network,
        prepared.train,
        prepared.tune,
        twin=prepared.twin_logits[0],
        epochs=prepared.request.epochs,
        rate=plan.learning_rate,
        exit_weights=plan.exit_weights(len(network.spec.exits))[:-1],
        seed=prepared.request.seed,
    )
    for row in rows:
        right = ", ".join(f"{100 * v:.1f} %" for k, v in row.items() if k.startswith("tune"))
        prepared.say(
            f"{plan.name}: epoch {row['epoch']:.0f}, loss {row['loss']:.3f}, on tune {right}."
            f"{work.left()}"
        )
        yield row


def _check_quantized(network: Network, request: AdaptRequest, bits: int) -> None:
    if not any(layer.weight_bits == bits for layer in census(network)):
        raise ModelError(
            f"{request.model} has no layer that can be quantized between its first and "
            f"{request.cut}; cut later, or adapt it at 32 bits."
        )


def _training(started: float, history: list[dict[str, float]]) -> Training:
    return Training(
        history=tuple(history),
        hours=(time.monotonic() - started) / 3600,
        device=f"{torch.get_num_threads()} cores of a {platform.machine()} processor, 32-true",
        versions={"torch": version("torch")},
    )
