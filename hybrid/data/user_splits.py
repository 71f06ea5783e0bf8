"""User splits, made from a user's images: their folders, images and traces. Needs no torch.

A split belongs to a network and has its classes and input size. It is stored in

    <folder>/<network>/<name>/split.toml                      its description
                              part-00000.npz …                pixels and labels, some at a time
                              trace-<variant>-<sha256>.parquet

where `folder()` is HYBRID_TRACES, else `hybrid/traces` in the user's data folder. It is not the
folder of the networks, because each upgrade of the wheel replaces that and git would list it as
changed in a clone; nor the cache, which may be emptied, losing an hour of recording.
"""

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import tomli_w
from filelock import FileLock, Timeout

from hybrid.data import SPLITS, Dataset
from hybrid.data.images import Rejected
from hybrid.data.split_parts import Images, Labels, Part, load_labels, load_part, part_path
from hybrid.errors import FileError, SourceError, UnknownNameError
from hybrid.files import expanded, home_folder, read_toml, replacing

__all__ = [
    "FORMAT",
    "MAX_BYTES",
    "PURPOSES",
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
    "names",
    "no_room",
    "parts",
    "path_of",
    "recorded",
    "recording",
    "skipped",
    "split",
    "trace_path",
]

FORMAT = 1
PURPOSES = ("report", "tune", "certify")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_CARD = "split.toml"
MAX_BYTES = 50_000_000_000  # of all splits, unfinished ones and traces included
_MOST_SPLITS = 1_000  # of a network
_MOST_SIDE = 4096  # pixels of an image's side


@dataclass(frozen=True, kw_only=True)
class UserSplit:
    """The description of a user split.

    Args:
        network, name: its network, and its name among that network's splits.
        dataset: the data set whose mean and deviation normalise its pixels.
        classes, size, channels: of the network.
        samples, labelled: how many images; whether their classes are known.
        purpose: "report", or "tune" and "certify" for two halves of the same images.
        division: the same for both halves of one division; empty if it is not a half.
        inverted: light and dark were exchanged.
        fit: how pictures that are not square became so, a name in `preprocess.FITS`.
        source: where the images came from, in words.
        skipped: how many files could not be read.
        left_out: word → number of images with it that were left out, because it has no class.
        part_samples: images in each part.
        key: the same for a split made from the same images in the same way.
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
    fit: str = "crop"


def folder() -> Path:
    """The folder of user splits: HYBRID_TRACES, else `hybrid/traces` in the user's data folder."""
    named = os.environ.get("HYBRID_TRACES")
    if named:
        return expanded(named)
    data = os.environ.get("XDG_DATA_HOME")
    home = expanded(data) if data else home_folder("HYBRID_TRACES") / ".local" / "share"
    return home / "hybrid" / "traces"


def path_of(network: str, name: str) -> Path:
    """The folder of a split; it need not exist."""
    return folder() / network / name


def draft_path(network: str, name: str, key: str) -> Path:
    """The folder of a split that is being made; the key identifies its images and options."""
    return folder() / network / f".{name}.{key}.draft"


def names(network: str) -> list[str]:
    """The user splits of a network, sorted."""
    try:
        found = list((folder() / network).glob(f"*/{_CARD}"))
    except FileError:  # no home folder
        return []
    return sorted(path.parent.name for path in found if _NAME.fullmatch(path.parent.name))


def check_name(name: str) -> str:
    """The name, if a user split can have it.

    Raises:
        SourceError: characters that a folder's name cannot have, or a data set's split.
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
    """The name, if a new user split of the network can have it.

    Raises:
        SourceError: it is taken, or cannot name a split, or there are too many.
    """
    known = names(network)
    if len(known) >= _MOST_SPLITS:
        raise SourceError(f"{network} has {len(known):,} splits, the most it can; delete some.")
    if check_name(name).lower() in {taken.lower() for taken in known}:
        raise SourceError(
            f"{network} already has a split called {name}; delete it or choose another name."
        )
    return name


def no_room() -> str:
    """The sentence for images that would make all splits larger than they may be."""
    return (
        f"With these images, the splits in {folder()} would take more than "
        f"{MAX_BYTES // 1_000_000_000} GB, the most they may; delete some splits, then go on."
    )


def halved(network: str) -> list[str]:
    """Names of the network's images that were divided into a tune and a certify half.

    Names alone do not make a pair. The halves of two different divisions may share images, and a
    point must not be certified on the images it was chosen on.
    """
    kept = names(network)
    halves = (name.removesuffix("-tune") for name in kept if name.endswith("-tune"))
    return [name for name in halves if f"{name}-certify" in kept and _paired(network, name)]


def split(network: str, name: str) -> UserSplit:
    """The description of a user split.

    Raises:
        UnknownNameError: there is no split of that name.
        SourceError: its description cannot be read.
    """
    if name not in names(network):
        raise UnknownNameError("user split", name, names(network))
    path = path_of(network, name) / _CARD
    try:
        values = read_toml(path)
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        for key in ("classes", "part_samples"):
            values[key] = tuple(values[key])
        return _checked(UserSplit(**values), network, name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path} cannot be read ({error}); delete the split and import it again."
        ) from error


def _checked(about: UserSplit, network: str, name: str) -> UserSplit:
    """The description, if it is this split's and its numbers can be."""
    if (about.network, about.name) != (network, name):
        raise ValueError("it is of another split")
    counts = about.part_samples
    if not all(type(n) is int and n >= 0 for n in counts) or sum(counts) != about.samples:
        raise ValueError("its numbers of images do not match")
    if not 1 <= about.size <= _MOST_SIDE or about.channels not in (1, 3):
        raise ValueError("its images have no usable size")
    return about


