"""CIFAR-10 in its three layouts with a handful of random images in place of the real ones."""

import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid.data import cifar

Part = tuple[np.ndarray, np.ndarray]
Write = Callable[[Path, dict[str, Part]], Path]


def some_part(*, images: int, seed: int) -> Part:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(images) % 10)
    return rng.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8), labels


def python2_batch(images: np.ndarray, labels: np.ndarray, *, module: str = "numpy") -> bytes:
    """A batch as Python 2 and an old numpy pickled the originals: str, not bytes; numpy.core."""
    planes = images.transpose(0, 3, 1, 2).tobytes()  # channel by channel, as in the originals
    minus_one = b"J\xff\xff\xff\xff"
    dtype = (
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + minus_one + minus_one + b"K\x00tb"
    )
    array = (
        b"c" + module.encode() + b".core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        b"M" + struct.pack("<H", len(images)) + b"M\x00\x0c\x86" + dtype + b"\x89"
        b"T" + struct.pack("<i", len(planes)) + planes + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + numbers + b"u."


def batch_files(parts: dict[str, Part]) -> dict[str, bytes]:
    archive = cifar.ARCHIVES["cifar10"]
    files = {}
    for part, (images, labels) in parts.items():
        names = archive.files[part]
        for name, some, labels_of_some in zip(
            names,
            np.array_split(images, len(names)),
            np.array_split(labels, len(names)),
            strict=True,
        ):
            files[name] = python2_batch(some, labels_of_some)
    return files


def write_batches(folder: Path, parts: dict[str, Part]) -> Path:
    target = folder / cifar.ARCHIVES["cifar10"].folder
    target.mkdir()
    for name, data in batch_files(parts).items():
        (target / name).write_bytes(data)
    return target


def write_archive(folder: Path, parts: dict[str, Part]) -> Path:
    archive = cifar.ARCHIVES["cifar10"]
    with tarfile.open(folder / archive.file_name, "w:gz") as tar:
        for name, data in batch_files(parts).items():
            member = tarfile.TarInfo(f"{archive.folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return folder / archive.file_name


def write_grids(folder: Path, parts: dict[str, Part]) -> Path:
    for part, (images, labels) in parts.items():
        target = folder / "cifar10" / part
        target.mkdir(parents=True)
        for label in range(10):
            column = images[labels == label].reshape(-1, 32, 3)  # one tile below the other
            Image.fromarray(column).save(target / f"class{label}.webp", lossless=True, exact=True)
    return folder / "cifar10"
