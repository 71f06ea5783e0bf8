"""A folder or a zip of a user's own images as a list of entries, read one at a time.

    with sources.opened(Path("photos.zip")) as source:
        words = sources.label_words(source, classes)     # one per entry: its folder, or its row
        picture = read_image(entry.name, source.read(entry))

Nothing is unpacked to disk, no name is trusted, no network is known. An entry is an image by its
suffix until it is read; what cannot be read costs no other.
"""

import csv
import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from hybrid.data.images import (
    MAX_FILE_BYTES,
    SUFFIXES,
    Rejected,
    is_clutter,
    member_bytes,
    points_outside,
    shown_name,
)
from hybrid.data.labels import alike
from hybrid.errors import ImageError, SourceError

__all__ = [
    "LABELS_FILE",
    "Entry",
    "Source",
    "label_words",
    "opened",
    "read_labels",
    "table_bytes",
]

MAX_ENTRIES = 1_000_000
MAX_LABELS_BYTES = 64_000_000
LABELS_FILE = "labels.csv"  # read where it lies at the top of the folder or zip
_FILE_HEADINGS = ("file", "filename", "file_name", "image", "path", "name")
_LABEL_HEADINGS = ("label", "class", "category", "truth")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file: its path inside the source, and what changes when its content does."""

    name: str
    stamp: str

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders it lies in, outermost first."""
        return PurePosixPath(self.name).parts[:-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Where a user's images come from.

    Args:
        title: what a reader calls it, safe to print.
        entries: the files that are images by their suffix, sorted by name.
        refused: files that will not be read, each with the sentence that says why.
        others: how many files are no images by their suffix.
        table: file to label, of a labels file; None where there is none.
        read: the bytes of an entry; ImageError where there are none.
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
        title: what to call it; of a path, its last part.
        labels: the content of a table of file and label; without it, `labels.csv` at the top of
            the source is read where there is one.

    Raises:
        SourceError: no such folder or zip, a damaged one, no image in it, or a table that cannot
            be read.
    """
    shown = shown_name(title or (given.resolve().name if isinstance(given, Path) else "The zip"))
    table = None if labels is None else read_labels(labels)
    if isinstance(given, Path) and given.is_dir():
        yield _checked(_of_folder(given, shown, table))
        return
    with _zip(given, shown) as archive:
        yield _checked(_of_zip(archive, shown, table))


def label_words(source: Source, classes: Sequence[str]) -> tuple[str | None, ...]:
    """What each entry is called: its row in the table, else the folder it lies in; None without.

    Of nested folders that level counts whose names fit most files to classes, so that
    `photos/train/cat/1.jpg` is a cat; where none fits, the innermost.
    """
    if source.table is not None:
        return _table_words(source.entries, source.table)
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


def table_bytes(path: Path) -> bytes:
    """The content of a table of file and label, for `opened`.

    Raises:
        SourceError: a file that cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); name a CSV file.") from None


def read_labels(data: bytes) -> dict[str, str]:
    """A table of file and label: commas, semicolons or tabs, with or without headings.

    Raises:
        SourceError: no text, a line without two columns, or two that contradict each other; the
            sentence names the line.
    """
    if len(data) > MAX_LABELS_BYTES:
        raise SourceError(
            f"The table of labels is larger than {MAX_LABELS_BYTES // 1_000_000} MB; divide it."
        )
    text = _decoded(data)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise SourceError(
            f"Line {lines.line_num} of the table of labels cannot be read ({error}); write it anew."
        ) from error
    if not rows:
        raise SourceError(
            "The table of labels is empty; give a line with file and label per image."
        )
    file, label = _columns(rows[0])
    table: dict[str, str] = {}
    for number, row in enumerate(rows[0 if (file, label) == (-1, -1) else 1 :], start=1):
        if len(row) <= max(file, label, 1):
            raise SourceError(
                f"Row {number} of the table of labels has no file and label, but "
                f"{shown_name(delimiter.join(row))!r}; give both, with a comma between."
            )
        name, word = _plain(row[max(file, 0)]), row[label if label >= 0 else 1].strip()
        if table.setdefault(name, word) != word:
            raise SourceError(
                f"Row {number} of the table of labels says {shown_name(word)!r} of "
                f"{shown_name(name)}, and a row above says {shown_name(table[name])!r}; leave one."
            )
    return table


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:  # what spreadsheets save that do not ask
        encodings = ["utf-8-sig"] if b"\0" in data else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" not in text:
                return text
    raise SourceError("The table of labels is no text; save it as CSV in UTF-8.")


