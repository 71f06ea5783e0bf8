"""Unpacked splits in the user's cache folder, by name; the least recently used make room.

The cache only saves time: a damaged file counts as missing, and where nothing can be written, as
without a home folder or on a full disk, every split is unpacked each time.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hybrid.errors import FileError
from hybrid.files import expanded, home_folder, load_arrays, save_arrays

__all__ = ["MAX_BYTES", "MAX_SPLIT_BYTES", "cache_folder", "keep", "kept"]

MAX_BYTES = 20_000_000_000  # of all files together
MAX_SPLIT_BYTES = 4_000_000_000  # of images that are kept; more are read each time

_OURS = re.compile(r".+-(?:all|train|tune|certify|test)-[0-9a-z]+\.npz")


def cache_folder() -> Path:
    """`hybrid/` in the user's cache folder, where unpacked splits are kept.

    Raises:
        FileError: the user has no home folder.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    return (expanded(named) if named else home_folder("HYBRID_DATA") / ".cache") / "hybrid"


def kept(name: str, split: str, key: str) -> Mapping[str, NDArray[Any]]:
    """The arrays that were kept under this name; empty where there are none.

    Args:
        key: letters and digits that change with the content.
    """
    with suppress(FileError):
        path = _path(name, split, key)
        found = load_arrays(path)
        if found:
            with suppress(OSError):  # of another user
                os.utime(path)
        return found
    return {}


def keep(name: str, split: str, key: str, **arrays: Any) -> None:
    """Keep arrays, whole or not at all, and remove old files while there are too many bytes."""
    with suppress(OSError, FileError):
        path = _path(name, split, key)
        save_arrays(path, **arrays)
        _make_room(path)


def _path(name: str, split: str, key: str) -> Path:
    return cache_folder() / f"{name}-{split}-{key}.npz"


def _make_room(latest: Path) -> None:
    """Remove the files that were used longest ago; the latest stays, however large it is."""
    with os.scandir(latest.parent) as items:
        about = {Path(item.path): item.stat() for item in items if _OURS.fullmatch(item.name)}
    left_bytes = MAX_BYTES - about.pop(latest).st_size
    for path, one in sorted(about.items(), key=lambda item: item[1].st_mtime_ns, reverse=True):
        left_bytes -= one.st_size
        if left_bytes < 0:
            path.unlink(missing_ok=True)
