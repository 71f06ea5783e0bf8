"""Run a network over a split once and record every exit's answers: the trace."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid.data import Dataset, user_splits
from hybrid.data.preprocess import normalise
from hybrid.data.split_parts import Part
from hybrid.data.user_splits import UserSplit
from hybrid.errors import SourceError, TraceError
from hybrid.files import load_arrays, save_arrays
from hybrid.inference.protocols import Logits, Progress, RecordsItself
from hybrid.models import Network
from hybrid.traces import confidence, trace
from hybrid.traces.trace import Trace

__all__ = [
    "exit_logits",
    "fit_temperatures",
    "record",
    "record_user_split",
    "trace_of",
]


def exit_logits(
    network: Network | RecordsItself,
    data: Dataset,
    *,
    batch: int = 250,
    progress: Progress | None = None,
) -> list[NDArray[Any]]:
    """Logits of every exit, final last, each (n, classes); no image stops early.

    Args:
        progress: called with images done and images in all, after every batch.
    """
    if isinstance(network, RecordsItself):
        return list(network.exit_logits(data, progress=progress))
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


def fit_temperatures(network: Network, tune: Dataset) -> list[NDArray[np.float32]]:
    """Fit and set one temperature per exit on the tune split; returns its logits."""
    logits = exit_logits(network, tune)
    network.temperatures = tuple(confidence.fit_temperature(z, tune.labels) for z in logits)
    return logits


def record_user_split(
    network: Network | RecordsItself,
    about: UserSplit,
    *,
    variant: str,
    weights_sha256: str,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Record the trace of a user split and return its path; one part is in memory at a time.

    The logits of each part are saved next to it until all are there, so that a killed recording
    continues from its last part.

    Args:
        out: the file to write; by default the trace's place in its split.
        progress: called with images done and images in all, after every batch.

    Raises:
        SourceError: the split's images are damaged.
        TraceError: logits that are not finite, or a folder that cannot be written.
    """
    path = user_splits.trace_path(about.network, about.name, variant, weights_sha256)
    folder = path.with_name(f".{path.stem}.parts")
    try:
        recorded = trace_of(
            network,
            _logits_in_parts(network, about, folder, progress),
            labels=user_splits.labels(about),
            name=about.network,
            variant=variant,
            split=about.name,
            weights_sha256=weights_sha256,
        )
        trace.save(recorded, out or path, make_folder=out is not None)
    except (OSError, SourceError) as error:
        if about.name not in user_splits.names(about.network):
            raise TraceError(
                f"{about.name} was deleted while it was recorded, so nothing was saved."
            ) from error
        if isinstance(error, SourceError):
            raise
        raise TraceError(
            f"The trace cannot be written to {out or path} ({error.strerror}); free some space or "
            "make it writable. The parts recorded so far are kept, and the next recording "
            "continues from there."
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    return out or path


def record(
    network: Network | RecordsItself,
    data: Dataset,
    *,
    name: str,
    variant: str,
    weights_sha256: str,
    logits: Logits | None = None,
    progress: Progress | None = None,
) -> Trace:
    """The trace of a network on a split.

    Args:
        logits: its logits there, if they are known already.
    """
    return trace_of(
        network,
        [logits or exit_logits(network, data, progress=progress)],
        labels=data.labels,
        name=name,
        variant=variant,
        split=data.split,
        weights_sha256=weights_sha256,
    )


def trace_of(
    network: Network | RecordsItself,
    parts: Iterable[Logits],
    *,
    labels: NDArray[Any],
    name: str,
    variant: str,
    split: str,
    weights_sha256: str,
) -> Trace:
    """The trace from a network's logits of consecutive samples, one part in memory at a time.

    Args:
        parts: what `exit_logits` gives.
    """
    about = {
        "network": name,
        "variant": variant,
        "split": split,
        "weights_sha256": weights_sha256,
    }
    if isinstance(network, RecordsItself):
        return network.trace_of(parts, labels=labels, **about)
    return trace.build_in_parts(
        parts=parts, labels=labels, temperatures=network.temperatures, **about
    )


def _logits_in_parts(
    network: Network | RecordsItself, about: UserSplit, folder: Path, progress: Progress | None
) -> Iterator[list[NDArray[Any]]]:
    """Each part's logits, read from the folder if they are there already."""
    done = 0
    for number, part in enumerate(user_splits.parts(about)):
        path = folder / f"part-{number:05d}.npz"
        logits = _kept_logits(path, exits=len(network.temperatures), samples=len(part.labels))
        if logits is None:
            logits = exit_logits(
                network, _dataset(about, part), progress=_moved(progress, done, about)
            )
            folder.mkdir(exist_ok=True)  # not its parent: the split may have been deleted
            save_arrays(
                path, make_folder=False, **{f"arr_{i}": rows for i, rows in enumerate(logits)}
            )
        done += len(part.labels)
        if progress is not None:
            progress(done, about.samples)
        if len(part.labels):
            yield logits


def _dataset(about: UserSplit, part: Part) -> Dataset:
    return Dataset(
        name=about.dataset,
        split=about.name,
        images=part.images,
        labels=part.labels,
        classes=about.classes,
    )


def _moved(progress: Progress | None, before: int, about: UserSplit) -> Progress | None:
    """The same progress for a part that begins after `before` images."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, about.samples)


def _kept_logits(path: Path, *, exits: int, samples: int) -> list[NDArray[Any]] | None:
    """Logits of a part by exit; None if their file is missing or damaged."""
    kept = load_arrays(path)
    logits = [kept[f"arr_{i}"] for i in range(exits) if f"arr_{i}" in kept]
    whole = len(logits) == exits and all(len(rows) == samples for rows in logits)
    return logits if whole else None
