"""The images that a model is adapted with, and which of them it may have been trained on.

Each split comes from the data set, or wholly from a folder that is given for it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid import data, zoo
from hybrid.adaptation.request import AdaptRequest
from hybrid.data import DATASETS, Dataset
from hybrid.data.held_out import seen_splits
from hybrid.data.preprocess import CROP, STRETCH
from hybrid.errors import SourceError

__all__ = [
    "FOLDER_SIZE",
    "SplitImages",
    "check_images",
    "seen_in_words",
    "seen_on_card",
    "sides",
    "skipped_in_words",
    "split_images",
]

FOLDER_SIZE = 224
LEAST_IMAGES = 10  # of each class, to be divided into four splits
_MOST_SKIPPED = 5  # unreadable pictures that are listed by name


@dataclass(frozen=True, kw_only=True)
class SplitImages:
    """A data set, or a folder by its full path, at one size.

    Args:
        sources: for each split with images of its own, the folder that they all come from.
        seen: splits with images that the model may have been trained on.
        fit: how pictures become square; stretched if the model's images are not square.
    """

    where: str
    size: int
    channels: int
    sources: Mapping[str, str]
    seen: tuple[str, ...]
    fit: str = CROP

    @property
    def named(self) -> bool:
        """Whether it is a data set known by name."""
        return self.where in DATASETS

    def load(self, split: str) -> Dataset:
        """The images of a split."""
        return zoo.split_images(
            self.where,
            split,
            self.sources,
            size=self.size,
            channels=self.channels,
            fit=self.fit,
        )


def split_images(request: AdaptRequest) -> SplitImages:
    """The images that a request names.

    Raises:
        UnknownNameError, SourceError: no such data set, folder or zip.
    """
    sources = _sources(request)
    if request.data in DATASETS:
        about = DATASETS[request.data]
        return SplitImages(
            where=request.data, size=about.size, channels=about.channels, sources=sources, seen=()
        )
    where = Path(request.data).expanduser().resolve()
    if not where.exists():
        data.load(request.data, "train")  # raises an error that lists the data sets
    seen = () if request.unseen else tuple(s for s in seen_splits(where) if s not in sources)
    height, width = sides(request.size, FOLDER_SIZE)
    return SplitImages(
        where=str(where),
        size=max(height, width),
        channels=3,
        sources=sources,
        seen=seen,
        fit=CROP if height == width else STRETCH,
    )


def _sources(request: AdaptRequest) -> dict[str, str]:
    """The folders that are given for one split each, by their full paths."""
    given = {"tune": request.tune, "certify": request.certify, "test": request.test}
    found = {split: Path(path).expanduser().resolve() for split, path in given.items() if path}
    for split, path in found.items():
        if not path.exists():
            raise SourceError(f"There is no folder or zip {path}; name one with --{split}.")
    return {split: str(path) for split, path in found.items()}


def check_images(images: SplitImages, train: Dataset) -> None:
    """Refuse a single class, and a folder with too few images to divide."""
    if len(train.classes) == 1:
        raise SourceError(
            f"{images.where} has only one class, {train.classes[0]}; give a folder for each of two "
            "or more classes."
        )
    if images.named:
        return
    splits = [images.load(split) for split in data.SPLITS]
    counts = np.bincount(np.concatenate([s.labels for s in splits]), minlength=len(train.classes))
    least = int(np.argmin(counts))
    if counts[least] < LEAST_IMAGES:
        raise SourceError(
            f"{train.classes[least]} has {counts[least]} images in {images.where}, but "
            f"{LEAST_IMAGES} of each class are needed to train, tune, certify and test on; add "
            "some, or leave the class out."
        )


def seen_in_words(images: SplitImages) -> list[str]:
    """Which splits the model may have been trained on, and what follows."""
    if not images.seen:
        return []
    drawn = ", ".join(images.seen)
    options = " and ".join(f"--{split}" for split in images.seen)
    certified = ", so nothing is certified" if "certify" in images.seen else ""
    sentence = (
        f"{Path(images.where).name} has no separate images for {drawn}: the model may have been "
        f"trained on these{certified}. Give images that it has not seen in val/ and test/, or with "
        f"{options}; or say --unseen if it has seen none of them."
    )
    return [sentence]


def seen_on_card(images: SplitImages) -> str:
    """The same for the card; empty if it has seen none."""
    if not images.seen:
        return ""
    nothing = "; nothing is certified" if "certify" in images.seen else ""
    return f" It may have been trained on the images of {', '.join(images.seen)}{nothing}."


def skipped_in_words(train: Dataset) -> list[str]:
    """How many pictures could not be read, with the reason for the first few."""
    if not train.skipped:
        return []
    more = len(train.skipped) - _MOST_SKIPPED
    return [
        f"Skipped {len(train.skipped):,} of the files:",
        *(f"  {one.sentence}" for one in train.skipped[:_MOST_SKIPPED]),
        *([f"  and {more:,} more."] if more > 0 else []),
    ]


def sides(asked: int | tuple[int, int] | None, otherwise: int) -> tuple[int, int]:
    """Height and width of the model's images."""
    return asked if isinstance(asked, tuple) else (asked or otherwise,) * 2
