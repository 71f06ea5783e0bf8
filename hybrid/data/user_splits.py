"""Splits made of a user's own images: where they lie, what is in them, their traces. No torch.

A split belongs to a network, whose classes and input size it has. It lies in

    <folder>/<network>/<name>/split.toml                      what it is
                              part-00000.npz …                pixels and labels, some at a time
                              trace-<variant>-<sha256>.parquet

and `folder()` is HYBRID_TRACES, else `hybrid/traces` in the user's data folder: not in the folder
of the networks, which an installed wheel replaces at each upgrade and a clone would show as
changed, and not in the cache, which may be emptied and would take an hour's recording with it.
"""

import json
import os
import re
import shutil
import tomllib
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from hybrid.data import SPLITS, Dataset
from hybrid.data.images import Rejected
from hybrid.errors import SourceError, UnknownNameError
from hybrid.files import replacing

__all__ = [
    "FORMAT",
    "PURPOSES",
    "Part",
    "UserSplit",
    "check_free",
    "check_name",
    "delete",
    "draft_path",
    "folder",
    "halved",
    "images",
    "keep",
    "labels",
    "load",
    "load_part",
    "names",
    "parts",
    "path_of",
    "recorded",
    "save_part",
    "skipped",
    "split",
    "trace_path",
]

FORMAT = 1
PURPOSES = ("report", "tune", "certify")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_CARD = "split.toml"
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class UserSplit:
    """What an own split is.

    Args:
        network, name: what it is called.
        dataset: whose mean and deviation its pixels are normalised with.
        classes, size, channels: of the network.
        samples, labelled: how many images; whether their classes are known.
        purpose: "tune" and "certify" are two parts of the same images, each for that alone.
        division: of which it is a half; the other half has the same. Empty where it is whole.
        inverted: light and dark were exchanged.
        source: where the images came from, in words.
        skipped: how many files could not be read.
        left_out: word → images that carry it and were left out, having no class.
        part_samples: images in each part.
        key: of what it was made from, so that the same recording is known again.
    """

    network: str
    name: str
    dataset: str
    classes: tuple[str, ...]
    size: int
    channels: int
    samples: int
    labelled: bool
    purpose: str
    inverted: bool
    source: str
    skipped: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    part_samples: tuple[int, ...] = ()
    key: str = ""
    division: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some images of a split. images: uint8 (n, size, size, channels); labels (n,), -1 without.

    Args:
        names: of the files, in the order of the images.
        skipped: files that could not be read, met on the way.
        entries: how many entries of the source have been read with this part and those before.
    """

    images: Images
    labels: Labels
    names: tuple[str, ...]
    skipped: tuple[Rejected, ...]
    entries: int


def folder() -> Path:
    """Where own splits lie: HYBRID_TRACES, else `hybrid/traces` in the user's data folder."""
    named = os.environ.get("HYBRID_TRACES")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "hybrid" / "traces"


def path_of(network: str, name: str) -> Path:
    """The folder of a split; it need not exist."""
    return folder() / network / name


def draft_path(network: str, name: str, key: str) -> Path:
    """Where a split is gathered before it has its name; the key says from what and how."""
    return folder() / network / f".{name}.{key}.draft"


def names(network: str) -> list[str]:
    """The own splits of a network, sorted."""
    found = (folder() / network).glob(f"*/{_CARD}")
    return sorted(path.parent.name for path in found if _NAME.fullmatch(path.parent.name))


