"""A deployment form as a network: the edge in whole numbers, the cloud segment after it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid import zoo
from hybrid.data.preprocess import mean_and_deviation
from hybrid.deploy import exits
from hybrid.deploy.form import PIXELS, Form
from hybrid.deploy.recording import answers, confidences, load_parts
from hybrid.deploy.torch_engine import Engine
from hybrid.errors import UnknownNameError
from hybrid.models import Inference, Network
from hybrid.policy import check_thresholds, exits_taken
from hybrid.traces import confidence

__all__ = ["FormNetwork", "load_variant"]


def load_variant(network: str, variant: zoo.Variant) -> "Network | FormNetwork":
    """The network of any variant, ready for `infer`; see `zoo.load_variant`."""
    if variant.kind != "deployed":
        return zoo.load_variant(network, variant)
    form, trained = load_parts(network, variant)
    return FormNetwork(form, trained, dataset=zoo.card(network).dataset)


class FormNetwork:
    """A form and the cloud segment, with the `infer` of a network.

    Args:
        dataset: whose mean and deviation its images are normalised with.
    """

    def __init__(self, form: Form, trained: Network, *, dataset: str) -> None:
        self.form, self._trained = form, trained
        self._engine = Engine(form)  # nothing to compile first, for a few images
        mean, deviation = mean_and_deviation(dataset, channels=form.shapes[PIXELS][0])
        self._mean, self._deviation = (
            torch.tensor(one)[:, None, None] for one in (mean, deviation)
        )

    def infer(
        self, images: torch.Tensor, thresholds: Sequence[float], *, measure: str = "max_probability"
    ) -> Inference:
        """As `Network.infer`. All exits are computed; those after the exit taken are left out."""
        if measure not in confidence.MEASURES:
            raise UnknownNameError("confidence measure", measure, confidence.MEASURES)
        form = self.form
        limits = check_thresholds(thresholds, len(form.heads))
        whole, cloud = answers(form, self._engine, self._trained, self.pixels(images))
        sure = confidences(form, whole, cloud, measure, form.temperatures)
        taken = exits_taken(sure[:, :-1], limits)
        probabilities = self._probabilities(whole, cloud)
        skipped = np.arange(sure.shape[1]) > taken[:, None]
        sure[skipped], probabilities[skipped] = np.nan, np.nan
        classes = [*map(exits.classes, whole), cloud.argmax(axis=1)]
        given = np.stack(classes, axis=1)[np.arange(len(taken)), taken]
        return Inference(
            exit_taken=taken,
            classes=given,
            confidences=sure,
            probabilities=probabilities,
            stage_samples=self._stage_samples(taken),
        )

    def _probabilities(
        self, whole: Sequence[NDArray[np.int64]], cloud: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(n, exits, classes)."""
        form = self.form
        logits: list[NDArray[Any]] = [
            exits.scaled(z, head.scale) for z, head in zip(whole, form.heads, strict=True)
        ]
        found = [
            confidence.softmax(z, t)
            for z, t in zip([*logits, cloud], form.temperatures, strict=True)
        ]
        return np.stack(found, axis=1).astype(np.float32)

    def pixels(self, images: torch.Tensor) -> NDArray[np.uint8]:
        """The pixels that were normalised, exactly."""
        values = (images.cpu() * self._deviation + self._mean) * 255
        found: NDArray[np.uint8] = values.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return found

    def _stage_samples(self, taken: NDArray[np.int64]) -> tuple[int, ...]:
        cut, stages = self._trained.cut, len(self._trained.stages)
        asked = int((taken == len(self.form.heads)).sum())
        return tuple(len(taken) if stage <= cut else asked for stage in range(stages))
