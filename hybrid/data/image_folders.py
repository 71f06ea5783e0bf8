"""Read a folder or zip with one folder per class; files that cannot be read are listed.

    with image_folders.opened(Path("photos")) as found:
        pixels = image_folders.read(found, found.pool("train"), size=224, channels=3)

Files are `<class>/<image>`, or the same in `train/`, `val/` and `test/` under any of their usual
names, possibly all inside outer folders, as in many zips. With a `labels.csv`, its rows give the
classes instead. Needs no torch.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.data import sources
from hybrid.data.images import Rejected, shown_name
from hybrid.data.preprocess import CROP, read_input
from hybrid.data.sources import Entry, Source
from hybrid.data.sources.levels import wrappers
from hybrid.data.sources.matching import Joined
from hybrid.data.sources.names import without_splits
from hybrid.data.sources.tables import LABELS_FILE
from hybrid.errors import ImageError, SourceError

__all__ = ["ClassFolders", "Pixels", "opened", "read"]

# Where each split is drawn from: the first of these pools that there is.
_POOLS = {
    "train": ("train",),
    "tune": ("val", "train"),
    "certify": ("val", "train"),
    "test": ("test", "val"),
}
TRAIN = "train"
WHOLE = ""  # the only pool, if the folders do not divide the images

Labelled = tuple[str, Entry, str]  # part ("train", "val", "test" or ""), file, class


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassFolders:
    """The images in folders of classes.

    Args:
        title: its name, safe to print.
        classes: sorted; a folder without an image counts too.
        pools: entries with their classes, by "train", "val" and "test" if these are separate.
        refused: files that will not be read, each with the reason.
        read: the bytes of an entry; raises ImageError if there are none.
    """

    title: str
    classes: tuple[str, ...]
    pools: Mapping[str, tuple[tuple[Entry, int], ...]]
    refused: tuple[Rejected, ...]
    read: Callable[[Entry], bytes]

    def pool(self, split: str) -> str:
        """The pool that a split is drawn from."""
        return next((pool for pool in _POOLS[split] if pool in self.pools), WHOLE)

    def splits(self, pool: str) -> tuple[str, ...]:
        """The splits that are drawn from a pool."""
        return tuple(split for split in _POOLS if self.pool(split) == pool)

    def key(self, pool: str) -> str:
        """A key that stays the same until a file of the pool is added, changed or removed."""
        digest = hashlib.sha256(repr((self.classes, pool)).encode(errors="replace"))
        for entry, label in self.pools[pool]:
            digest.update(f"{entry.name}\0{entry.stamp}\0{label}\n".encode(errors="replace"))
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """uint8 (n, size, size, channels), labels (n,), and the files that could not be read."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    skipped: tuple[Rejected, ...]


@contextmanager
def opened(where: Path) -> Iterator[ClassFolders]:
    """A folder or zip of classes, for as long as the block lasts.

    Raises:
        SourceError: no image in it, a damaged zip, two folders for one class, or a test folder
            that is not a class.
    """
    with sources.opened(where) as source:
        yield _by_folders(source) if source.table is None else _by_table(source, source.table)


def read(found: ClassFolders, pool: str, *, size: int, channels: int, fit: str = CROP) -> Pixels:
    """Every image of a pool at one size, in the order of its entries.

    Args:
        fit: how pictures that are not square become so, a name in `preprocess.FITS`.

    Raises:
        SourceError: more images than memory holds.
    """
    entries = found.pools[pool]
    try:
        images = np.empty((len(entries), size, size, channels), np.uint8)
    except MemoryError as error:
        raise SourceError(
            f"The {len(entries):,} images of {found.title} do not fit into memory at {size} "
            "pixels; use fewer, or a smaller size."
        ) from error
    labels: list[int] = []
    skipped = list(found.refused)
    for entry, label in entries:
        try:
            content = found.read(entry)
            pixels = read_input(entry.name, content, size=size, channels=channels, fit=fit)
        except ImageError as error:
            skipped.append(Rejected(name=shown_name(entry.name), sentence=str(error)))
        else:
            images[len(labels)] = pixels
            labels.append(label)
    return Pixels(
        images=images[: len(labels)],
        labels=np.array(labels, dtype=np.int64),
        skipped=tuple(skipped),
    )


