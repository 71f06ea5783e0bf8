"""Run a network over a split live, batch by batch: exits taken, seconds and savings.

    for progress in run(network, dataset, request):      # break to stop
        print(progress.done, progress.exit_counts, progress.images_per_second)
    against_trace(progress, trace, request)              # does it agree with the trace?
    against_everything(progress, layers, costs)          # how much did early exits save?

Only `load` and `run` need torch, and import it when they are called.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hybrid import policy, zoo
from hybrid.data import Dataset
from hybrid.data.preprocess import normalise
from hybrid.energy import ExitCosts, Layer
from hybrid.traces.trace import Trace

if TYPE_CHECKING:
    from hybrid.inference.protocols import RunsLive
    from hybrid.models import Inference

__all__ = [
    "BATCHES",
    "AgainstEverything",
    "AgainstTrace",
    "LiveRequest",
    "Progress",
    "RecentImage",
    "against_everything",
    "against_trace",
    "load",
    "order",
    "promised",
    "run",
]

BATCHES = (1, 16, 64, 256)  # images at a time
FULL_EVERY = 4  # one batch out of this many is also run to its end
SHOWN = 12  # latest images kept per exit

Clock = Callable[[], float]
Gate = AbstractContextManager[object]


@dataclass(frozen=True, kw_only=True)
class LiveRequest:
    """Settings of a run: one threshold per early exit, and `batch` images at a time.

    engine: of a deployment form, by its name; empty for the fastest.
    """

    network: str
    variant: str
    split: str
    thresholds: tuple[float, ...]
    measure: str
    batch: int
    engine: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class RecentImage:
    """An image that left.

    position: in the split. image: uint8 (h, w, channels). label, answer: classes.
    """

    position: int
    image: NDArray[np.uint8]
    label: int
    answer: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """The run so far; all values are for its first `done` images.

    Args:
        seconds: spent in the network with its exits, nothing else.
        exit_counts: images that took each exit, the final exit last.
        correct: images that were answered correctly at the exit they took.
        stage_samples: how many images each stage computed.
        exit_taken: the exit of each image, (done,).
        confidences: (done, exits) float32, NaN where the exit was not computed.
        recent: the last images that took each exit, the newest first.
        full_images: images that were also run to their end.
        full_seconds, full_images_seconds: the time for that, and the time with early exits for
            the same images.
    """

    done: int
    samples: int
    seconds: float
    exit_counts: tuple[int, ...]
    correct: int
    stage_samples: tuple[int, ...]
    exit_taken: NDArray[np.int64]
    confidences: NDArray[np.float32]
    recent: tuple[tuple[RecentImage, ...], ...]
    full_images: int
    full_seconds: float
    full_images_seconds: float

    @property
    def images_per_second(self) -> float:
        """Images per second, counting only the time in the network."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def edge_fraction(self) -> float:
        """Fraction of the images so far that left at an early exit."""
        return sum(self.exit_counts[:-1]) / self.done

    @property
    def accuracy(self) -> float:
        """Fraction of the images so far that were answered correctly."""
        return self.correct / self.done


@dataclass(frozen=True, kw_only=True)
class AgainstTrace:
    """A run compared with its trace, for the images that were run.

    Args:
        counts: images expected at each exit from the trace, the final exit last.
        moved: images that took a different exit than in the trace.
        largest_difference: between a computed and a recorded confidence.
        moved_distance: largest distance of a moved image's recorded confidence from the
            threshold; 0 if none moved.
    """

    counts: tuple[int, ...]
    moved: int
    largest_difference: float
    moved_distance: float


@dataclass(frozen=True, kw_only=True)
class AgainstEverything:
    """Costs with early exits compared with running every image to its end, heads included.

    Args:
        macs, everything_macs: multiply-accumulates of the layers that ran.
        energy_pj, everything_pj: of all images done.
        uplink_bytes, everything_bytes: sent to the cloud.
        time_ratio: measured seconds to the end ÷ with early exits, for the same images; None if
            none was run to its end.
    """

    macs: int
    everything_macs: int
    energy_pj: float
    everything_pj: float
    uplink_bytes: float
    everything_bytes: float
    time_ratio: float | None


