"""Folders and zips of a user's images: `opened` lists them, `read_upload` reads a small one whole.

    with archives.opened(Path("photos.zip")) as source:
        words = archives.label_words(source, classes)  # one per entry: its folder or its row
        pixels = read_input(entry.name, source.read(entry), size=32, channels=3)

Nothing is unpacked to disk and no name is trusted. An entry counts as an image by its suffix
until it is read; a file that cannot be read does not stop the others.
"""

import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from hybrid.data.images import (
    MAX_FILE_BYTES,
    SUFFIXES,
    Picture,
    Rejected,
    read_image,
    shown_name,
)
from hybrid.data.label_table import LABELS_FILE, MAX_LABELS_BYTES, labels_by_file, read_labels
from hybrid.data.labels import alike
from hybrid.errors import ImageError, SourceError

__all__ = ["MAX_FILES", "Entry", "Source", "is_clutter", "label_words", "opened", "read_upload"]

MAX_ENTRIES = 1_000_000  # of a folder or zip that becomes a split
MAX_FILES = 200  # of a zip that is read at once
MAX_UNPACKED_BYTES = 200_000_000  # of the same, all files together


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file: its path inside the source, and what changes when its content does."""

    name: str
    stamp: str

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders it is in, outermost first."""
        return PurePosixPath(self.name).parts[:-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Where a user's images come from.

    Args:
        title: its name, safe to print.
        entries: the files with an image's suffix, sorted by name.
        refused: files that will not be read, each with the reason.
        others: how many files do not have an image's suffix.
        table: file to label, from a labels file; None if there is none.
        read: the bytes of an entry; raises ImageError if there are none.
    """

    title: str
    entries: tuple[Entry, ...]
    refused: tuple[Rejected, ...]
    others: int
    table: Mapping[str, str] | None
    read: Callable[[Entry], bytes]


@contextmanager
def opened(
    given: Path | bytes, *, title: str | None = None, labels: bytes | None = None
) -> Iterator[Source]:
    """A folder, a zip or the bytes of a zip as a source, for as long as the block lasts.

    Args:
        title: its name; by default the last part of the path.
        labels: the content of a table of file and label; by default `labels.csv` at the top of
            the source, if there is one.

    Raises:
        SourceError: no such folder or zip, a damaged zip, no image in it, or a table that cannot
            be read.
    """
    shown = shown_name(title or (given.resolve().name if isinstance(given, Path) else "The zip"))
    table = None if labels is None else read_labels(labels)
    if isinstance(given, Path) and given.is_dir():
        yield _checked(_of_folder(given, shown, table))
        return
    with _zip(given, shown) as archive:
        yield _checked(_of_zip(archive, shown, table))


def read_upload(name: str, data: bytes, *, size: int = 0) -> list[Picture | Rejected]:
    """The pictures of an uploaded image or zip, in order; bad files are named in their place.

    Args:
        size: input size of the largest network that will see them, as for `read_image`.
    """
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return list(_read_zip(name, data, size))
    return [_read(name, data, size)]


def is_clutter(name: str) -> bool:
    """Whether operating systems add files of this name to folders or zips by themselves."""
    path = PurePosixPath(name)
    return (
        path.parts[:1] == ("__MACOSX",)
        or path.name.startswith(".")
        or path.name in {"Thumbs.db", "desktop.ini"}
    )


def label_words(source: Source, classes: Sequence[str]) -> tuple[str | None, ...]:
    """The label of each entry: its row in the table, else its folder; None if it has neither.

    With nested folders, the level whose names match classes for the most files is used, so that
    `photos/train/cat/1.jpg` is a cat; if no level matches, the innermost is used.
    """
    if source.table is not None:
        return labels_by_file([entry.name for entry in source.entries], source.table)
    known = {alike(name) for name in classes}
    # From the inside: where two levels fit equally well, the one nearer to the file is meant.
    depth = max((len(entry.folders) for entry in source.entries), default=0)
    fits = [
        sum(
            len(f) >= level and alike(f[-level]) in known
            for f in (e.folders for e in source.entries)
        )
        for level in range(1, depth + 1)
    ]
    chosen = 1 + fits.index(max(fits)) if fits else 1
    return tuple(
        entry.folders[-min(chosen, len(entry.folders))] if entry.folders else None
        for entry in source.entries
    )


def _read(name: str, data: bytes, size: int) -> Picture | Rejected:
    try:
        return Picture(name=shown_name(name), image=read_image(name, data, size=size))
    except ImageError as error:
        return Rejected(name=shown_name(name), sentence=str(error))


def _read_zip(name: str, data: bytes, size: int) -> Iterator[Picture | Rejected]:
    shown = shown_name(name)
    try:
        with _zip(data, shown) as archive:
            yield from _read_members(archive, shown, size)
    except SourceError as error:
        yield Rejected(name=shown, sentence=str(error))


def _read_members(archive: zipfile.ZipFile, shown: str, size: int) -> Iterator[Picture | Rejected]:
    members = [member for member in archive.infolist() if _is_wanted(member)]
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
    shown = shown_name(member.filename)
    if left_bytes <= 0:
        sentence = (
            f"{shown} was not read: its zip unpacks to more than "
            f"{MAX_UNPACKED_BYTES // 1_000_000} MB; split the zip."
        )
        return Rejected(name=shown, sentence=sentence), 0
    if _points_outside(member.filename):
        return _outside(member.filename), 0
    try:
        data = _member_bytes(archive, member)
    except ImageError as error:
        return Rejected(name=shown, sentence=str(error)), 0
    return _read(member.filename, data, size), len(data)


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    """Whether to report a file; one whose name points outside is reported, but never read."""
    outside = _points_outside(member.filename)
    return outside or not (member.is_dir() or is_clutter(member.filename))


def _checked(source: Source) -> Source:
    if len(source.entries) > MAX_ENTRIES:
        raise SourceError(
            f"{source.title} holds {len(source.entries):,} images, and {MAX_ENTRIES:,} are read "
            "at most; split it."
        )
    if not source.entries:
        why = f" ({source.refused[0].sentence})" if source.refused else ""
        raise SourceError(
            f"{source.title} holds no images{why}; give PNG, JPEG, WebP, GIF, BMP or TIFF files."
        )
    return source


def _of_folder(folder: Path, title: str, table: Mapping[str, str] | None) -> Source:
    entries: list[Entry] = []
    others = 0
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if not _is_image(name):
            others += 1
            continue
        found = path.stat()
        entries.append(Entry(name=name, stamp=f"{found.st_size} {found.st_mtime_ns}"))
    if table is None and (folder / LABELS_FILE).is_file():
        table = read_labels(_file_bytes(folder / LABELS_FILE, limit=MAX_LABELS_BYTES))
    return Source(
        title=title,
        entries=tuple(sorted(entries, key=lambda entry: entry.name)),
        refused=(),
        others=others,
        table=table,
        read=lambda entry: _file_bytes(folder / entry.name, limit=MAX_FILE_BYTES),
    )


def _files(folder: Path) -> Iterator[Path]:
    """Every plain file below a folder; links to folders may be circular and are not followed."""
    for where, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not is_clutter(name))
        for name in names:
            path = Path(where, name)
            if not is_clutter(name) and path.is_file():
                yield path


def _file_bytes(path: Path, *, limit: int) -> bytes:
    """At most one byte more than the limit, so that the reader can tell there was more."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise ImageError(
            f"{shown_name(path.name)} cannot be read ({error.strerror}); "
            "allow reading it, or copy it again."
        ) from error