def _columns(heading: Sequence[str]) -> tuple[int, int]:
    """Positions of file and label where the first row names them; (-1, -1) where it does not.

    Raises:
        SourceError: it names one of the two.
    """
    words = [word.strip().lower() for word in heading]
    files = [i for i, word in enumerate(words) if word in _FILE_HEADINGS]
    labels = [i for i, word in enumerate(words) if word in _LABEL_HEADINGS]
    heads = not any("." in word for word in words)  # a file has a suffix
    if heads and bool(files) != bool(labels):
        missing, wanted = ("label", _LABEL_HEADINGS) if files else ("file", _FILE_HEADINGS)
        raise SourceError(
            f"The table of labels has headings and none for the {missing}; call that column "
            f"{', '.join(sorted(wanted))}."
        )
    return (files[0], labels[0]) if files and labels else (-1, -1)


def _plain(name: str) -> str:
    return str(PurePosixPath(name.strip().replace("\\", "/")))


def _table_words(entries: Sequence[Entry], table: Mapping[str, str]) -> tuple[str | None, ...]:
    """Each entry's row, by its whole path or by its end; a row that several claim is none's."""
    rows = [_row(entry, table) for entry in entries]
    claimed = Counter(rows)
    return tuple(
        (table[row] or None)
        if row is not None and (claimed[row] == 1 or row == entry.name)
        else None
        for entry, row in zip(entries, rows, strict=True)
    )


def _row(entry: Entry, table: Mapping[str, str]) -> str | None:
    parts = PurePosixPath(entry.name).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in table), None)


def _checked(source: Source) -> Source:
    if len(source.entries) > MAX_ENTRIES:
        raise SourceError(
            f"{source.title} holds {len(source.entries):,} images, and {MAX_ENTRIES:,} are read "
            "at most; divide it."
        )
    if not source.entries:
        why = f" ({source.refused[0].sentence})" if source.refused else ""
        raise SourceError(
            f"{source.title} holds no image{why}; give PNG, JPEG, WebP, GIF, BMP or TIFF files."
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
    """Every plain file below a folder; links to folders are not followed, they may be circles."""
    for where, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not is_clutter(name))
        for name in names:
            path = Path(where, name)
            if not is_clutter(name) and path.is_file():
                yield path


def _file_bytes(path: Path, *, limit: int) -> bytes:
    """At most one byte more than the limit, so that who reads it sees that there was more."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise ImageError(
            f"{shown_name(path.name)} cannot be read ({error.strerror}); allow it or copy it again."
        ) from error


@contextmanager
def _zip(given: Path | bytes, title: str) -> Iterator[zipfile.ZipFile]:
    file: Path | BinaryIO = io.BytesIO(given) if isinstance(given, bytes) else given
    if isinstance(given, Path) and not given.exists():
        raise SourceError(f"There is no folder or zip {given}; check its name.")
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # a damaged directory raises more than BadZipFile
        raise SourceError(
            f"{title} is no folder and no whole zip; pack the images into a zip again."
        ) from error
    with archive:
        yield archive


def _of_zip(archive: zipfile.ZipFile, title: str, table: Mapping[str, str] | None) -> Source:
    members: dict[str, zipfile.ZipInfo] = {}
    refused: list[Rejected] = []
    others = 0
    for member in archive.infolist():
        if points_outside(member.filename):
            refused.append(_refused(member.filename, "points outside its zip", "a plain name"))
        elif member.is_dir() or is_clutter(member.filename):
            continue
        elif not _is_image(member.filename):
            others += 1
        elif member.filename in members:
            refused.append(_refused(member.filename, "is in the zip twice", "names of their own"))
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
        read=lambda entry: member_bytes(archive, members[entry.name]),
    )


def _labels_inside(archive: zipfile.ZipFile, title: str) -> bytes:
    try:
        with archive.open(LABELS_FILE) as file:
            return file.read(MAX_LABELS_BYTES + 1)
    except Exception as error:  # each compression method has errors of its own
        raise SourceError(f"{LABELS_FILE} in {title} is damaged; pack the zip again.") from error


def _refused(name: str, what: str, better: str) -> Rejected:
    shown = shown_name(name)
    return Rejected(name=shown, sentence=f"{shown} {what}; pack it under {better}.")


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix[1:].lower() in SUFFIXES
