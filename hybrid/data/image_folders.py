"""Read a folder or zip with one folder per class; files that cannot be read are listed.

    with image_folders.opened(Path("photos")) as found:
        pixels = image_folders.read(found, found.pool("train"), size=224, channels=3)

Files are `<class>/<image>`, or the same below `train/` and `test/`, possibly all inside one outer
folder, as in many zips. With a `labels.csv` at the top, its rows give the classes instead.
Needs no torch.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.data import archives
from hybrid.data.archives import Entry, Source, is_clutter
from hybrid.data.images import Rejected, shown_name
from hybrid.data.label_table import LABELS_FILE
from hybrid.data.preprocess import read_input
from hybrid.errors import ImageError, SourceError

__all__ = ["ClassFolders", "Pixels", "opened", "read"]

_APART = ("train", "test")
_WHOLE = ""  # the only pool, if there is no train/ and test/

Labelled = tuple[tuple[Entry, int], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassFolders:
    """The images in folders of classes.

    Args:
        title: its name, safe to print.
        classes: sorted; a folder without an image counts too.
        pools: entries with their classes, by "train" and "test" if these are separate.
        refused: files that will not be read, each with the reason.
        read: the bytes of an entry; raises ImageError if there are none.
    """

    title: str
    classes: tuple[str, ...]
    pools: Mapping[str, Labelled]
    refused: tuple[Rejected, ...]
    read: Callable[[Entry], bytes]

    @property
    def apart(self) -> bool:
        """Whether the source has a separate test split."""
        return _WHOLE not in self.pools

    def pool(self, split: str) -> str:
        """The pool that a split is drawn from."""
        return ("test" if split == "test" else "train") if self.apart else _WHOLE

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
    with archives.opened(where) as source:
        if source.table is not None:
            yield _by_table(source)
        else:
            yield _by_folders(source, _folders_in(where))


def read(found: ClassFolders, pool: str, *, size: int, channels: int) -> Pixels:
    """Every image of a pool at one size, in the order of its entries.

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
            pixels = read_input(entry.name, found.read(entry), size=size, channels=channels)
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


def _by_table(source: Source) -> ClassFolders:
    words = archives.label_words(source, ())
    classes = _checked({word for word in words if word is not None}, source.title)
    rows = zip(source.entries, words, strict=True)
    return ClassFolders(
        title=source.title,
        classes=classes,
        pools={_WHOLE: tuple((e, classes.index(w)) for e, w in rows if w is not None)},
        refused=(
            *source.refused,
            *(
                _refused(entry, f"has no row in {LABELS_FILE}; add one")
                for entry, word in zip(source.entries, words, strict=True)
                if word is None
            ),
        ),
        read=source.read,
    )


def _by_folders(source: Source, empty: Callable[[bool], Sequence[str]]) -> ClassFolders:
    """Classes are folders.

    Args:
        empty: names of all folders, which may be classes without an image; its argument chooses
            between those at the top and those in `train/`.
    """
    divided = set(empty(False)) >= set(_APART)  # even if one of them has no image
    around = 1 if not divided and _is_around([entry.folders for entry in source.entries]) else 0
    tops = {e.folders[around] for e in source.entries if len(e.folders) > around}
    apart = divided or tops >= set(_APART)
    places = {entry: _place(entry.folders[around:], apart=apart) for entry in source.entries}
    learned = _APART[0] if apart else _WHOLE
    names = {place[1] for place in places.values() if place is not None and place[0] == learned}
    classes = _checked(names.union(() if around else empty(apart)), source.title)
    pools: dict[str, list[tuple[Entry, int]]] = {p: [] for p in (_APART if apart else (_WHOLE,))}
    refused = list(source.refused)
    for entry, place in places.items():
        if place is None:
            where = "a class of train/ or test/" if apart else "a class's folder"
            refused.append(_refused(entry, f"is not in {where}; move it into one"))
        else:
            pools[place[0]].append((entry, _position(place[1], classes, source.title)))
    return ClassFolders(
        title=source.title,
        classes=classes,
        pools={name: tuple(found) for name, found in pools.items()},
        refused=tuple(refused),
        read=source.read,
    )


def _is_around(paths: Sequence[tuple[str, ...]]) -> bool:
    """Whether one outer folder holds all others, as in a zip of a folder."""
    tops = {path[:1] for path in paths if path}
    return len(tops) == 1 and len({path[1] for path in paths if len(path) > 1}) > 1


def _place(folders: tuple[str, ...], *, apart: bool) -> tuple[str, str] | None:
    """Pool and class of a file in these folders; None if the folders do not determine them."""
    if not apart:
        return (_WHOLE, folders[0]) if folders else None
    return (folders[0], folders[1]) if len(folders) > 1 and folders[0] in _APART else None


def _folders_in(where: Path) -> Callable[[bool], Sequence[str]]:
    def names(apart: bool) -> Sequence[str]:
        if not where.is_dir():
            return ()
        inside = where / _APART[0] if apart else where
        return [p.name for p in inside.iterdir() if p.is_dir() and not is_clutter(p.name)]

    return names


def _checked(names: Iterable[str], title: str) -> tuple[str, ...]:
    """Classes in order; refuses two that differ only in case."""
    classes = tuple(sorted(names))
    spelled: dict[str, str] = {}
    for name in classes:
        other = spelled.setdefault(_folded(name), name)
        if other != name:
            raise SourceError(
                f"{title} spells one class in two ways, {shown_name(other)} and "
                f"{shown_name(name)}; put their images together."
            )
    return classes


def _position(name: str, classes: Sequence[str], title: str) -> int:
    """Position of the class that a folder is named after, ignoring case."""
    folded = [_folded(one) for one in classes]
    if _folded(name) not in folded:
        raise SourceError(
            f"test/{shown_name(name)} in {title} is not a class of train/, which has "
            f"{', '.join(map(shown_name, classes[:10]))}; rename it."
        )
    return folded.index(_folded(name))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _refused(entry: Entry, what: str) -> Rejected:
    shown = shown_name(entry.name)
    return Rejected(name=shown, sentence=f"{shown} {what}.")
