"""Pictures of a user as tests need them: some test digits as PNGs in a zip or a folder."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid import data
from hybrid.data import Dataset

__all__ = ["digits", "png", "pngs", "write_folder", "zipped"]


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


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write_folder(where: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return where
