"""CIFAR-10 and CIFAR-100 as arrays, from disk or their home page; independent of splits.

Three layouts can be read, in this order of preference:

    <folder>/cifar10/<part>/<class>.webp     lossless grids of 32x32 tiles by row, one per class
    <folder>/cifar-10-batches-py/            the original batches, as torchvision unpacks them
    <folder>/cifar-10-python.tar.gz          the original archive, as torchvision downloads it
"""

import hashlib
import io
import pickle
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.errors import DataMissingError
from hybrid.files import read_bytes, replacing

__all__ = ["ARCHIVES", "Archive", "download", "find", "read"]

SIZE = 32
PARTS = ("train", "test")
_CHUNK_BYTES = 1 << 18
_MOST_BYTES = 500_000_000  # of a file of images; the largest has 155 MB

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The original archive: its source, the files in it and their keys."""

    url: str
    md5: str
    archive_bytes: int
    folder: str
    files: dict[str, tuple[str, ...]]
    label_key: str

    @property
    def file_name(self) -> str:
        """The archive's name on disk, the same that torchvision gives it."""
        return self.url.rsplit("/", 1)[1]


_HOME = "https://www.cs.toronto.edu/~kriz/"
ARCHIVES = {
    "cifar10": Archive(
        url=_HOME + "cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        archive_bytes=170_498_071,
        folder="cifar-10-batches-py",
        files={
            "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
            "test": ("test_batch",),
        },
        label_key="labels",
    ),
    "cifar100": Archive(
        url=_HOME + "cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        archive_bytes=169_001_437,
        folder="cifar-100-python",
        files={"train": ("train",), "test": ("test",)},
        label_key="fine_labels",
    ),
}


def find(name: str, folder: Path) -> Path | None:
    """The grids, the batches or the archive of data set `name` in `folder`; None if not there."""
    archive = ARCHIVES[name]
    grids, batches = folder / name, folder / archive.folder
    if all(any((grids / part).glob("*.webp")) for part in PARTS):
        return grids
    if all((batches / file).is_file() for files in archive.files.values() for file in files):
        return batches
    packed = folder / archive.file_name
    return packed if packed.is_file() else None


def read(name: str, source: Path, part: str) -> Part:
    """Every image of one part ("train" or "test") in the order of its source.

    Returns:
        images uint8 (n, 32, 32, 3) RGB and labels int64 (n,), numbered by the alphabetical order
        of the classes' names, as in the original archives.

    Raises:
        DataMissingError: the source is damaged or incomplete.
    """
    try:
        if source.is_file():
            return _read_archive(ARCHIVES[name], source, part)
        if (source / part).is_dir():
            return _read_grids(source / part)
        files = [
            read_bytes(source / file, most_bytes=_MOST_BYTES) for file in ARCHIVES[name].files[part]
        ]
        return _join([_read_batch(data, ARCHIVES[name].label_key) for data in files])
    except (OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError, tarfile.TarError) as e:
        raise DataMissingError(
            f"The files of {name} in {source} are damaged ({type(e).__name__}); "
            "delete them and download them again."
        ) from e


def download(
    name: str,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    open_url: Callable[[str], IO[bytes]] | None = None,
) -> Path:
    """Fetch the original archive into `folder`; it gets its name only if its MD5 is correct.

    Args:
        progress: called with (bytes so far, bytes in all) after each chunk; an exception raised
            in it stops the download, and no file remains.
        open_url: opens an address for reading; `urllib` unless given.

    Raises:
        DataMissingError: no connection, a full disk, or other bytes than the archive's.
    """
    archive = ARCHIVES[name]
    opener = open_url or _open_url
    target = folder / archive.file_name
    try:
        with replacing(target) as draft:
            with draft.open("wb") as file, opener(archive.url) as stream:
                digest = _copy(stream, file, archive.archive_bytes, progress)
            if digest != archive.md5:
                raise DataMissingError(
                    f"{archive.url} did not send the archive of {name}; try again later."
                )
    except OSError as error:  # urllib's errors are among them
        raise DataMissingError(
            f"{name} could not be downloaded from {archive.url} ({error}); "
            f"check the connection, or put the archive into {folder} yourself."
        ) from error
    return target


def _open_url(url: str) -> IO[bytes]:
    stream: IO[bytes] = urllib.request.urlopen(url, timeout=30)  # noqa: S310  # ARCHIVES has https
    return stream


def _copy(
    source: IO[bytes],
    target: IO[bytes],
    total_bytes: int,
    progress: Callable[[int, int], None] | None,
) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # the archive's published checksum is an MD5
    done_bytes = 0
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)
        digest.update(chunk)
        done_bytes += len(chunk)
        if progress is not None:
            progress(done_bytes, total_bytes)
    return digest.hexdigest()


def _read_grids(folder: Path) -> Part:
    parts = []
    for label, path in enumerate(sorted(folder.glob("*.webp"))):
        with Image.open(path, formats=["WEBP"]) as sheet:
            grid = np.asarray(sheet.convert("RGB"))
        rows, columns = grid.shape[0] // SIZE, grid.shape[1] // SIZE
        tiles = grid.reshape(rows, SIZE, columns, SIZE, 3).swapaxes(1, 2)
        images = tiles.reshape(-1, SIZE, SIZE, 3)  # (tiles, 32, 32, 3), row by row
        parts.append((images, np.full(len(images), label, dtype=np.int64)))
    return _join(parts)


def _read_archive(archive: Archive, path: Path, part: str) -> Part:
    wanted = [f"{archive.folder}/{file}" for file in archive.files[part]]
    batches = {}
    with tarfile.open(path, "r:gz") as tar:
        for member in tar:  # in the archive's order: gzip cannot seek
            stream = tar.extractfile(member) if member.name in wanted else None
            if stream is not None and member.size > _MOST_BYTES:
                raise ValueError("a part is too large")
            if stream is not None:
                batches[member.name] = _read_batch(stream.read(), archive.label_key)
    return _join([batches[file] for file in wanted])


def _read_batch(data: bytes, label_key: str) -> Part:
    batch = _BatchUnpickler(io.BytesIO(data), encoding="latin1").load()
    if not isinstance(batch, dict):
        raise pickle.UnpicklingError("a batch is a dictionary")
    planes = np.asarray(batch["data"], dtype=np.uint8).reshape(-1, 3, SIZE, SIZE)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))  # (n, 32, 32, 3)
    return images, np.asarray(batch[label_key], dtype=np.int64)


def _join(parts: list[Part]) -> Part:
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


class _BatchUnpickler(pickle.Unpickler):
    """Reads a batch, a pickle from Python 2, without letting it run anything.

    Only the three names that an array needs are resolved; any other name is an error.
    """

    _ARRAY: ClassVar[dict[str, Any]] = {
        "_reconstruct": np.empty(0, np.uint8).__reduce__()[0],
        "ndarray": np.ndarray,
        "dtype": np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in self._ARRAY:
            return self._ARRAY[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not part of an array")