@contextmanager
def _zip(given: Path | bytes, title: str) -> Iterator[zipfile.ZipFile]:
    file: Path | BinaryIO = io.BytesIO(given) if isinstance(given, bytes) else given
    if isinstance(given, Path) and not given.exists():
        raise SourceError(f"There is no folder or zip {given}; check its name.")
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # a damaged directory raises more than BadZipFile
        wanted = "an intact zip" if isinstance(given, bytes) else "a folder or an intact zip"
        raise SourceError(f"{title} is not {wanted}; pack the images into a zip again.") from error
    with archive:
        yield archive


def _of_zip(archive: zipfile.ZipFile, title: str, table: Mapping[str, str] | None) -> Source:
    members: dict[str, zipfile.ZipInfo] = {}
    refused: list[Rejected] = []
    others = 0
    for member in archive.infolist():
        if _points_outside(member.filename):
            refused.append(_outside(member.filename))
        elif member.is_dir() or is_clutter(member.filename):
            continue
        elif not _is_image(member.filename):
            others += 1
        elif member.filename in members:
            refused.append(_refused(member.filename, "is in the zip twice", "different names"))
        else:
            members[member.filename] = member
    if table is None and LABELS_FILE in archive.namelist():
        table = read_labels(_labels_inside(archive, title))
    return Source(
        title=title,
        entries=tuple(
            Entry(name=name, stamp=f"{members[name].file_size} {members[name].CRC:08x}")
            for name in sorted(members)
        ),
        refused=tuple(refused),
        others=others,
        table=table,
        read=lambda entry: _member_bytes(archive, members[entry.name]),
    )


def _labels_inside(archive: zipfile.ZipFile, title: str) -> bytes:
    try:
        with archive.open(LABELS_FILE) as file:
            return file.read(MAX_LABELS_BYTES + 1)
    except Exception as error:  # each compression method has its own errors
        raise SourceError(f"{LABELS_FILE} in {title} is damaged; pack the zip again.") from error


def _refused(name: str, what: str, better: str) -> Rejected:
    shown = shown_name(name)
    return Rejected(name=shown, sentence=f"{shown} {what}; pack it under {better}.")


def _outside(name: str) -> Rejected:
    return _refused(name, "points outside its zip", "a plain name")


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix[1:].lower() in SUFFIXES


def _member_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of one file of a zip, unpacked in memory; its stated size is not trusted.

    A file that is too large is cut off at a length that `read_image` refuses.

    Raises:
        ImageError: a password or damage; the sentence names the file.
    """
    shown = shown_name(member.filename)
    if member.flag_bits & 1:
        raise ImageError(f"{shown} is encrypted; pack it without a password.")
    try:
        with archive.open(member) as file:
            return file.read(MAX_FILE_BYTES + 1)
    except Exception as error:  # each compression method has its own errors
        raise ImageError(f"{shown} is damaged inside its zip; pack it again.") from error


def _points_outside(name: str) -> bool:
    """Whether a name inside a zip leads out of the folder it would be unpacked to."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match(r"[A-Za-z]:", name))
