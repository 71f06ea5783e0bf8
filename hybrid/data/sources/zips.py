r"""A zip of a user's images as a list of entries, as Windows, macOS and old tools write it.

    with zips.unpacked(path, title) as archive:
        found, read = zips.in_zip(archive, title)

Names are read as their writers meant them: `\` is a separator, UTF-8 without its flag is UTF-8.
Nothing is unpacked to disk, and no stated size is trusted.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

from hybrid.data.images import HEAD_BYTES, MAX_FILE_BYTES, is_image, shown_name
from hybrid.data.sources.names import MAX_DEPTH, clutter, kind_of
from hybrid.data.sources.source import MAX_ENTRIES, Entry, Found, refused
from hybrid.data.sources.tables import LABELS_FILE, MAX_LABELS_BYTES
from hybrid.errors import ImageError, SourceError

__all__ = ["OUTSIDE", "OnDisk", "in_zip", "member_bytes", "name_of", "outside", "unpacked"]

OUTSIDE = "points outside its zip; pack it under a plain name"
_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075  # extra field of Info-ZIP: the name in UTF-8
_ENCRYPTED_FLAG = 1
_MOST_UPLOADED_BYTES = 64_000_000  # of the same in an upload: it takes ten times as much memory
_STREAMED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of which a head is read without the rest
_MOST_DIRECTORY_BYTES = 300 * MAX_ENTRIES  # of a zip's own list of its files


class OnDisk(Protocol):
    """Bytes that are kept in a file: each `open` reads them from the start."""

    def open(self) -> BinaryIO:
        """A file of its own, at its start."""
        ...


@contextmanager
def unpacked(given: Path | bytes | OnDisk, title: str) -> Iterator[zipfile.ZipFile]:
    """A zip for as long as the block lasts.

    Raises:
        SourceError: no such file, damage, or a list of more files than are read.
    """
    with _opened(given, title) as file:
        most_bytes = _MOST_DIRECTORY_BYTES if isinstance(given, Path) else _MOST_UPLOADED_BYTES
        guarded = _Guarded(file, title, most_bytes)
        try:
            archive = zipfile.ZipFile(cast("BinaryIO", guarded))
        except SourceError:
            raise
        except Exception as error:  # a damaged directory raises more than BadZipFile
            raise _not_a_zip(given, title) from error
        guarded.most_bytes = None
        with archive:
            yield archive


def in_zip(archive: zipfile.ZipFile, title: str) -> tuple[Found, Callable[[Entry], bytes]]:
    """The files of a zip, and the function that reads one."""
    found = Found()
    members: dict[str, zipfile.ZipInfo] = {}
    seen_clutter: set[str] = set()
    for member in archive.infolist():
        name = name_of(member)
        if outside(name):
            found.refused.append(refused(member.orig_filename, OUTSIDE))
            continue
        path = PurePosixPath(name)
        if stat.S_ISLNK(member.external_attr >> 16):
            found.refused.append(refused(name, "is only a link to a file; pack the file itself"))
        elif (what := clutter(name)) is not None:
            place = "/".join(path.parts[: path.parts.index(what) + 1])
            if place not in seen_clutter:  # a folder of clutter counts once, whatever it holds
                seen_clutter.add(place)
                found.ignore(what)
        elif len(path.parts) > MAX_DEPTH:
            found.refused.append(
                refused(name, f"has {MAX_DEPTH} folders or more around it; move it up")
            )
        elif name.endswith("/"):
            found.folders.update(_upwards(path.parts))
        else:
            found.folders.update(_upwards(path.parts[:-1]))
            _file(archive, member, str(path), title, (found, members))
    entries = {entry.name: members[entry.name] for entry in found.entries}
    return found, lambda entry: member_bytes(archive, entries[entry.name])


def name_of(member: zipfile.ZipInfo) -> str:
    """The path of a member as its writer meant it, with `/` between folders.

    Without the flag of UTF-8 a name is in an old code page; but many tools write UTF-8 and omit
    the flag, and hardly any other text is valid UTF-8.
    """
    name = member.orig_filename
    if not member.flag_bits & _UTF8_FLAG:
        with suppress(UnicodeError):
            raw = name.encode("cp437")
            name = (_unicode_path(member.extra, raw) or raw).decode("utf-8")
    return name.replace("\0", "�").replace("\\", "/")


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """The name in UTF-8 that Info-ZIP adds, if it belongs to this name."""
    while len(extra) >= 4:  # a kind and a length, two bytes each
        kind, length = struct.unpack_from("<HH", extra)
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and content[1:5] == struct.pack("<I", zlib.crc32(raw)):
            return content[5:]
    return None


def outside(name: str) -> bool:
    """Whether a name inside a zip leads out of the folder it would be unpacked to."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or bool(re.match(r"[A-Za-z]:", name))


