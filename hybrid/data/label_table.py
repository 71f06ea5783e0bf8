"""Reads a table of file and label, as spreadsheets save it: one label per file."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from hybrid.data.images import shown_name
from hybrid.errors import SourceError

__all__ = ["LABELS_FILE", "MAX_LABELS_BYTES", "labels_by_file", "read_labels", "table_bytes"]

LABELS_FILE = "labels.csv"  # read if it is at the top of a folder or zip
MAX_LABELS_BYTES = 64_000_000
_FILE_HEADINGS = ("file", "filename", "file_name", "image", "path", "name")
_LABEL_HEADINGS = ("label", "class", "category", "truth")


def table_bytes(path: Path) -> bytes:
    """The content of a table of file and label, for `archives.opened`.

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
        SourceError: not text, a row without two columns, or two rows that contradict each other;
            the sentence names the row.
    """
    rows, delimiter = _rows(data)
    file, label = _columns(rows[0])
    table: dict[str, str] = {}
    for number, row in enumerate(rows[0 if (file, label) == (-1, -1) else 1 :], start=1):
        if len(row) <= max(file, label, 1):
            raise SourceError(
                f"Row {number} of the table of labels needs a file and a label, but is "
                f"{shown_name(delimiter.join(row))!r}; give both, separated by a comma."
            )
        name, word = _plain(row[max(file, 0)]), row[label if label >= 0 else 1].strip()
        if table.setdefault(name, word) != word:
            raise SourceError(
                f"Row {number} of the table of labels labels {shown_name(name)} as "
                f"{shown_name(word)!r}, a row above as {shown_name(table[name])!r}; keep one."
            )
    return table


def labels_by_file(files: Sequence[str], table: Mapping[str, str]) -> tuple[str | None, ...]:
    """Each file's label, from the row with its whole path or the end of it; None without a row.

    A row that fits several files by their ends belongs to none of them.
    """
    rows = [_row(file, table) for file in files]
    claimed = Counter(rows)
    return tuple(
        (table[row] or None) if row is not None and (claimed[row] == 1 or row == file) else None
        for file, row in zip(files, rows, strict=True)
    )


def _rows(data: bytes) -> tuple[list[list[str]], str]:
    """Rows that are not empty, at least one, and the delimiter."""
    if len(data) > MAX_LABELS_BYTES:
        raise SourceError(
            f"The table of labels is larger than {MAX_LABELS_BYTES // 1_000_000} MB; split it."
        )
    text = _decoded(data)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise SourceError(
            f"Line {lines.line_num} of the table of labels cannot be read ({error}); correct it."
        ) from error
    if not rows:
        raise SourceError("The table of labels is empty; give a row with file and label per image.")
    return rows, delimiter


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:  # the encodings in which spreadsheets save CSV by default
        encodings = ["utf-8-sig"] if b"\0" in data else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" not in text:
                return text
    raise SourceError("The table of labels is not text; save it as CSV in UTF-8.")


def _columns(heading: Sequence[str]) -> tuple[int, int]:
    """Columns of file and label if the first row is a heading; (-1, -1) if it is not.

    Raises:
        SourceError: the heading names only one of the two.
    """
    words = [word.strip().lower() for word in heading]
    files = [i for i, word in enumerate(words) if word in _FILE_HEADINGS]
    labels = [i for i, word in enumerate(words) if word in _LABEL_HEADINGS]
    heads = not any("." in word for word in words)  # a file has a suffix
    if heads and bool(files) != bool(labels):
        missing, wanted = ("label", _LABEL_HEADINGS) if files else ("file", _FILE_HEADINGS)
        raise SourceError(
            f"The table of labels has headings, but none for the {missing}; call that column "
            f"{', '.join(sorted(wanted))}."
        )
    return (files[0], labels[0]) if files and labels else (-1, -1)


def _plain(name: str) -> str:
    return str(PurePosixPath(name.strip().replace("\\", "/")))


def _row(file: str, table: Mapping[str, str]) -> str | None:
    parts = PurePosixPath(file).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in table), None)
