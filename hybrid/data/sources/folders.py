"""A folder of a user's images as a list of entries; links are followed, each folder read once."""

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from hybrid.data.images import HEAD_BYTES, MAX_FILE_BYTES, is_image, shown_name
from hybrid.data.sources.names import MAX_DEPTH, clutter, kind_of
from hybrid.data.sources.source import MAX_ENTRIES, Entry, Found, refused
from hybrid.data.sources.tables import LABELS_FILE, MAX_LABELS_BYTES
from hybrid.errors import ImageError, SourceError

__all__ = ["file_bytes", "in_folder", "reader"]

_MOST_FILES = 2 * MAX_ENTRIES  # of all kinds


@dataclass(frozen=True, kw_only=True, slots=True)
class _Folder:
    path: str
    parts: tuple[str, ...]


def in_folder(top: Path) -> Found:
    """All files in a folder and in the folders below and linked from it.

    A link to a folder that is listed already, or that is around this one, is named and left out,
    so that links in a circle end.

    Raises:
        SourceError: more files than are listed at most.
    """
    found = Found()
    seen = {_identity(top.stat())}
    around = {_identity(parent.stat()) for parent in top.resolve().parents}
    links: deque[_Folder] = deque()
    waiting = deque([_Folder(path=str(top), parts=())])
    files = 0
    while waiting or links:
        folder = waiting.popleft() if waiting else links.popleft()
        linked = bool(folder.parts) and Path(folder.path).is_symlink()
        if linked and not _is_new(folder, seen, around, found):
            continue
        found.folders.add(folder.parts)
        for item in _items(folder, found):
            name = "/".join((*folder.parts, item.name))
            if (what := clutter(item.name)) is not None:
                found.ignore(what)
                continue
            try:
                inner = item.is_dir()
            except OSError as error:
                found.refused.append(refused(name, f"cannot be read ({error.strerror})"))
                continue
            if inner:
                below = _Folder(path=item.path, parts=(*folder.parts, item.name))
                if len(below.parts) > MAX_DEPTH:
                    found.refused.append(refused(name, _too_deep()))
                elif item.is_symlink():
                    links.append(below)
                else:
                    seen.add(_identity(item.stat()))
                    waiting.append(below)
                continue
            files += 1
            if files > _MOST_FILES:
                raise SourceError(
                    f"{shown_name(top.name)} holds more than {_MOST_FILES:,} files, the most that "
                    "are listed; name a folder inside it."
                )
            _file(item, name, found)
    return found


def reader(top: Path, entry: Entry) -> bytes:
    """The bytes of an entry; raises ImageError if it cannot be read."""
    return file_bytes(top / entry.name, limit=MAX_FILE_BYTES)


def file_bytes(path: Path, *, limit: int) -> bytes:
    """At most one byte more than the limit, so that the reader can tell there was more.

    Raises:
        ImageError: not a regular file, or one that cannot be read.
    """
    try:
        if not path.is_file():  # a pipe would wait for ever, a device never end
            path.stat()
            raise ImageError(f"{shown_name(path.name)} is not a file; name an image.")
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size  # reading reserves what is asked for
            return file.read(min(size_bytes, limit) + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name has a NUL"
        raise ImageError(
            f"{shown_name(path.name)} cannot be read ({why}); allow reading it, or copy it again."
        ) from error


def _is_new(
    folder: _Folder, seen: set[tuple[int, int]], around: set[tuple[int, int]], found: Found
) -> bool:
    """Whether a link leads to a folder that is not listed yet, which it then is."""
    identity = _identity(Path(folder.path).stat())
    if identity in seen or identity in around:
        where = "listed already" if identity in seen else "around this one"
        found.refused.append(
            refused("/".join(folder.parts), f"links to a folder that is {where}; it was left out")
        )
        return False
    seen.add(identity)
    return True


def _items(folder: _Folder, found: Found) -> Iterator["os.DirEntry[str]"]:
    """What is in a folder; one that may not be listed is named."""
    try:
        with os.scandir(folder.path) as items:
            yield from sorted(items, key=lambda item: item.name)
    except OSError as error:
        found.refused.append(
            refused(
                "/".join(folder.parts) or folder.path,
                f"cannot be listed ({error.strerror}); allow reading it",
            )
        )


def _file(item: "os.DirEntry[str]", name: str, found: Found) -> None:
    """One file of a folder: an image, a table of labels, or one that is ignored."""
    try:
        about = item.stat()
        if not stat.S_ISREG(about.st_mode):
            found.ignore("special file")
        elif item.name.casefold() == LABELS_FILE:
            path = Path(item.path)
            found.tables[name] = partial(_table_bytes, path)
        elif is_image(name) or _is_image_inside(item.path):
            stamp = f"{about.st_size} {about.st_mtime_ns}"
            found.entries.append(Entry(name=name, stamp=stamp))
        else:
            found.ignore(kind_of(name))
    except OSError as error:
        what = "is a broken link" if item.is_symlink() else f"cannot be read ({error.strerror})"
        found.refused.append(refused(name, what))


def _is_image_inside(path: str) -> bool:
    with Path(path).open("rb") as file:
        return is_image(PurePosixPath(path).name, file.read(HEAD_BYTES))


def _table_bytes(path: Path) -> bytes:
    try:
        return file_bytes(path, limit=MAX_LABELS_BYTES)
    except ImageError as error:
        raise SourceError(str(error)) from error


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def _too_deep() -> str:
    return f"has more than {MAX_DEPTH} folders around it; move it up"