def _by_table(source: Source, table: Joined) -> ClassFolders:
    """Classes are the words of a table; folders only tell train, val and test."""
    divided = without_splits({entry.folders for entry in source.entries})
    found: list[Labelled] = []
    refused = list(source.refused)
    for entry, word in zip(source.entries, table.words, strict=True):
        if word is None:
            refused.append(_refused(entry, f"has no row in {LABELS_FILE}; add one"))
        else:
            found.append((divided[entry.folders][0], entry, word))
    pools = _pools({role for role, _, _ in found})
    classes = _checked((word for _, _, word in found), source.title)
    return _pooled(source, found, classes, pools, refused)


def _by_folders(source: Source) -> ClassFolders:
    """Classes are folders: the outermost that is not around all others and is no split."""
    divided = without_splits({entry.folders for entry in source.entries} | source.folders)
    around = wrappers({rest for _, rest in divided.values()})
    learned = any(role == TRAIN for role, _ in divided.values())  # or what is in no split is

    def place(folders: tuple[str, ...]) -> tuple[str, str] | None:
        role, rest = divided[folders]
        if len(rest) <= around or (learned and not role):
            return None
        return role, unicodedata.normalize("NFC", rest[around])

    found: list[Labelled] = []
    refused = list(source.refused)
    for entry in source.entries:
        placed = place(entry.folders)
        if placed is None:
            where = "a class of train/, val/ or test/" if learned else "a class's folder"
            refused.append(_refused(entry, f"is not in {where}; move it into one"))
        else:
            found.append((placed[0], entry, placed[1]))
    pools = _pools({role for role, _, _ in found} | ({TRAIN} if learned else set()))
    every = {placed for placed in map(place, divided) if placed is not None}
    names = {name for role, name in every if pools.get(role) in {TRAIN, WHOLE}}
    return _pooled(source, found, _checked(names, source.title), pools, refused)


def _pools(roles: set[str]) -> dict[str, str]:
    """The pool of each part of the images; a single part is not divided from anything.

    What is in no split is to be learned where there is no `train`, and so is `val` where there is
    neither.
    """
    if len(roles) <= 1:
        return dict.fromkeys(roles or {""}, WHOLE)
    learned = next(role for role in (TRAIN, "", "val") if role in roles)
    return {role: TRAIN if role == learned else role for role in roles}


def _pooled(
    source: Source,
    found: Sequence[Labelled],
    classes: tuple[str, ...],
    pool_of: Mapping[str, str],
    refused: Sequence[Rejected],
) -> ClassFolders:
    pools: dict[str, list[tuple[Entry, int]]] = {pool: [] for pool in pool_of.values()}
    for role, entry, name in found:
        pools[pool_of[role]].append((entry, _position(name, classes, source.title, role)))
    return ClassFolders(
        title=source.title,
        classes=classes,
        pools={name: tuple(inside) for name, inside in pools.items()},
        refused=tuple(refused),
        read=source.read,
    )


def _checked(names: Iterable[str], title: str) -> tuple[str, ...]:
    """Classes in order; refuses two that differ only in case."""
    classes = tuple(sorted(set(names)))
    spelled: dict[str, str] = {}
    for name in classes:
        other = spelled.setdefault(_folded(name), name)
        if other != name:
            raise SourceError(
                f"{title} spells one class in two ways, {shown_name(other)} and "
                f"{shown_name(name)}; put their images together."
            )
    return classes


def _position(name: str, classes: Sequence[str], title: str, role: str) -> int:
    """Position of the class that a folder is named after, ignoring case."""
    folded = [_folded(one) for one in classes]
    if _folded(name) not in folded:
        raise SourceError(
            f"{role}/{shown_name(name)} in {title} is not a class of train/, which has "
            f"{', '.join(map(shown_name, classes[:10]))}; rename it."
        )
    return folded.index(_folded(name))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _refused(entry: Entry, what: str) -> Rejected:
    shown = shown_name(entry.name)
    return Rejected(name=shown, sentence=f"{shown} {what}.")
