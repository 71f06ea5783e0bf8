"""Every image of a folder or zip as one split of another data set, with that one's classes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybrid.data import image_folders, split_cache
from hybrid.data.datasets import Dataset, canonical_order
from hybrid.data.image_folders import ClassFolders, Pixels
from hybrid.data.preprocess import CROP
from hybrid.errors import DataMissingError, SourceError

__all__ = ["load_all", "seen_splits"]


def load_all(
    where: Path,
    split: str,
    *,
    name: str,
    classes: Sequence[str],
    size: int,
    channels: int,
    fit: str = CROP,
) -> Dataset:
    """All images of a folder or zip, in the order of their classes and pixels.

    Args:
        split: what they are used for.
        name: of the data set whose classes, size and normalisation they have.
        fit: how pictures that are not square become so, a name in `preprocess.FITS`.

    Raises:
        DataMissingError: no such folder, no usable image, or a class that the data set has not.
    """
    try:
        with image_folders.opened(where) as found:
            positions = _positions(found, classes)
            about = (*_about(found, where, size, channels), positions.tolist(), fit)
            digest = hashlib.sha256(repr(about).encode()).hexdigest()
            key = (where.stem, "all", digest[:12])
            pixels = _kept(key) or _read(found, positions, key, size, channels, fit)
    except SourceError as error:
        raise DataMissingError(f"The images for {split} cannot be used: {error}") from error
    if not len(pixels.labels):
        raise DataMissingError(f"{where} has no usable image for {split}; add some.")
    return Dataset(
        name=name,
        split=split,
        images=pixels.images,
        labels=pixels.labels,
        classes=tuple(classes),
        skipped=pixels.skipped,
    )


def seen_splits(where: Path) -> tuple[str, ...]:
    """The splits of a folder or zip that are drawn from the same images as train."""
    with image_folders.opened(where) as found:
        training = found.pool("train")
        return tuple(s for s in ("tune", "certify", "test") if found.pool(s) == training)


def _positions(found: ClassFolders, classes: Sequence[str]) -> np.ndarray:
    """The place of each of the folder's classes among `classes`, ignoring case."""
    known = {one.casefold(): position for position, one in enumerate(classes)}
    for one in found.classes:
        if one.casefold() not in known:
            raise SourceError(
                f"{found.title} has a class {one}, but the classes are "
                f"{', '.join(classes[:10])}{' …' if len(classes) > 10 else ''}; rename it."
            )
    return np.array([known[one.casefold()] for one in found.classes], dtype=np.int64)


def _about(found: ClassFolders, where: Path, size: int, channels: int) -> tuple[object, ...]:
    keys = [found.key(pool) for pool in sorted(found.pools)]
    return str(where), size, channels, keys


def _kept(key: tuple[str, str, str]) -> Pixels | None:
    """The cached images; None if their file is missing or damaged, or some could not be read."""
    kept = split_cache.kept(*key)
    if not kept.keys() >= {"images", "labels"}:
        return None
    return Pixels(images=kept["images"], labels=kept["labels"], skipped=())


def _read(
    found: ClassFolders,
    positions: np.ndarray,
    key: tuple[str, str, str],
    size: int,
    channels: int,
    fit: str,
) -> Pixels:
    pools = [
        image_folders.read(found, pool, size=size, channels=channels, fit=fit)
        for pool in sorted(found.pools)
    ]
    images = np.concatenate([pool.images for pool in pools])
    labels = positions[np.concatenate([pool.labels for pool in pools])]
    order = canonical_order(images, labels)
    skipped = tuple(dict.fromkeys(one for pool in pools for one in pool.skipped))
    pixels = Pixels(images=images[order], labels=labels[order], skipped=skipped)
    if not skipped and images.nbytes <= split_cache.MAX_SPLIT_BYTES:
        # what was skipped is read, and named, again
        split_cache.keep(*key, images=pixels.images, labels=pixels.labels)
    return pixels
