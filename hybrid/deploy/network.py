"""A deployment form as a network: the edge in whole numbers, the cloud segment after it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid import zoo
from hybrid.data import Dataset
from hybrid.data.preprocess import mean_and_deviation
from hybrid.deploy import exits
from hybrid.deploy.form import PIXELS, Form
from hybrid.deploy.interpreter import Left
from hybrid.deploy.recording import (
    Runs,
    answers,
    built,
    confidences,
    engine_of,
    load_parts,
    real_logits,
)
from hybrid.errors import UnknownNameError
from hybrid.inference.protocols import Progress
from hybrid.models import Inference, Network
from hybrid.policy import check_thresholds
from hybrid.traces import confidence
from hybrid.traces.trace import Trace

__all__ = ["FormNetwork", "load_form_network", "load_variant"]


def load_variant(
    network: str, variant: zoo.Variant, *, engine: str = ""
) -> "Network | FormNetwork":
    """The network of any variant, ready for `infer`; see `zoo.load_variant`.

    Args:
        engine: what computes a form; by default the fastest. See `engine_of`.
    """
    if variant.kind != "deployed":
        return zoo.load_variant(network, variant)
    return load_form_network(network, variant, engine=engine)


def load_form_network(network: str, variant: zoo.Variant, *, engine: str = "") -> "FormNetwork":
    """The network of a form, as `load_variant` gives it.

    Raises:
        UnknownNameError, FormError: no such engine, no compiler, or no intact form.
    """
    form, trained = load_parts(network, variant)
    return FormNetwork(
        form, trained, dataset=zoo.card(network).dataset, engine=engine_of(form, engine)
    )


class FormNetwork:
    """A form and the cloud segment, with what a network has for those who run it.

    Attributes:
        stages, exit_stages, temperatures: as in `Network`.

    Args:
        dataset: whose mean and deviation its images are normalised with.
    """

    def __init__(self, form: Form, trained: Network, *, dataset: str, engine: Runs) -> None:
        self.form, self._trained, self._engine = form, trained, engine
        self.stages, self.exit_stages = trained.stages, trained.exit_stages
        self.spec, self.temperatures = trained.spec, form.temperatures
        self._called: set[str] | None = None
        mean, deviation = mean_and_deviation(dataset, channels=form.shapes[PIXELS][0])
        self._mean, self._deviation = (
            torch.tensor(one)[:, None, None] for one in (mean, deviation)
        )

    def __call__(self, images: torch.Tensor) -> list[NDArray[Any]]:
        """Logits of every exit, final last; no image stops early."""
        whole, cloud = answers(self.form, self._engine, self._trained, self.pixels(images))
        return [*real_logits(self.form, whole), cloud]

    def infer(
        self, images: torch.Tensor, thresholds: Sequence[float], *, measure: str = "max_probability"
    ) -> Inference:
        """As `Network.infer`: what comes after the exit taken is not computed."""
        if measure not in confidence.MEASURES:
            raise UnknownNameError("confidence measure", measure, confidence.MEASURES)
        limits = check_thresholds(thresholds, len(self.form.heads))
        left = self._engine.leave(
            self.pixels(images), [exits.whole_threshold(one) for one in limits], measure
        )
        cloud = self._cloud(left)
        self._note(left)
        sure = confidences(self.form, left.logits, cloud, measure, self.temperatures)
        probabilities = self._probabilities(left.logits, cloud)
        taken = left.exit_taken
        skipped = np.arange(sure.shape[1]) > taken[:, None]
        sure[skipped], probabilities[skipped] = np.nan, np.nan
        classes = np.stack([*map(exits.classes, left.logits), cloud.argmax(axis=1)], axis=1)
        return Inference(
            exit_taken=taken,
            classes=classes[np.arange(len(taken)), taken],
            confidences=sure,
            probabilities=probabilities,
            stage_samples=self._stage_samples(left),
        )

    def exit_logits(self, data: Dataset, *, progress: Progress | None = None) -> list[NDArray[Any]]:
        """Whole logits of each early exit, then the cloud's real ones; no image stops early."""
        whole, cloud = answers(
            self.form, self._engine, self._trained, data.images, progress=progress
        )
        return [*whole, cloud]

    def trace_of(
        self, parts: Iterable[Sequence[NDArray[Any]]], *, labels: NDArray[Any], **about: str
    ) -> Trace:
        """The trace from the logits that `exit_logits` gives, part by part."""
        return built(self.form, parts, labels=labels, **about)

    @contextmanager
    def calls(self, names: Sequence[str]) -> Iterator[set[str]]:
        """Record which of the layers are computed inside the block, by their names."""
        called: set[str] = set()
        modules = dict(self._trained.named_modules())
        handles = [
            modules[name].register_forward_hook(lambda *_, name=name: called.add(name))
            for name in names
        ]
        self._called = called
        try:
            yield called
        finally:
            self._called = None
            for handle in handles:
                handle.remove()

    @torch.inference_mode()
    def _cloud(self, left: Left) -> NDArray[np.float32]:
        """(n, classes): the cloud's logits, 0 for images that left early."""
        logits = np.zeros((len(left.exit_taken), self.form.classes), np.float32)
        if len(left.sent):
            features = torch.from_numpy(left.sent).float() * self.form.step
            logits[left.exit_taken == len(self.form.heads)] = self._trained.cloud(features).numpy()
        return logits

    def _note(self, left: Left) -> None:
        if self._called is not None:
            computed = self.form.steps[: int(left.steps.max(initial=0))]
            self._called |= {_layer_name(step.name) for step in computed}

    def _probabilities(
        self, whole: Sequence[NDArray[np.int64]], cloud: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(n, exits, classes)."""
        logits: list[NDArray[Any]] = [*real_logits(self.form, whole), cloud]
        found = [confidence.softmax(z, t) for z, t in zip(logits, self.temperatures, strict=True)]
        return np.stack(found, axis=1).astype(np.float32)

    def pixels(self, images: torch.Tensor) -> NDArray[np.uint8]:
        """The pixels that were normalised, exactly."""
        values = (images.cpu() * self._deviation + self._mean) * 255
        found: NDArray[np.uint8] = values.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return found

    def _stage_samples(self, left: Left) -> tuple[int, ...]:
        """How many images each stage computed: on the edge, those that reached its first step."""
        first = {step.stage: number for number, step in reversed([*enumerate(self.form.steps)])}
        cloud = len(left.sent)
        return tuple(
            int((left.steps > first[stage]).sum()) if stage in first else cloud
            for stage in range(len(self.stages))
        )


def _layer_name(step: str) -> str:
    """The census's name of the layer that a step was made of.

    >>> _layer_name("stem"), _layer_name("stage6.shortcut"), _layer_name("stage8.exit")
    ('stages.0.conv', 'stages.6.shortcut.0', 'heads.8.linear')
    >>> _layer_name("stage3.conv1")
    'stages.3.conv1'
    """
    stage, _, layer = step.removeprefix("stage").partition(".")
    if step == "stem":
        return "stages.0.conv"
    if layer == "exit":
        return f"heads.{stage}.linear"
    return f"stages.{stage}.{layer}" + (".0" if layer == "shortcut" else "")
