"""A network in two segments: stages, a cut, exit heads; samples that exit are not run on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hybrid.errors import NetworkError, UnknownNameError
from hybrid.models.architectures import StagePlan, architecture
from hybrid.models.blocks import Classifier, ExitBranch, ExitHead
from hybrid.models.spec import Spec
from hybrid.policy import check_thresholds
from hybrid.quant.layers import ActivationQuantizer, QuantConv2d
from hybrid.quant.levels import FULL_PRECISION
from hybrid.traces import confidence

__all__ = ["EdgeOutput", "Inference", "Network"]


@dataclass(frozen=True, kw_only=True)
class EdgeOutput:
    """The edge segment's output for a batch.

    Args:
        logits: one tensor (n, classes) per early exit.
        features: (n, channels, h, w), to be sent, quantized to the uplink's bits.
    """

    logits: list[Tensor]
    features: Tensor


@dataclass(frozen=True, kw_only=True)
class Inference:
    """The results of `Network.infer` for n samples.

    Args:
        exit_taken: the exit, (n,); the final exit has the highest number.
        classes: answer given, (n,).
        confidences: (n, exits) float32; NaN where the exit was not computed.
        probabilities: (n, exits, classes) float32; NaN likewise.
        stage_samples: how many samples each stage really computed.
    """

    exit_taken: np.ndarray
    classes: np.ndarray
    confidences: np.ndarray
    probabilities: np.ndarray
    stage_samples: tuple[int, ...]


class Network(nn.Module):
    """Stages with a cut after one of them and exit heads on edge stages.

    Attributes:
        spec: its description.
        stage_names: one per stage, "stem" first.
        temperatures: of each exit, final last; 1 until fitted.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.temperatures: tuple[float, ...] = (1.0,) * (len(spec.exits) + 1)
        self._build(spec)

    def _build(self, spec: Spec) -> None:
        """Set stages and their names, heads, classifier, uplink and the shape of the features."""
        family = architecture(spec.architecture)
        plans = family.plan(spec.channels)
        bits = spec.stage_bits(len(plans))
        self.stage_names: tuple[str, ...]
        self.feature_shape: tuple[int, ...]  # of one sample
        self.classifier: nn.Module
        self.stage_names = tuple(plan.name for plan in plans)
        self.stages = nn.ModuleList(plan.build(k) for plan, k in zip(plans, bits, strict=True))
        self.heads = nn.ModuleDict()
        size = spec.size
        sides = [size := plan.side(size) for plan in plans]
        if sides[-1] < 1:
            raise NetworkError(
                f"Images of {spec.size} pixels are too small for {family.title}: its last stage "
                "would have no pixels left."
            )
        for number, index in enumerate(spec.exits):
            self.heads[str(index)] = _exit(plans, sides, index, spec.classes, *spec.branch(number))
        self.classifier = Classifier(plans[-1].outputs, spec.classes, pooling=family.pooling)
        channels = plans[spec.cut].outputs
        self.feature_shape = (channels, sides[spec.cut], sides[spec.cut])
        width = FULL_PRECISION if spec.static else spec.uplink_bits
        self.uplink = ActivationQuantizer(width, channels)

    @property
    def cut(self) -> int:
        """Index of the last edge stage."""
        return self.spec.cut

    @property
    def exit_stages(self) -> tuple[int, ...]:
        """Stages that carry an exit head."""
        return self.spec.exits

    def edge(self, x: Tensor) -> EdgeOutput:
        """Run the edge segment with all its heads on (n, channels, size, size)."""
        logits = []
        for index, stage in enumerate(self.stages[: self.cut + 1]):
            x = stage(x)
            if index in self.exit_stages:
                logits.append(self.heads[str(index)](x))
        return EdgeOutput(logits=logits, features=self._sent(x))

    def cloud(self, features: Tensor) -> Tensor:
        """Run the cloud segment on the features at the cut; logits (n, classes)."""
        features = self._received(features)
        for stage in self.stages[self.cut + 1 :]:
            features = stage(features)
        logits: Tensor = self.classifier(features)
        return logits

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits of every exit, final last, each (n, classes); no sample stops early."""
        edge = self.edge(x)
        return [*edge.logits, self.cloud(edge.features)]

    def _sent(self, x: Tensor) -> Tensor:
        # The uplink's levels are unsigned, but the output of a 1-bit stage may be negative.
        sent: Tensor = self.uplink(x) if self.spec.static else self.uplink(x.relu())
        return sent

    def _received(self, features: Tensor) -> Tensor:
        """The cloud segment's input, from the features that were sent."""
        return features

    @torch.inference_mode()
    def infer(
        self, images: Tensor, thresholds: Sequence[float], *, measure: str = "max_probability"
    ) -> Inference:
        """Answer each image at the first exit that is confident enough; later stages skip it.

        Args:
            images: (n, channels, size, size), preprocessed.
            thresholds: one per early exit, in [0, 1].
            measure: a name in `hybrid.traces.confidence.MEASURES`.

        Raises:
            ThresholdError: invalid thresholds.
            UnknownNameError: no such measure.
        """
        if measure not in confidence.MEASURES:
            raise UnknownNameError("confidence measure", measure, confidence.MEASURES)
        limits = check_thresholds(thresholds, len(self.exit_stages))
        run = _Run(len(images), len(self.exit_stages) + 1, self.spec.classes)
        x = images
        stage_samples = [0] * len(self.stages)
        for index, stage in enumerate(self.stages):
            if not len(x):
                break
            stage_samples[index] = len(x)
            x = stage(x)
            if index in self.exit_stages:
                exit_ = self.exit_stages.index(index)
                confident = run.record(
                    exit_, self.heads[str(index)](x), self.temperatures[exit_], measure
                ) >= np.float32(limits[exit_])
                run.leave(exit_, confident)
                if confident.any():  # if all stay, nothing is copied
                    x = x[torch.from_numpy(~confident).to(x.device)]
            if index == self.cut and len(x):
                x = self._received(self._sent(x))
        if len(x):
            last = len(self.exit_stages)
            run.record(last, self.classifier(x), self.temperatures[last], measure)
            run.leave(last, np.ones(len(x), dtype=bool))
        return run.result(tuple(stage_samples))


