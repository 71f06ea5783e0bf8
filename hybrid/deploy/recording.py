"""The trace of a deployment form: what a device answers at every exit, and the cloud after it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid import zoo
from hybrid.data import Dataset
from hybrid.deploy import exits, interpreter
from hybrid.deploy.files import load_form
from hybrid.deploy.form import Form
from hybrid.deploy.interpreter import Answers, Left
from hybrid.deploy.library import Library
from hybrid.deploy.torch_engine import Engine
from hybrid.errors import FormError, UnknownNameError
from hybrid.inference.protocols import Progress
from hybrid.models import Network
from hybrid.traces import confidence, trace
from hybrid.traces.trace import Trace

__all__ = [
    "ENGINES",
    "Runs",
    "answers",
    "built",
    "confidences",
    "engine_of",
    "fastest",
    "load_parts",
    "real_logits",
    "record",
]

_BATCH = 100


class Runs(Protocol):
    """An engine of a form."""

    def run(self, pixels: NDArray[np.uint8]) -> Answers:
        """The whole numbers of n images; see `hybrid.deploy.interpreter`."""

    def leave(self, pixels: NDArray[np.uint8], limits: Sequence[int], measure: str) -> Left:
        """Those until each image leaves."""


@dataclass(frozen=True)
class _Interpreter:
    form: Form

    def run(self, pixels: NDArray[np.uint8]) -> Answers:
        return interpreter.run(self.form, pixels)

    def leave(self, pixels: NDArray[np.uint8], limits: Sequence[int], measure: str) -> Left:
        return interpreter.leave(self.form, pixels, limits, measure)


ENGINES: Mapping[str, Callable[[Form], Runs]] = {
    "c": Library,
    "torch": Engine,
    "numpy": _Interpreter,
}


def engine_of(form: Form, name: str = "") -> Runs:
    """An engine by its name; the fastest without one. All give the same.

    Raises:
        UnknownNameError: no engine is called so.
        FormError: it is c, and there is no compiler.
    """
    if not name:
        return fastest(form)
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    return ENGINES[name](form)


def fastest(form: Form) -> Runs:
    """The C engine where there is a compiler, else torch; both give the same."""
    try:
        return Library(form)
    except FormError:
        return Engine(form)


def load_parts(network: str, variant: zoo.Variant) -> tuple[Form, Network]:
    """The form of a variant, and the trained network whose cloud segment follows it.

    Raises:
        FormError, WeightsError: one of both files is missing, damaged or of another card.
    """
    path = zoo.weights_path(network, variant.name)
    form = load_form(path, expect_sha256=variant.files[zoo.WEIGHTS])
    return form, zoo.load_variant(network, zoo.card(network).variants[form.variant])


@torch.inference_mode()
def answers(
    form: Form,
    engine: Runs,
    network: Network,
    images: NDArray[np.uint8],
    *,
    progress: Progress | None = None,
) -> tuple[list[NDArray[np.int64]], NDArray[np.float32]]:
    """Whole logits of the early exits, and the cloud's real ones.

    Args:
        images: (n, height, width, channels).
        progress: called with images done and images in all, after every batch.
    """
    parts: list[tuple[NDArray[np.int64], ...]] = []
    cloud = []
    for start in range(0, len(images), _BATCH):
        given = engine.run(images[start : start + _BATCH])
        parts.append(given.logits)
        features = torch.from_numpy(given.sent).float() * form.step
        cloud.append(network.cloud(features).numpy())
        if progress is not None:
            progress(min(start + _BATCH, len(images)), len(images))
    return [np.concatenate(logits) for logits in zip(*parts, strict=True)], np.concatenate(cloud)


def record(
    form: Form,
    engine: Runs,
    network: Network,
    data: Dataset,
    *,
    variant: str,
    sha256: str,
) -> Trace:
    """The trace of a form, whose early exits' confidences are those that a device computes."""
    whole, cloud = answers(form, engine, network, data.images)
    return built(
        form,
        [[*whole, cloud]],
        labels=data.labels,
        network=form.network,
        variant=variant,
        split=data.split,
        weights_sha256=sha256,
    )


def built(
    form: Form, parts: Iterable[Sequence[NDArray[Any]]], *, labels: NDArray[Any], **about: str
) -> Trace:
    """A form's trace from the logits of consecutive samples, one part in memory at a time.

    Args:
        parts: whole logits of each early exit, then the cloud's real ones.
        about: network, variant, split and weights_sha256, as in `trace.build_in_parts`.
    """
    certain: dict[str, list[NDArray[np.float32]]] = {name: [] for name in confidence.MEASURES}

    def real() -> Iterator[list[NDArray[Any]]]:
        for *whole, cloud in parts:
            for name, found in certain.items():
                found.append(confidences(form, whole, cloud, name, form.temperatures))
            yield [*real_logits(form, whole), cloud]

    made = trace.build_in_parts(
        parts=real(), labels=labels, temperatures=form.temperatures, **about
    )
    exact = {name: np.concatenate(found) for name, found in certain.items()}
    return replace(made, confidences=exact)


def real_logits(form: Form, whole: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float64]]:
    """The real logits of each early exit; their order is that of the whole ones."""
    return [exits.scaled(z, head.scale) for z, head in zip(whole, form.heads, strict=True)]


def confidences(
    form: Form,
    whole: Sequence[NDArray[np.int64]],
    cloud: NDArray[np.float32],
    measure: str,
    temperatures: tuple[float, ...],
) -> NDArray[np.float32]:
    """(n, exits): whole numbers of 2^-24 at early exits, the cloud's as ever."""
    early = [
        exits.confidences(logits, exits.multiplier(head.scale, temperature), measure) / exits.ONE
        for logits, head, temperature in zip(whole, form.heads, temperatures[:-1], strict=True)
    ]
    final = confidence.MEASURES[measure](confidence.softmax(cloud, temperatures[-1]))
    return np.stack([*early, final], axis=1).astype(np.float32)
