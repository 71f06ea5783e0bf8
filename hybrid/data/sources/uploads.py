"""The pictures of one uploaded file, an image or a zip, read at once and kept small."""

import io
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from hybrid.data.images import MAX_FILE_BYTES, Picture, Rejected, read_image, shown_name
from hybrid.data.sources import zips
from hybrid.data.sources.names import clutter
from hybrid.data.sources.source import refused
from hybrid.errors import ImageError, SourceError

__all__ = ["MAX_FILES", "MAX_UNPACKED_BYTES", "read_upload"]

MAX_FILES = 200  # of a zip that is read at once
MAX_UNPACKED_BYTES = 500_000_000  # of the same, all files together, one in memory at a time
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def read_upload(name: str, data: bytes | zips.OnDisk, *, size: int = 0) -> list[Picture | Rejected]:
    """The pictures of an uploaded image or zip, in order; bad files are named in their place.

    Args:
        size: input size of the largest network that will see them, as for `read_image`.
    """
    with io.BytesIO(data) if isinstance(data, bytes) else data.open() as file:
        if _head(file).startswith(_ZIP):
            return list(_read_zip(name, data, size))
        return [_read(name, file.read(MAX_FILE_BYTES + 1), size)]


def _head(file: BinaryIO) -> bytes:
    head = file.read(4)
    file.seek(0)
    return head


def _read(name: str, data: bytes, size: int) -> Picture | Rejected:
    try:
        return Picture(name=shown_name(name), image=read_image(name, data, size=size))
    except ImageError as error:
        return Rejected(name=shown_name(name), sentence=str(error))


def _read_zip(name: str, data: bytes | zips.OnDisk, size: int) -> Iterator[Picture | Rejected]:
    shown = shown_name(name)
    try:
        with zips.unpacked(data, shown) as archive:
            yield from _read_members(archive, shown, size)
    except SourceError as error:
        yield Rejected(name=shown, sentence=str(error))


def _read_members(archive: zipfile.ZipFile, shown: str, size: int) -> Iterator[Picture | Rejected]:
    members = [member for member in archive.infolist() if _is_wanted(zips.name_of(member))]
    if not members:
        yield Rejected(name=shown, sentence=f"{shown} holds no files; pack images into it.")
    left_bytes = MAX_UNPACKED_BYTES
    for member in members[:MAX_FILES]:
        result, used_bytes = _read_member(archive, member, left_bytes, size)
        left_bytes -= used_bytes
        yield result
    if len(members) > MAX_FILES:
        sentence = (
            f"{shown} holds {len(members):,} files and only the first {MAX_FILES} were read; "
            "pack the others into another zip."
        )
        yield Rejected(name=shown, sentence=sentence)


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, left_bytes: int, size: int
) -> tuple[Picture | Rejected, int]:
    """One file of a zip and how many bytes it unpacked to."""
    name = zips.name_of(member)
    shown = shown_name(name)
    if left_bytes <= 0:
        sentence = (
            f"{shown} was not read: its zip unpacks to more than "
            f"{MAX_UNPACKED_BYTES // 1_000_000} MB; split the zip."
        )
        return Rejected(name=shown, sentence=sentence), 0
    if zips.outside(name):
        return refused(member.orig_filename, zips.OUTSIDE), 0
    try:
        data = zips.member_bytes(archive, member)
    except ImageError as error:
        return Rejected(name=shown, sentence=str(error)), 0
    return _read(name, data, size), len(data)


def _is_wanted(name: str) -> bool:
    """Whether to report a file; one whose name points outside is reported, but never read."""
    return zips.outside(name) or not (name.endswith("/") or clutter(name) is not None)