def member_bytes(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, limit: int = MAX_FILE_BYTES
) -> bytes:
    """The bytes of one file of a zip, unpacked in memory; its stated size is not trusted.

    A file that is too large is cut off one byte after the limit, which `read_image` refuses.

    Raises:
        ImageError: a password, an unknown compression or damage; the sentence names the file.
    """
    shown = shown_name(name_of(member))
    if member.flag_bits & _ENCRYPTED_FLAG:
        raise ImageError(f"{shown} is encrypted; pack it without a password.")
    try:
        with archive.open(member) as file:
            return file.read(limit + 1)
    except NotImplementedError as error:
        raise ImageError(
            f"{shown} is compressed by a method that is not read, such as Deflate64; pack the zip "
            "with another program."
        ) from error
    except Exception as error:  # each compression method has its own errors
        raise ImageError(f"{shown} is damaged inside its zip; pack it again.") from error


def _file(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    name: str,
    title: str,
    place: tuple[Found, dict[str, zipfile.ZipInfo]],
) -> None:
    """One file of a zip: an image, a table of labels, or one that is ignored."""
    found, members = place
    if PurePosixPath(name).name.casefold() == LABELS_FILE:
        found.tables[name] = partial(_table_bytes, archive, member, title)
    elif not is_image(name) and not _is_image_inside(archive, member):
        found.ignore(kind_of(name))
    elif name in members:
        found.refused.append(refused(name, "is in the zip twice; pack it under different names"))
    else:
        members[name] = member
        found.entries.append(Entry(name=name, stamp=f"{member.file_size} {member.CRC:08x}"))


def _is_image_inside(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.compress_type not in _STREAMED:
        return False
    with suppress(ImageError):
        return is_image(
            PurePosixPath(name_of(member)).name, member_bytes(archive, member, limit=HEAD_BYTES)
        )
    return False


def _table_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo, title: str) -> bytes:
    try:
        return member_bytes(archive, member, limit=MAX_LABELS_BYTES)
    except ImageError as error:
        raise SourceError(f"The table of labels in {title} is not read: {error}") from error


@contextmanager
def _opened(given: Path | bytes | OnDisk, title: str) -> Iterator[BinaryIO]:
    if isinstance(given, bytes):
        yield io.BytesIO(given)
        return
    if isinstance(given, Path) and not given.is_file():
        raise SourceError(f"{title} is neither a folder nor a file; name a folder or a zip.")
    try:
        file = given.open("rb") if isinstance(given, Path) else given.open()
    except OSError as error:
        raise SourceError(
            f"{title} cannot be read ({error.strerror}); allow reading it, or copy it again."
        ) from error
    with file:
        yield file


class _Guarded:
    """A file that refuses a read of more bytes than a zip's list of files may have.

    What a zip states about itself is not asked: it can be stated in several places.
    """

    def __init__(self, file: BinaryIO, title: str, most_bytes: int) -> None:
        self._file, self._title = file, title
        self.most_bytes: int | None = most_bytes

    def read(self, size: int = -1) -> bytes:
        if self.most_bytes is not None and self._asked(size) > self.most_bytes:
            raise SourceError(
                f"{self._title} has a list of files of more than {self.most_bytes // 1_000_000} "
                "MB, the most that is read; split it."
            )
        return self._file.read(size)

    def _asked(self, size: int) -> int:
        here = self._file.tell()
        left_bytes = self._file.seek(0, io.SEEK_END) - here
        self._file.seek(here)
        return left_bytes if size < 0 else min(size, left_bytes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _not_a_zip(given: object, title: str) -> SourceError:
    wanted = "a folder or an intact zip" if isinstance(given, Path) else "an intact zip"
    return SourceError(f"{title} is not {wanted}; pack the images into a zip again.")


def _upwards(folders: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A folder and all that are around it."""
    return (folders[:end] for end in range(len(folders) + 1))