def load(
    request: LiveRequest, load_variant: "Callable[[str, zoo.Variant], RunsLive]" = zoo.load_variant
) -> tuple["RunsLive", Dataset]:
    """The network and the split.

    Args:
        load_variant: of a network and a variant, which may be a deployment form.

    Raises:
        UnknownNameError, WeightsError, DataMissingError: as `zoo.load`, `data.load`.
    """
    variant = zoo.card(request.network).recorded[request.variant]
    images = zoo.images(request.network, request.split)
    return load_variant(request.network, variant), images


def order(samples: int) -> NDArray[np.int64]:
    """Positions in the split in the order of a run: shuffled with seed 0.

    A split may be sorted by class, but the first half of a run should represent the whole.
    """
    return np.random.default_rng(0).permutation(samples)


def run(
    network: "RunsLive",
    dataset: Dataset,
    request: LiveRequest,
    *,
    gate: Gate | None = None,
    clock: Clock = time.perf_counter,
) -> Iterator[Progress]:
    """Run the edge segment over the split, in `order`, and the cloud segment for what remains.

    One batch in `FULL_EVERY` is also run to its end, alternately before and after its run with
    exits, so that both are measured on the same images at the same time. A first pass over the
    first batch, both ways, is not counted: it allocates memory.

    Args:
        gate: held during each forward pass, but not between passes.
        clock: in seconds.

    Yields:
        The progress after every batch.

    Raises:
        ThresholdError, UnknownNameError: as `Network.infer`.
    """
    held = gate or threading.Lock()
    rows = order(len(dataset.labels))
    dataset = replace(dataset, images=dataset.images[rows], labels=dataset.labels[rows])
    tally = _Tally(dataset, len(network.exit_stages) + 1, len(network.stages))
    forward = _Forward(network, request, held, clock)
    forward.both(normalise(dataset.images[: request.batch], dataset.name), full_first=False)
    for number, start in enumerate(range(0, len(dataset.labels), request.batch)):
        pixels = normalise(dataset.images[start : start + request.batch], dataset.name)
        if number % FULL_EVERY:
            tally.add(*forward.leaving(pixels))
        else:
            full_first = bool(number // FULL_EVERY % 2)
            tally.add(*forward.both(pixels, full_first=full_first))
        yield tally.progress()


def promised(trace: Trace, request: LiveRequest, done: int | None = None) -> tuple[int, ...]:
    """How many of a run's first `done` images (by default all) take each exit in the trace."""
    taken = _promised_exits(trace, request)[:done]
    return tuple(np.bincount(taken, minlength=trace.all_exits).tolist())


def against_trace(progress: Progress, trace: Trace, request: LiveRequest) -> AgainstTrace:
    """The run compared with the trace of the same variant and split."""
    rows = order(trace.samples)[: progress.done]
    recorded = trace.confidences[request.measure][rows]  # (done, exits)
    taken = _promised_exits(trace, request)[: progress.done]
    moved = np.flatnonzero(taken != progress.exit_taken)
    # They differ at the earlier of both exits: only one was confident enough there.
    where = np.minimum(taken, progress.exit_taken)[moved]
    limits = np.asarray(request.thresholds, np.float32)[where]
    return AgainstTrace(
        counts=promised(trace, request, progress.done),
        moved=len(moved),
        largest_difference=float(np.nanmax(np.abs(progress.confidences - recorded))),
        moved_distance=float(np.abs(recorded[moved, where] - limits).max(initial=0.0)),
    )


def against_everything(
    progress: Progress, layers: Sequence[Layer], costs: ExitCosts
) -> AgainstEverything:
    """The run compared with running every image to its end.

    Args:
        layers: the variant's census.
        costs: of an image at each exit, the final exit last.
    """
    counts = np.array(progress.exit_counts)
    measured = progress.full_images_seconds > 0
    return AgainstEverything(
        macs=sum(layer.macs * _images_through(layer, progress) for layer in layers),
        everything_macs=sum(layer.macs for layer in layers) * progress.done,
        energy_pj=progress.done * float(policy.mean_cost(counts, costs.energy_pj)),
        everything_pj=progress.done * costs.energy_pj[-1],
        uplink_bytes=progress.done * float(policy.mean_cost(counts, costs.uplink_bytes)),
        everything_bytes=progress.done * costs.uplink_bytes[-1],
        time_ratio=progress.full_seconds / progress.full_images_seconds if measured else None,
    )


def _images_through(layer: Layer, progress: Progress) -> int:
    """How many images a layer computed; for the classifier, those that took no early exit."""
    return progress.exit_counts[-1] if layer.stage < 0 else progress.stage_samples[layer.stage]


def _promised_exits(trace: Trace, request: LiveRequest) -> NDArray[np.int64]:
    early = trace.confidences[request.measure][order(trace.samples), :-1]
    taken: NDArray[np.int64] = policy.exits_taken(early, request.thresholds)
    return taken


class _Forward:
    """Forward passes, each timed and run while holding the gate."""

    def __init__(self, network: "RunsLive", request: LiveRequest, gate: Gate, clock: Clock) -> None:
        self._network, self._request, self._gate, self._clock = network, request, gate, clock

    def leaving(self, pixels: NDArray[np.float32]) -> tuple["Inference", float]:
        """Run a batch (n, channels, h, w) with early exits."""
        thresholds, measure = self._request.thresholds, self._request.measure
        return self._timed(
            pixels, lambda images: self._network.infer(images, thresholds, measure=measure)
        )

    def both(
        self, pixels: NDArray[np.float32], *, full_first: bool
    ) -> tuple["Inference", float, float]:
        """Run a batch with exits and once more to its end; the seconds of the latter come last."""
        if full_first:
            _, full_seconds = self._timed(pixels, self._network)
            return *self.leaving(pixels), full_seconds
        inference, seconds = self.leaving(pixels)
        return inference, seconds, self._timed(pixels, self._network)[1]

    def _timed(
        self, pixels: NDArray[np.float32], forward: Callable[[Any], Any]
    ) -> tuple[Any, float]:
        import torch

        # Channels last, as when the trace was recorded: the same order of sums.
        images = torch.from_numpy(pixels).to(memory_format=torch.channels_last)
        with self._gate, torch.inference_mode():
            start = self._clock()
            answer = forward(images)
            return answer, self._clock() - start


class _Tally:
    """The counts of a run, batch by batch."""

    def __init__(self, dataset: Dataset, exits: int, stages: int) -> None:
        samples = len(dataset.labels)
        self._dataset, self._rows = dataset, order(samples)
        self._done = self._correct = self._full_images = 0
        self._seconds = self._full_seconds = self._full_images_seconds = 0.0
        self._exits = np.zeros(samples, np.int64)
        self._confidences = np.full((samples, exits), np.nan, np.float32)
        self._counts = np.zeros(exits, np.int64)
        self._stage_samples = np.zeros(stages, np.int64)
        self._recent: list[deque[RecentImage]] = [deque(maxlen=SHOWN) for _ in range(exits)]

    def add(
        self, inference: "Inference", seconds: float, full_seconds: float | None = None
    ) -> None:
        """Add a batch, which may also have been run to its end."""
        size = len(inference.exit_taken)
        part = slice(self._done, self._done + size)
        self._exits[part], self._confidences[part] = inference.exit_taken, inference.confidences
        self._counts += np.bincount(inference.exit_taken, minlength=len(self._counts))
        self._correct += int(np.count_nonzero(inference.classes == self._dataset.labels[part]))
        self._stage_samples += inference.stage_samples
        self._seconds += seconds
        if full_seconds is not None:
            self._full_images += size
            self._full_seconds += full_seconds
            self._full_images_seconds += seconds
        self._see(inference)
        self._done += size

    def progress(self) -> Progress:
        """The progress so far; later batches do not change it."""
        return Progress(
            done=self._done,
            samples=len(self._exits),
            seconds=self._seconds,
            exit_counts=tuple(self._counts.tolist()),
            correct=self._correct,
            stage_samples=tuple(self._stage_samples.tolist()),
            # Views: nothing before `done` is written again.
            exit_taken=self._exits[: self._done],
            confidences=self._confidences[: self._done],
            recent=tuple(tuple(seen) for seen in self._recent),
            full_images=self._full_images,
            full_seconds=self._full_seconds,
            full_images_seconds=self._full_images_seconds,
        )

    def _see(self, inference: "Inference") -> None:
        for exit_, recent in enumerate(self._recent):
            for place in np.flatnonzero(inference.exit_taken == exit_)[-SHOWN:].tolist():
                position = self._done + place
                recent.appendleft(
                    RecentImage(
                        position=int(self._rows[position]),
                        image=self._dataset.images[position].copy(),
                        label=int(self._dataset.labels[position]),
                        answer=int(inference.classes[place]),
                    )
                )
