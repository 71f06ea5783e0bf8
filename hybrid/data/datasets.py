"""Data sets and image folders as splits of uint8 images; independent of networks.

Every split is a list of positions in the data set's canonical order: by class, then by the
SHA-1 of the pixels. So every source of the same images gives the same split, in whatever order
its files are. The positions are stored in `hybrid/data/splits/`.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.data import cifar, image_folders, split_cache
from hybrid.data.image_folders import ClassFolders, Pixels
from hybrid.data.images import Rejected
from hybrid.data.preprocess import CROP
from hybrid.data.split_cache import cache_folder
from hybrid.errors import DataMissingError, FileError, SourceError, UnknownNameError
from hybrid.files import expanded

__all__ = [
    "DATASETS",
    "SPLITS",
    "DataInfo",
    "Dataset",
    "available",
    "cache_folder",
    "canonical_order",
    "data_folder",
    "download",
    "draw_splits",
    "load",
]

SPLITS = ("train", "tune", "certify", "test")
FORMAT = 1

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One split: `images` (n, h, w, channels), `labels` (n,) as positions in `classes`.

    For an image folder, `skipped` lists the files of the whole pool that could not be read.
    """

    name: str
    split: str
    images: Images
    labels: Labels
    classes: tuple[str, ...]
    skipped: tuple[Rejected, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """A data set known by name. `fractions` divides the part that has no splits yet."""

    title: str
    source: str
    size: int
    channels: int
    fractions: Mapping[str, float]
    download_bytes: int


_POOL_IN_FOUR = {"train": 0.6, "tune": 0.1, "certify": 0.1, "test": 0.2}
_TRAIN_IN_THREE = {"train": 0.9, "tune": 0.05, "certify": 0.05}
# Of a pool of an image folder, by the splits that are drawn from it.
_FRACTIONS = {
    tuple(some): some
    for some in (
        _POOL_IN_FOUR,
        _TRAIN_IN_THREE,
        {"tune": 0.5, "certify": 0.5},
        {"tune": 0.25, "certify": 0.25, "test": 0.5},
    )
}

DATASETS = {
    "digits": DataInfo(
        title="Handwritten digits, 8×8",
        source="E. Alpaydin, C. Kaynak, UCI 1998, as shipped in scikit-learn",
        size=8,
        channels=1,
        fractions=_POOL_IN_FOUR,
        download_bytes=0,
    ),
    "cifar10": DataInfo(
        title="CIFAR-10",
        source="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        size=32,
        channels=3,
        fractions=_TRAIN_IN_THREE,
        download_bytes=cifar.ARCHIVES["cifar10"].archive_bytes,
    ),
    "cifar100": DataInfo(
        title="CIFAR-100",
        source="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        size=32,
        channels=3,
        fractions=_TRAIN_IN_THREE,
        download_bytes=cifar.ARCHIVES["cifar100"].archive_bytes,
    ),
}


def load(
    name: str | Path, split: str, *, size: int = 32, channels: int = 3, fit: str = CROP
) -> Dataset:
    """One split of a data set, the same images in the same order on every machine.

    Args:
        name: a name in `DATASETS`, or an image folder or zip (`<class>/<image>`, or the same
            in `train/`, `val/` and `test/`). A picture that cannot be read is skipped.
        size, channels: of the pixels of an image folder; the named data sets have their own.
        fit: how pictures of a folder that are not square become so, a name in `preprocess.FITS`.

    Raises:
        UnknownNameError: no such split, or neither a data set nor a folder of that name.
        DataMissingError: the data set is not on this machine, damaged or too small, or the folder
            or zip has no usable classes.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if name not in DATASETS:
        if not Path(name).exists():
            raise UnknownNameError("data set or folder", name, DATASETS)
        return _load_folder(Path(name), split, size=size, channels=channels, fit=fit)
    name = str(name)
    source = _source(name)
    written = stored_splits(name)
    images, labels = _cached(name, split, written.key) or _build(name, split, source, written)
    return Dataset(name=name, split=split, images=images, labels=labels, classes=written.classes)


def available(name: str) -> bool:
    """Whether `load` finds the data set's files on this machine."""
    if name not in DATASETS or name == "digits":
        return name == "digits"
    try:
        return cifar.find(name, data_folder()) is not None
    except FileError:  # no home folder, and so nothing in it
        return False


def download(name: str, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Fetch a data set into the data folder; `progress(done_bytes, total_bytes)` follows it.

    Raises:
        UnknownNameError, DataMissingError: no such data set; it could not be fetched.
    """
    if name not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    if not available(name):
        cifar.download(name, data_folder(), progress=progress)


def data_folder() -> Path:
    """The folder of the data sets: `HYBRID_DATA`, else `data/` in the cache folder."""
    return expanded(os.environ.get("HYBRID_DATA") or cache_folder() / "data")


def canonical_order(images: Images, labels: Labels) -> NDArray[np.int64]:
    """Positions (n,) that sort images by class, then by the SHA-1 of their pixels.

    Equal images of one class are interchangeable, so ties need no rule.
    """
    digests = b"".join(
        hashlib.sha1(image.tobytes(), usedforsecurity=False).digest()[:16] for image in images
    )
    halves = np.frombuffer(digests, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return np.lexsort((halves[:, 1], halves[:, 0], labels)).astype(np.int64)


def draw_splits(
    labels: Labels, fractions: Mapping[str, float], *, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Stratified positions for each name in `fractions`, ascending; together they cover all.

    >>> parts = draw_splits(np.array([0, 0, 0, 0, 1, 1, 1, 1]), {"train": 0.75, "test": 0.25},
    ...                     rng=np.random.default_rng(0))
    >>> len(parts["train"]), len(parts["test"])
    (6, 2)
    """
    drawn: dict[str, list[NDArray[np.int64]]] = {name: [] for name in fractions}
    edges = np.cumsum(list(fractions.values()))[:-1]
    for label in np.unique(labels):
        shuffled = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.rint(edges * len(shuffled)).astype(int)
        for name, part in zip(fractions, np.split(shuffled, cuts), strict=True):
            drawn[name].append(part)
    return {name: np.sort(np.concatenate(parts)) for name, parts in drawn.items()}


@dataclass(frozen=True, kw_only=True)
class StoredSplits:
    """A file of `hybrid/data/splits/`: class names, checksums of pixels by part, positions."""

    key: str
    classes: tuple[str, ...]
    pixels_sha256: dict[str, str]
    positions: dict[str, NDArray[np.int64]]


@functools.cache
def stored_splits(name: str) -> StoredSplits:
    """The stored splits of a data set."""
    text = (resources.files("hybrid.data") / "splits" / f"{name}.json").read_bytes()
    content = json.loads(text)
    assert content["format"] == FORMAT  # the files ship with this module
    return StoredSplits(
        key=hashlib.sha256(text).hexdigest()[:12],
        classes=tuple(content["classes"]),
        pixels_sha256=content["pixels_sha256"],
        positions={k: np.array(v, dtype=np.int64) for k, v in content["positions"].items()},
    )


def _source(name: str) -> Path | None:
    if name == "digits":
        return None
    source = cifar.find(name, data_folder())
    if source is None:
        raise DataMissingError(
            f"{name} is not in {data_folder()}; fetch it with `hybrid download {name}` or on a "
            "page of the dashboard, or set HYBRID_DATA to the folder it is in."
        )
    return source


def _build(
    name: str, split: str, source: Path | None, written: StoredSplits
) -> tuple[Images, Labels]:
    """Read the part that holds `split`, put it in order, keep all its splits in the cache."""
    part = "test" if split == "test" and source is not None else "train"
    images, labels = _read_digits() if source is None else cifar.read(name, source, part)
    order = canonical_order(images, labels)
    images, labels = images[order], labels[order]
    if pixels_sha256(images, labels) != written.pixels_sha256[part]:
        raise DataMissingError(
            f"{name} in {source} is incomplete or changed; delete it and download it again."
        )
    positions = written.positions if part == "train" else {}
    parts = _divide(images, labels, positions, rest=part)
    for key, (some, some_labels) in parts.items():
        split_cache.keep(name, key, written.key, images=some, labels=some_labels)
    return parts[split]


def _divide(
    images: Images, labels: Labels, positions: Mapping[str, NDArray[np.int64]], *, rest: str
) -> dict[str, tuple[Images, Labels]]:
    """The splits at `positions`; the split `rest` has all other images."""
    left = np.ones(len(labels), dtype=bool)
    for chosen in positions.values():
        left[chosen] = False
    every = {rest: np.flatnonzero(left), **positions}
    return {name: (images[chosen], labels[chosen]) for name, chosen in every.items()}


def pixels_sha256(images: Images, labels: Labels) -> str:
    """SHA-256 of all pixels and labels, in this order."""
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def _read_digits() -> tuple[Images, Labels]:
    from sklearn.datasets import load_digits  # takes a second; the next time the cache has it

    bunch = load_digits()
    images = np.minimum(bunch.images * 16, 255).astype(np.uint8)[..., None]  # (n, 8, 8, 1)
    return images, bunch.target.astype(np.int64)


def _load_folder(where: Path, split: str, *, size: int, channels: int, fit: str) -> Dataset:
    """A split of an image folder, drawn from its train/, val/ or test/, or from all of it.

    Where there is val/, tune and certify are drawn from it, and test too if there is no test/.
    """
    where = where.resolve()
    try:
        with image_folders.opened(where) as found:
            about = (str(where), size, channels, found.key(found.pool(split)))
            kind = repr(about if fit == CROP else (*about, fit))
            key = hashlib.sha256(kind.encode()).hexdigest()[:12]
            kept = _cached_folder(where.name, split, key)
            pixels = kept or _divide_folder(found, where.name, split, key, size, channels, fit)
    except SourceError as error:
        raise DataMissingError(str(error)) from error
    if not len(pixels.labels):
        raise DataMissingError(
            f"{where} has too few images for the split {split}; add more to each class's folder."
        )
    return Dataset(
        name=str(where),
        split=split,
        images=pixels.images,
        labels=pixels.labels,
        classes=found.classes,
        skipped=pixels.skipped,
    )


def _divide_folder(
    found: ClassFolders, name: str, split: str, key: str, size: int, channels: int, fit: str
) -> Pixels:
    """Read every picture once, divide them and keep all splits of the pool in the cache."""
    pool = found.pool(split)
    pixels = image_folders.read(found, pool, size=size, channels=channels, fit=fit)
    order = canonical_order(pixels.images, pixels.labels)
    images, labels = pixels.images[order], pixels.labels[order]
    drawn = found.splits(pool)
    if not len(labels) or len(drawn) == 1:
        positions = {split: np.arange(len(labels))}
    else:
        positions = draw_splits(labels, _FRACTIONS[drawn], rng=np.random.default_rng(0))
    parts = {
        part: Pixels(images=images[chosen], labels=labels[chosen], skipped=pixels.skipped)
        for part, chosen in positions.items()
    }
    for part, some in parts.items():
        if images.nbytes <= split_cache.MAX_SPLIT_BYTES:
            words = json.dumps([(one.name, one.sentence) for one in some.skipped])
            split_cache.keep(name, part, key, images=some.images, labels=some.labels, skipped=words)
    return parts[split]


def _cached_folder(name: str, split: str, key: str) -> Pixels | None:
    """The cached split of an image folder; None if its file is missing or damaged."""
    kept = split_cache.kept(name, split, key)
    try:
        skipped = json.loads(str(kept["skipped"]))
        return Pixels(
            images=kept["images"],
            labels=kept["labels"],
            skipped=tuple(Rejected(name=n, sentence=s) for n, s in skipped),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _cached(name: str, split: str, key: str) -> tuple[Images, Labels] | None:
    """The cached split; None if its file is missing or damaged."""
    kept = split_cache.kept(name, split, key)
    return (kept["images"], kept["labels"]) if kept.keys() >= {"images", "labels"} else None
