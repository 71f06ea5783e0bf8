"""What a user brings, as tests need it: test digits as PNGs, and splits that are made up."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hybrid import data, zoo
from hybrid.data import Dataset, user_splits
from hybrid.data.labels import UNLABELLED
from hybrid.data.split_parts import Part, save_part
from hybrid.data.user_splits import UserSplit
from hybrid.traces import trace

__all__ = [
    "digits",
    "encoded",
    "photograph",
    "png",
    "pngs",
    "write_folder",
    "write_halves",
    "write_user_split",
    "zipped",
]


def digits(count: int = 60) -> Dataset:
    """Test digits spread over all classes, ordered by class as files in folders are."""
    whole = data.load("digits", "test")
    chosen = np.linspace(0, len(whole.labels) - 1, count).astype(int)
    return Dataset(
        name="digits",
        split="test",
        images=whole.images[chosen],
        labels=whole.labels[chosen],
        classes=whole.classes,
    )


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


def pngs(some: Dataset, folders: Mapping[int, str] | None = None) -> dict[str, bytes]:
    """Name → PNG, whose names sort as the images do; folders: label → the folder's name."""
    return {
        f"{(folders or {}).get(int(label), some.classes[label])}/{i:06d}.png": png(image)
        for i, (image, label) in enumerate(zip(some.images, some.labels, strict=True))
    }


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def photograph(width: int = 48, height: int = 40) -> Image.Image:
    """Red on the left, blue on the right, with some noise so that it does not compress away."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 240
    pixels[:, width // 2 :, 2] = 240
    noise = np.random.default_rng(0).integers(0, 15, pixels.shape, dtype=np.uint8)
    return Image.fromarray(pixels + noise)


def zipped(files: Mapping[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def write_folder(where: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return where


def write_user_split(
    network: str,
    name: str,
    *,
    labelled: bool = True,
    samples: int = 200,
    purpose: str = "report",
    division: str = "",
    start: int = 0,
) -> None:
    """A split whose traces are rows of the test split's from `start` on, with grey images."""
    card = zoo.card(network)
    labels = zoo.trace(network, next(iter(card.variants))).labels[start : start + samples]
    labels = labels if labelled else np.full(samples, UNLABELLED)
    about = UserSplit(
        network=network,
        name=name,
        dataset=card.dataset,
        classes=card.classes,
        size=card.size,
        channels=card.channels,
        samples=samples,
        labelled=labelled,
        purpose=purpose,
        inverted=False,
        source="made up",
        skipped=0,
        part_samples=(samples,),
        division=division,
    )
    grey = np.full((samples, card.size, card.size, card.channels), 127, np.uint8)
    names = tuple(f"{i}.png" for i in range(samples))
    draft = user_splits.draft_path(network, name, "made-up")
    save_part(draft, 0, Part(images=grey, labels=labels, names=names, skipped=(), entries=samples))
    user_splits.keep(draft, about)
    for variant in card.variants:
        whole = zoo.trace(network, variant)
        first = replace(
            whole,
            split=name,
            labels=labels,
            classes=whole.classes[start : start + samples],
            confidences={m: v[start : start + samples] for m, v in whole.confidences.items()},
        )
        path = user_splits.trace_path(network, name, variant, whole.weights_sha256)
        trace.save(first, path)


def write_halves(network: str, name: str = "mine", *, labelled: bool = True) -> None:
    """Own images in two halves, as `import-images --tune-certify` makes them, of 200 each."""
    for start, purpose in ((0, "tune"), (200, "certify")):
        write_user_split(
            network,
            f"{name}-{purpose}",
            labelled=labelled,
            purpose=purpose,
            division="made-up",
            start=start,
        )
