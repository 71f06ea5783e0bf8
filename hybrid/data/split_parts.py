"""The images of a user split on disk, some at a time: a file of pixels, labels and names each."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.data.images import Rejected
from hybrid.files import load_arrays, save_arrays

__all__ = ["Images", "Labels", "Part", "load_labels", "load_part", "part_path", "save_part"]

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some images of a split.

    Args:
        images: uint8 (n, size, size, channels).
        labels: (n,), -1 for an image without a label.
        names: of the files, in the order of the images.
        skipped: files among them that could not be read.
        entries: how many entries of the source were read up to the end of this part.
    """

    images: Images
    labels: Labels
    names: tuple[str, ...]
    skipped: tuple[Rejected, ...]
    entries: int


def part_path(where: Path, number: int) -> Path:
    """The file of a part in a split's folder."""
    return where / f"part-{number:05d}.npz"


def save_part(where: Path, number: int, part: Part) -> None:
    """Write a part, whole or not at all."""
    notes = {
        "names": part.names,
        "skipped": [[one.name, one.sentence] for one in part.skipped],
        "entries": part.entries,
    }
    save_arrays(
        part_path(where, number),
        images=part.images,
        labels=part.labels,
        notes=np.frombuffer(json.dumps(notes).encode(), np.uint8),
    )


def load_part(where: Path, number: int) -> Part | None:
    """A part; None if its file is missing or damaged."""
    kept = load_arrays(part_path(where, number))
    try:
        notes = json.loads(kept["notes"].tobytes())
        part = Part(
            images=kept["images"],
            labels=kept["labels"],
            names=tuple(notes["names"]),
            skipped=tuple(Rejected(name=n, sentence=s) for n, s in notes["skipped"]),
            entries=int(notes["entries"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
    return part if len(part.images) == len(part.labels) == len(part.names) else None


def load_labels(where: Path, number: int) -> Labels | None:
    """The labels of a part, whose images stay unread; None if its file is missing or damaged."""
    return load_arrays(part_path(where, number), "labels").get("labels")