def _exit(
    plans: Sequence[StagePlan], sides: Sequence[int], index: int, classes: int, blocks: int, k: int
) -> nn.Module:
    """The exit after a stage: the paper's head, after the next `blocks` stages at k bits."""
    last = index + blocks
    if last >= len(plans):
        raise NetworkError(
            f"After stage {index} follow {len(plans) - 1 - index} stages, so an exit's branch "
            f"cannot have {blocks} blocks; give it fewer."
        )
    head = ExitHead(plans[last].outputs, sides[last], classes)
    if not blocks:
        return head
    return ExitBranch([plan.build(k) for plan in plans[index + 1 : last + 1]], head)


class _Run:
    """The bookkeeping of one `infer`: samples that are left, and every exit's answers."""

    def __init__(self, samples: int, exits: int, classes: int) -> None:
        self.alive = np.arange(samples)
        self.exit_taken = np.full(samples, exits - 1)
        self.confidences = np.full((samples, exits), np.nan, dtype=np.float32)
        self.probabilities = np.full((samples, exits, classes), np.nan, dtype=np.float32)

    def record(self, exit_: int, logits: Tensor, temperature: float, measure: str) -> np.ndarray:
        """Record an exit's answers for the samples that are left; their confidences, float32."""
        probabilities = confidence.softmax(logits.float().cpu().numpy(), temperature)
        values: np.ndarray = confidence.MEASURES[measure](probabilities).astype(np.float32)
        self.probabilities[self.alive, exit_] = probabilities
        self.confidences[self.alive, exit_] = values
        return values

    def leave(self, exit_: int, confident: np.ndarray) -> None:
        """Let the confident samples leave."""
        self.exit_taken[self.alive[confident]] = exit_
        self.alive = self.alive[~confident]

    def result(self, stage_samples: tuple[int, ...]) -> Inference:
        """The answers of all samples."""
        taken = self.probabilities[np.arange(len(self.exit_taken)), self.exit_taken]
        return Inference(
            exit_taken=self.exit_taken,
            classes=taken.argmax(axis=1) if len(taken) else np.zeros(0, dtype=np.int64),
            confidences=self.confidences,
            probabilities=self.probabilities,
            stage_samples=stage_samples,
        )


def quantized_layers(network: nn.Module) -> dict[str, QuantConv2d]:
    """The convolutions below 32 bits, by name."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, QuantConv2d) and module.weight_bits != FULL_PRECISION
    }
