"""Run one image through a network: every exit's answer, the layers that ran, the time it took.

Nothing is inferred from the thresholds afterwards: each layer records its call itself. A network
and pixels in, plain values out; no widget.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid.data.preprocess import normalise
from hybrid.inference.protocols import CountsCalls
from hybrid.zoo import Card, Variant, exit_labels

if TYPE_CHECKING:
    from hybrid.models import Network

__all__ = ["ExitSaid", "ImageRun", "StageRan", "run"]

TOP = 3  # classes shown per exit
RUNS = 3  # whose median is the time: other programs disturb single runs


@dataclass(frozen=True, kw_only=True)
class ExitSaid:
    """One exit's answer; if it was not computed, `confidence` is None and `top` empty.

    threshold is None at the final exit, where every sample leaves. top: (class, probability),
    most likely first.
    """

    name: str
    threshold: float | None
    confidence: float | None
    top: tuple[tuple[str, float], ...]
    left: bool


@dataclass(frozen=True, kw_only=True)
class StageRan:
    """A stage or a classifier: how many layers it has, how many were called."""

    name: str
    segment: str  # edge, head or cloud
    exit: int | None
    layers: int
    called: int
    macs: int


@dataclass(frozen=True, kw_only=True)
class ImageRun:
    """The run of one image.

    exit: position of the exit taken; the final one is last. measured_ms: median of `RUNS` runs.
    """

    exit_taken: int
    answer: str
    probability: float
    said: tuple[ExitSaid, ...]
    ran: tuple[StageRan, ...]
    macs: int
    macs_run: int
    measured_ms: float

    @property
    def not_called(self) -> tuple[str, ...]:
        """Names of the parts without a call."""
        return tuple(part.name for part in self.ran if not part.called)


def run(
    network: "Network | CountsCalls",
    pixels: NDArray[np.uint8],
    *,
    card: Card,
    variant: Variant,
    thresholds: Sequence[float],
    measure: str = "max_probability",
    clock: Callable[[], float] = time.perf_counter,
) -> ImageRun:
    """Send one image through a network and record the layers called in the last run.

    Args:
        network: the variant's, ready for inference; no other thread may run it meanwhile.
        pixels: (h, w, channels), the network's input.
        thresholds: one per early exit.
        clock: seconds; read just before and just after each run.
    """
    import torch

    batch = torch.from_numpy(normalise(pixels[None], card.dataset))
    seconds = []
    for _ in range(RUNS - 1):
        start = clock()
        network.infer(batch, thresholds, measure=measure)
        seconds.append(clock() - start)
    names = [layer.name for layer in variant.layers]
    counted = network.calls(names) if isinstance(network, CountsCalls) else _calls(network, names)
    with counted as called:
        start = clock()
        answer = network.infer(batch, thresholds, measure=measure)
        seconds.append(clock() - start)
    exit_ = int(answer.exit_taken[0])
    probabilities = answer.probabilities[0]  # (exits, classes)
    return ImageRun(
        exit_taken=exit_,
        answer=card.classes[int(answer.classes[0])],
        probability=float(probabilities[exit_].max()),
        said=tuple(_said(answer.confidences[0], probabilities, thresholds, exit_, card.classes)),
        ran=tuple(_parts(card, variant, called)),
        macs=sum(layer.macs for layer in variant.layers),
        macs_run=sum(layer.macs for layer in variant.layers if layer.name in called),
        measured_ms=statistics.median(seconds) * 1000,
    )


@contextmanager
def _calls(network: "Network", names: Sequence[str]) -> Iterator[set[str]]:
    """Record the names of the layers that are called inside the block."""
    called: set[str] = set()
    modules = dict(network.named_modules())
    handles = [
        modules[name].register_forward_hook(lambda *_, name=name: called.add(name))
        for name in names
    ]
    try:
        yield called
    finally:
        for handle in handles:
            handle.remove()


def _said(
    confidences: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    thresholds: Sequence[float],
    taken: int,
    classes: Sequence[str],
) -> Iterator[ExitSaid]:
    names = exit_labels(len(thresholds))
    for number, name in enumerate(names):
        computed = not np.isnan(confidences[number])
        ranking = np.argsort(-probabilities[number], kind="stable")
        best = ranking[: TOP if computed else 0]
        yield ExitSaid(
            name=name,
            threshold=thresholds[number] if number < len(thresholds) else None,
            confidence=float(confidences[number]) if computed else None,
            top=tuple((classes[index], float(probabilities[number, index])) for index in best),
            left=number == taken,
        )


def _parts(card: Card, variant: Variant, called: set[str]) -> Iterator[StageRan]:
    """Stages and classifiers in the order in which they run."""
    keys = dict.fromkeys((layer.stage, layer.segment, layer.exit) for layer in variant.layers)
    for key in keys:
        stage, segment, exit_ = key
        own = [layer for layer in variant.layers if (layer.stage, layer.segment, layer.exit) == key]
        if exit_ is not None:
            name = f"exit {exit_ + 1}"
        elif stage < 0:
            name = "classifier"
        else:
            name = "stem" if stage == 0 else f"stage {card.stage_names[stage]}"
        yield StageRan(
            name=name,
            segment=segment,
            exit=exit_,
            layers=len(own),
            called=sum(layer.name in called for layer in own),
            macs=sum(layer.macs for layer in own),
        )
