"""Run a network over a split once and note what every exit says: the trace."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid import confidence, trace
from hybrid.data import Dataset
from hybrid.networks import Network
from hybrid.preprocess import normalise
from hybrid.trace import Trace

__all__ = ["exit_logits", "fit_temperatures", "record"]

Progress = Callable[[int, int], None]


def exit_logits(
    network: Network, data: Dataset, *, batch: int = 250, progress: Progress | None = None
) -> list[NDArray[np.float32]]:
    """Logits of every exit, final last, each (n, classes); nothing stops early.

    Args:
        progress: called with images done and images in all, after every batch.
    """
    device = next(network.parameters()).device
    network.eval()
    rows: list[list[NDArray[np.float32]]] = []
    with torch.inference_mode():
        for start in range(0, len(data.labels), batch):
            pixels = normalise(data.images[start : start + batch], data.name)
            images = torch.from_numpy(pixels).to(device, memory_format=torch.channels_last)
            rows.append([logits.float().cpu().numpy() for logits in network(images)])
            if progress is not None:
                progress(min(start + batch, len(data.labels)), len(data.labels))
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def fit_temperatures(network: Network, tune: Dataset) -> tuple[float, ...]:
    """Fit and set one temperature per exit on the tune split."""
    logits = exit_logits(network, tune)
    network.temperatures = tuple(confidence.fit_temperature(z, tune.labels) for z in logits)
    return network.temperatures


def record(
    network: Network,
    data: Dataset,
    *,
    name: str,
    variant: str,
    weights_sha256: str,
    progress: Progress | None = None,
) -> Trace:
    """The trace of a network on a split."""
    return trace.build(
        logits=exit_logits(network, data, progress=progress),
        labels=data.labels,
        temperatures=network.temperatures,
        network=name,
        variant=variant,
        split=data.split,
        weights_sha256=weights_sha256,
    )
