"""Freeze a trained variant: its deployment form, traces, temperatures and entry in the card.

The form is a variant of its own, `deployed-4bit` beside `hybrid-4bit`: whatever reads traces by a
variant's name can read these too. Its weights file is the form.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from filelock import FileLock
from numpy.typing import NDArray

from hybrid import zoo
from hybrid.data import Dataset
from hybrid.data.preprocess import normalise
from hybrid.deploy import exits
from hybrid.deploy.building import FORMATS, Formats, Ranges, build, observe
from hybrid.deploy.files import save_form
from hybrid.deploy.form import Form
from hybrid.deploy.recording import Runs, answers, fastest, record
from hybrid.errors import BitWidthError
from hybrid.files import sha256_of
from hybrid.models import Network
from hybrid.quant.levels import FULL_PRECISION
from hybrid.traces import confidence, trace
from hybrid.traces.trace import Trace
from hybrid.training.publish import CARD_LOCK

__all__ = ["Frozen", "freeze", "widths"]

_NEAR = 0.003  # share of an exit's answers on tune that may differ if a coarser format is to do
_UNSEEN = 3  # none of n seen: at most 3 of n, with 95 % confidence (the rule of three)
_BATCH = 100
_OBSERVED = 1000  # images of tune that the ranges are taken from


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What freezing a variant gave.

    Args:
        trained, deployed: the variants in the card.
        formats: that were chosen.
        different: the share of the test answers that differ, of every exit, final last.
    """

    trained: zoo.Variant
    deployed: zoo.Variant
    formats: Formats
    different: tuple[float, ...]


def widths(network: str, bits: int | None = None) -> list[int]:
    """The bit widths of a network that have a form, or the one that is asked for.

    Raises:
        BitWidthError: that one has none.
    """
    offered = [k for k in zoo.bit_widths(network) if k != FULL_PRECISION]
    if bits is not None and bits not in offered:
        raise BitWidthError(bits, offered)
    return offered if bits is None else [bits]


def freeze(name: str, bits: int, *, say: Callable[[str], None] = lambda _: None) -> Frozen:
    """Make the form of a bit width, record its traces and put it on the card.

    Args:
        say: is told in a few words what happens next.

    Raises:
        DataMissingError, UnknownNameError, BitWidthError, WeightsError: see `hybrid.zoo`.
        FormError: the network has no exact form.
    """
    trained = zoo.variant(name, bits)
    network = zoo.load_variant(name, trained)
    images = {split: zoo.images(name, split) for split in zoo.SPLITS}
    say("choosing number formats on tune")
    form, formats, engine = _chosen(name, trained, network, images["tune"])
    form = replace(form, temperatures=_temperatures(form, engine, network, images["tune"]))
    folder = zoo.variant_name(bits, deployed=True)
    sha256 = save_form(form, zoo.weights_path(name, folder))
    traces = {}
    for split, data in images.items():
        say(f"recording {split}")
        traces[split] = record(form, engine, network, data, variant=folder, sha256=sha256)
        trace.save(traces[split], zoo.trace_path(name, folder, split))
    deployed = _entry(trained, form, formats, sha256, traces)
    _onto_card(name, deployed)
    there = zoo.trace(name, trained.name, "test")
    different = (traces["test"].classes != there.classes).mean(axis=0)
    return Frozen(
        trained=trained,
        deployed=deployed,
        formats=formats,
        different=tuple(different.round(5).tolist()),
    )


def _chosen(
    name: str, trained: zoo.Variant, network: Network, tune: Dataset
) -> tuple[Form, Formats, Runs]:
    """The coarsest formats whose exits answer as the float network's, or else the finest."""
    seen = range(0, min(_OBSERVED, len(tune.labels)), _BATCH)
    pixels = (normalise(tune.images[start : start + _BATCH], tune.name) for start in seen)
    ranges = observe(network, [torch.from_numpy(one) for one in pixels])
    wanted = zoo.trace(name, trained.name, "tune").classes
    few = _NEAR * len(wanted) < _UNSEEN
    for formats in FORMATS[-1:] if few else FORMATS:
        form = _form(name, trained, network, tune.name, ranges, formats)
        engine = fastest(form)
        answers = [exits.classes(logits) for logits in engine.run(tune.images).logits]
        different = max(int((given != wanted[:, i]).sum()) for i, given in enumerate(answers))
        if different + _UNSEEN <= _NEAR * len(wanted):
            break
    return form, formats, engine


def _form(
    name: str,
    trained: zoo.Variant,
    network: Network,
    dataset: str,
    ranges: Ranges,
    formats: Formats,
) -> Form:
    return build(
        network,
        name=name,
        variant=trained.name,
        source_sha256=trained.files[zoo.WEIGHTS],
        dataset=dataset,
        ranges=ranges,
        formats=formats,
    )


def _temperatures(form: Form, engine: Runs, network: Network, tune: Dataset) -> tuple[float, ...]:
    whole, cloud = answers(form, engine, network, tune.images)
    real: list[NDArray[Any]] = [
        exits.scaled(z, head.scale) for z, head in zip(whole, form.heads, strict=True)
    ]
    return tuple(confidence.fit_temperature(logits, tune.labels) for logits in [*real, cloud])


def _entry(
    trained: zoo.Variant,
    form: Form,
    formats: Formats,
    sha256: str,
    traces: dict[str, Trace],
) -> zoo.Variant:
    folder = zoo.variant_name(trained.bits, deployed=True)
    paths = [zoo.trace_path(form.network, folder, split) for split in traces]
    return replace(
        trained,
        name=folder,
        kind="deployed",
        temperatures=form.temperatures,
        files={zoo.WEIGHTS: sha256} | {path.name: sha256_of(path) for path in paths},
        accuracy={split: tuple(_accuracies(one)) for split, one in traces.items()},
        auroc={split: tuple(_aurocs(one)) for split, one in traces.items()},
        history=(),
        recipe={"formats": asdict(formats)},
        origins={trained.name: form.source_sha256},
    )


def _accuracies(recorded: Trace) -> list[float]:
    rounded: list[float] = recorded.correct.mean(axis=0).round(5).tolist()
    return rounded


def _aurocs(recorded: Trace) -> Iterator[float]:
    for i, values in enumerate(recorded.confidences["max_probability"].T):
        yield round(float(confidence.auroc(values, recorded.correct[:, i])), 5)


def _onto_card(name: str, deployed: zoo.Variant) -> None:
    path = zoo.pretrained_folder() / name / "card.toml"
    with FileLock(path.with_name(CARD_LOCK)):
        card = zoo.load_card(path)  # with the forms that are not here, too
        zoo.save_card(replace(card, forms={**card.forms, deployed.name: deployed}), path)