def check_name(name: str) -> str:
    """A name that a new split can have.

    Raises:
        SourceError: characters that make no folder's name, or a name of a data set's own splits.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise SourceError(
            f"{name[:60]!r} cannot name a split; take up to 40 letters, digits, dots, - and _, "
            "the first a letter or digit."
        )
    if name.lower() in SPLITS:
        raise SourceError(f"{name} is a split of the data set; choose another name.")
    return name


def check_free(network: str, name: str) -> str:
    """A name that no own split of the network has.

    Raises:
        SourceError: it is taken, or cannot name a split.
    """
    if check_name(name).lower() in {taken.lower() for taken in names(network)}:
        raise SourceError(
            f"A split called {name} is kept for {network} already; delete it or choose another "
            "name."
        )
    return name


def halved(network: str) -> list[str]:
    """The images of a network that were recorded in two halves of one division, by name.

    Halves of two divisions may share images, and then nothing chosen on one may be certified on
    the other: their names alone do not pair them.
    """
    kept = names(network)
    halves = (name.removesuffix("-tune") for name in kept if name.endswith("-tune"))
    return [name for name in halves if f"{name}-certify" in kept and _paired(network, name)]


def split(network: str, name: str) -> UserSplit:
    """What is known of an own split.

    Raises:
        UnknownNameError: there is none of that name.
        SourceError: its description cannot be read.
    """
    if name not in names(network):
        raise UnknownNameError("own split", name, names(network))
    path = path_of(network, name) / _CARD
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        for key in ("classes", "part_samples"):
            values[key] = tuple(values[key])
        return UserSplit(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path} cannot be read ({error}); delete the split and record it again."
        ) from error


def keep(draft: Path, about: UserSplit) -> None:
    """Give a draft whose parts are all there its name; it is a split from this moment on.

    Raises:
        OSError: no room, no permission, or the name was taken meanwhile; the draft stays.
        SourceError: parts were thrown away while others were still being written.
    """
    if not all(_part_path(draft, number).is_file() for number in range(len(about.part_samples))):
        raise SourceError(_incomplete(about))
    for left in draft.glob(".*"):  # of a part that was being written when the run was killed
        left.unlink()
    with replacing(draft / _CARD) as path:
        path.write_text(tomli_w.dumps({"format": FORMAT} | asdict(about)), encoding="utf-8")
    draft.replace(path_of(about.network, about.name))


def delete(network: str, name: str) -> None:
    """Take a split away with all its traces; nothing half remains under its name.

    Raises:
        UnknownNameError: there is none of that name.
        SourceError: the folder cannot be written.
    """
    if name not in names(network):
        raise UnknownNameError("own split", name, names(network))
    path = path_of(network, name)
    going = path.with_name(f".{name}.{uuid.uuid4().hex}.deleted")
    try:
        path.replace(going)
    except OSError as error:
        raise SourceError(
            f"{name} cannot be deleted ({error.strerror}); allow writing in {path.parent}."
        ) from error
    shutil.rmtree(going, ignore_errors=True)


def parts(about: UserSplit) -> Iterator[Part]:
    """The split's images, some at a time.

    Raises:
        SourceError: a part is missing or damaged.
    """
    path = path_of(about.network, about.name)
    for number in range(len(about.part_samples)):
        yield _whole_part(path, number, about)


def load(about: UserSplit) -> Dataset:
    """The whole split in memory, as `hybrid.data.load` gives one.

    Raises:
        SourceError: a part is missing or damaged.
    """
    pixels = np.empty((about.samples, about.size, about.size, about.channels), np.uint8)
    labels = np.empty(about.samples, np.int64)
    start = 0
    for part in parts(about):
        end = start + len(part.labels)
        pixels[start:end], labels[start:end] = part.images, part.labels
        start = end
    return Dataset(
        name=about.dataset,
        split=about.name,
        images=pixels,
        labels=labels,
        classes=about.classes,
    )


def labels(about: UserSplit) -> Labels:
    """The label of every image (n,), -1 throughout where they are not known.

    Raises:
        SourceError: a part is missing or damaged.
    """
    path = path_of(about.network, about.name)
    found = [_labels_of(path, number, about) for number in range(len(about.part_samples))]
    return np.concatenate(found)


def images(about: UserSplit, positions: Sequence[int]) -> Images:
    """Some images of the split (k, size, size, channels), without loading the others.

    Raises:
        SourceError: a part is missing or damaged.
    """
    ends = np.cumsum(about.part_samples)
    chosen = np.empty((len(positions), about.size, about.size, about.channels), np.uint8)
    where = np.searchsorted(ends, positions, side="right")
    path = path_of(about.network, about.name)
    for number in np.unique(where):
        part = _whole_part(path, int(number), about)
        start = int(ends[number]) - about.part_samples[number]
        mine = np.flatnonzero(where == number)
        chosen[mine] = part.images[np.asarray(positions)[mine] - start]
    return chosen


def skipped(about: UserSplit) -> list[Rejected]:
    """Every file that could not be read, with the sentence that says why."""
    return [one for part in parts(about) for one in part.skipped]


def trace_path(network: str, name: str, variant: str, weights_sha256: str) -> Path:
    """Where the trace of a variant lies, or would; other weights have another file."""
    return path_of(network, name) / f"trace-{variant}-{weights_sha256[:12]}.parquet"


def recorded(network: str, name: str, weights: Mapping[str, str]) -> list[str]:
    """The variants whose trace on the split is here, of these weights: variant → SHA-256."""
    return [v for v, sha256 in weights.items() if trace_path(network, name, v, sha256).is_file()]


def save_part(where: Path, number: int, part: Part) -> None:
    """Write a part, whole or not at all."""
    notes = {
        "names": part.names,
        "skipped": [[one.name, one.sentence] for one in part.skipped],
        "entries": part.entries,
    }
    arrays: dict[str, Any] = {
        "images": part.images,
        "labels": part.labels,
        "notes": np.frombuffer(json.dumps(notes).encode(), np.uint8),
    }
    with replacing(_part_path(where, number)) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)


def load_part(where: Path, number: int) -> Part | None:
    """A part; None where there is none or its file is damaged."""
    try:
        with (
            _part_path(where, number).open("rb") as file,
            np.load(file, allow_pickle=False) as kept,
        ):
            notes = json.loads(kept["notes"].tobytes())
            part = Part(
                images=kept["images"],
                labels=kept["labels"],
                names=tuple(notes["names"]),
                skipped=tuple(Rejected(name=n, sentence=s) for n, s in notes["skipped"]),
                entries=int(notes["entries"]),
            )
    except _DAMAGE:
        return None
    return part if len(part.images) == len(part.labels) == len(part.names) else None


def _paired(network: str, name: str) -> bool:
    try:
        tune, certify = (split(network, f"{name}-{purpose}") for purpose in PURPOSES[1:])
    except SourceError:
        return False
    purposes = (tune.purpose, certify.purpose)
    return purposes == PURPOSES[1:] and tune.division == certify.division != ""


def _whole_part(where: Path, number: int, about: UserSplit) -> Part:
    part = load_part(where, number)
    shape = (about.part_samples[number], about.size, about.size, about.channels)
    if part is None or part.images.shape != shape or part.images.dtype != np.uint8:
        raise SourceError(_incomplete(about))
    return part


def _labels_of(where: Path, number: int, about: UserSplit) -> Labels:
    """The labels of a part; its images stay unread."""
    try:
        with (
            _part_path(where, number).open("rb") as file,
            np.load(file, allow_pickle=False) as kept,
        ):
            found: Labels = kept["labels"]
    except _DAMAGE as error:
        raise SourceError(_incomplete(about)) from error
    return found


def _incomplete(about: UserSplit) -> str:
    return (
        f"The images of {about.name} are incomplete or changed; delete the split and record it "
        "again."
    )


def _part_path(where: Path, number: int) -> Path:
    return where / f"part-{number:05d}.npz"