def keep(draft: Path, about: UserSplit) -> None:
    """Publish a complete draft as a split (atomic rename).

    Raises:
        OSError: disk full, no permission, or the name was taken meanwhile; the draft stays.
        SourceError: parts were discarded while others were still being written.
    """
    if not all(part_path(draft, number).is_file() for number in range(len(about.part_samples))):
        raise SourceError(_incomplete(about))
    for left in draft.glob(".*"):  # of a part that was being written when the run was killed
        left.unlink()
    with replacing(draft / _CARD) as path:
        path.write_text(tomli_w.dumps({"format": FORMAT} | asdict(about)), encoding="utf-8")
    place = path_of(about.network, about.name)
    if not (place / _CARD).exists():  # what is left of a split that was deleted
        shutil.rmtree(place, ignore_errors=True)
    draft.replace(place)


@contextmanager
def recording(network: str, name: str) -> Iterator[None]:
    """Held while a split is made, so that no other process makes one of the same name.

    Raises:
        SourceError: another one does.
        OSError: the folder cannot be written.
    """
    locks = folder() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(locks / f"{network}.{name}.lock", timeout=0):
            try:
                yield
            finally:
                with suppress(OSError):  # Windows removes no file that is open
                    (locks / f"{network}.{name}.lock").unlink()
    except Timeout:
        raise SourceError(
            f"{name} is being recorded at this moment by another process; wait until it is there."
        ) from None


def delete(network: str, name: str) -> None:
    """Delete a split with all its traces; no part of it remains under its name.

    Raises:
        UnknownNameError: there is no split of that name.
        SourceError: the folder cannot be written.
    """
    if name not in names(network):
        raise UnknownNameError("user split", name, names(network))
    path = path_of(network, name)
    going = path.with_name(f".{name}.{uuid.uuid4().hex}.deleted")
    try:
        path.replace(going)
    except OSError as error:
        raise SourceError(
            f"{name} cannot be deleted ({error.strerror}); make {path.parent} writable."
        ) from error
    shutil.rmtree(going, ignore_errors=True)


def parts(about: UserSplit) -> Iterator[Part]:
    """The split's images, some at a time.

    Raises:
        SourceError: a part is missing or damaged.
    """
    for number in range(len(about.part_samples)):
        yield _whole_part(about, number)


def load(about: UserSplit) -> Dataset:
    """The whole split in memory, like one from `hybrid.data.load`.

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
    """The label of every image (n,), all -1 if they are not known.

    Raises:
        SourceError: a part is missing or damaged.
    """
    path = path_of(about.network, about.name)
    found = [load_labels(path, number) for number in range(len(about.part_samples))]
    known = [some for some in found if some is not None]
    if len(known) < len(found):
        raise SourceError(_incomplete(about))
    return np.concatenate(known)


def images(about: UserSplit, positions: Sequence[int]) -> Images:
    """Some images of the split (k, size, size, channels), without loading the others.

    Raises:
        SourceError: a part is missing or damaged.
    """
    ends = np.cumsum(about.part_samples)
    chosen = np.empty((len(positions), about.size, about.size, about.channels), np.uint8)
    where = np.searchsorted(ends, positions, side="right")
    for number in np.unique(where):
        part = _whole_part(about, int(number))
        start = int(ends[number]) - about.part_samples[number]
        mine = np.flatnonzero(where == number)
        chosen[mine] = part.images[np.asarray(positions)[mine] - start]
    return chosen


def skipped(about: UserSplit) -> list[Rejected]:
    """Every file that could not be read, with the reason."""
    return [one for part in parts(about) for one in part.skipped]


def trace_path(network: str, name: str, variant: str, weights_sha256: str) -> Path:
    """The file of a variant's trace, whether it exists or not; other weights have another file."""
    return path_of(network, name) / f"trace-{variant}-{weights_sha256[:12]}.parquet"


def recorded(network: str, name: str, weights: Mapping[str, str]) -> list[str]:
    """The variants with a trace on the split. weights: variant → SHA-256 of the weights."""
    return [v for v, sha256 in weights.items() if trace_path(network, name, v, sha256).is_file()]


def _paired(network: str, name: str) -> bool:
    try:
        tune, certify = (split(network, f"{name}-{purpose}") for purpose in PURPOSES[1:])
    except SourceError:
        return False
    purposes = (tune.purpose, certify.purpose)
    return purposes == PURPOSES[1:] and tune.division == certify.division != ""


def _whole_part(about: UserSplit, number: int) -> Part:
    part = load_part(path_of(about.network, about.name), number)
    shape = (about.part_samples[number], about.size, about.size, about.channels)
    if part is None or part.images.shape != shape or part.images.dtype != np.uint8:
        raise SourceError(_incomplete(about))
    return part


def _incomplete(about: UserSplit) -> str:
    return (
        f"The images of {about.name} are incomplete or changed; delete the split and import it "
        "again."
    )
