"""The trace of a deployment form: what a device answers at every exit, and the cloud after it."""

from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid import zoo
from hybrid.data import Dataset
from hybrid.deploy import exits
from hybrid.deploy.files import load_form
from hybrid.deploy.form import Form
from hybrid.deploy.interpreter import Answers
from hybrid.deploy.library import Library
from hybrid.deploy.torch_engine import Engine
from hybrid.errors import FormError
from hybrid.models import Network
from hybrid.traces import confidence, trace
from hybrid.traces.trace import Trace

__all__ = ["Runs", "answers", "confidences", "fastest", "load_parts", "record"]

_BATCH = 100


class Runs(Protocol):
    """An engine of a form."""

    def run(self, pixels: NDArray[np.uint8]) -> Answers:
        """The whole numbers of n images."""


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
    form: Form, engine: Runs, network: Network, images: NDArray[np.uint8]
) -> tuple[list[NDArray[np.int64]], NDArray[np.float32]]:
    """Whole logits of the early exits, and the cloud's real ones.

    Args:
        images: (n, height, width, channels).
    """
    parts: list[tuple[NDArray[np.int64], ...]] = []
    cloud = []
    for start in range(0, len(images), _BATCH):
        given = engine.run(images[start : start + _BATCH])
        parts.append(given.logits)
        features = torch.from_numpy(given.sent).float() * form.step
        cloud.append(network.cloud(features).numpy())
    return [np.concatenate(logits) for logits in zip(*parts, strict=True)], np.concatenate(cloud)


def record(
    form: Form, engine: Runs, network: Network, data: Dataset, *, variant: str, sha256: str
) -> Trace:
    """The trace of a form, whose early exits' confidences are those that a device computes."""
    whole, cloud = answers(form, engine, network, data.images)
    real = [exits.scaled(z, head.scale) for z, head in zip(whole, form.heads, strict=True)]
    built = trace.build(
        logits=[*real, cloud],
        labels=data.labels,
        temperatures=form.temperatures,
        network=form.network,
        variant=variant,
        split=data.split,
        weights_sha256=sha256,
    )
    return replace(
        built,
        classes=np.stack([*map(exits.classes, whole), cloud.argmax(axis=1)], axis=1),
        confidences={
            name: confidences(form, whole, cloud, name, form.temperatures)
            for name in confidence.MEASURES
        },
    )


def confidences(
    form: Form,
    whole: list[NDArray[np.int64]],
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
