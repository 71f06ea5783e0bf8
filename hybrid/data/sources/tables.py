"""Reads a table as spreadsheets and tools save it: rows of cells, and their headings if any."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hybrid.errors import SourceError

__all__ = [
    "FILE_HEADINGS",
    "LABELS_FILE",
    "LABEL_HEADINGS",
    "MAX_LABELS_BYTES",
    "MAX_ROWS",
    "Table",
    "heading",
    "read_table",
    "table_bytes",
]

LABELS_FILE = "labels.csv"  # read if it is at the top of a folder or zip, in any case
MAX_LABELS_BYTES = 64_000_000
MAX_ROWS = 1_000_000
_MAX_COLUMNS = 1_000
_MAX_CELLS = 5_000_000
_MAX_LINE = 200_000
_TRIED_ROWS = 50  # that decide the delimiter
_DELIMITERS = ",;\t|"

# Headings as `heading` gives them. Of the second group one counts if none of the first is there.
FILE_HEADINGS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "file", "files", "filename", "filenames", "filepath", "filepaths", "path", "paths",
            "image", "images", "imagefile", "imagefilename", "imagename", "imagepath", "img",
            "imgname", "imgpath", "picture", "photo", "fname",
        }
    ),
    frozenset({"id", "ids", "imageid", "imgid", "name", "names", "fileid"}),
)  # fmt: skip
LABEL_HEADINGS: tuple[frozenset[str], ...] = (
    frozenset({"label", "labels", "class", "classes", "category", "categories", "truth"}),
    frozenset({"target", "groundtruth", "species", "breed", "diagnosis", "level", "grade"}),
    frozenset({"classname", "labelname", "categoryname"}),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows of cells, at least one, none empty; the delimiter between them."""

    rows: Sequence[Sequence[str]]
    delimiter: str


def table_bytes(path: Path) -> bytes:
    """The content of a table of file and label, for `sources.opened`.

    Raises:
        SourceError: a file that cannot be read.
    """
    try:
        if not path.is_file():
            path.stat()
            raise SourceError(f"{path} is not a file; name a CSV file.")
        with path.open("rb") as file:
            return file.read(MAX_LABELS_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); name a CSV file.") from None


def heading(cell: str) -> str:
    """A heading for comparing: letters and digits, in lower case.

    >>> heading("Image_ID"), heading("Roi.X1")
    ('imageid', 'roix1')
    """
    return "".join(letter for letter in cell.casefold() if letter.isalnum())


def read_table(data: bytes) -> Table:
    """The rows of a table: commas, semicolons, tabs or bars between cells, in any usual encoding.

    Lines without a cell are left out, and so are a line `sep=;` and comments at the top.

    Raises:
        SourceError: not text, empty, or too large.
    """
    if len(data) > MAX_LABELS_BYTES:
        raise SourceError(
            f"The table of labels is larger than {MAX_LABELS_BYTES // 1_000_000} MB; split it."
        )
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    if max(map(len, text.split("\n"))) > _MAX_LINE:
        raise SourceError(
            f"The table of labels has a line of more than {_MAX_LINE:,} letters; give a row with "
            "file and label per image."
        )
    delimiter, text = _stated_delimiter(text)
    delimiter = delimiter or _delimiter(text)
    rows = _without_comments(_rows(text, delimiter))
    if not rows:
        raise SourceError("The table of labels is empty; give a row with file and label per image.")
    return Table(rows=rows, delimiter=delimiter)


def _stated_delimiter(text: str) -> tuple[str, str]:
    """The delimiter that spreadsheets write above the rows, and the rest; "" if there is none."""
    first, _, rest = text.partition("\n")
    stated = first.strip().strip('"')
    return (stated[4], rest) if len(stated) == 5 and stated.startswith("sep=") else ("", text)


def _delimiter(text: str) -> str:
    """The delimiter that gives the most rows the same number of cells."""
    lines = [line for line in text.split("\n", _TRIED_ROWS)[:_TRIED_ROWS] if line.strip()]

    def fits(delimiter: str) -> tuple[int, int]:
        with suppress(csv.Error):
            counts = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
            counts.pop(1, None)
            if counts:
                cells, rows = max(counts.items(), key=lambda item: (item[1], item[0]))
                return rows, cells
        return 0, 0

    return max(_DELIMITERS, key=fits)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    left = _MAX_CELLS
    try:
        for row in lines:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            left -= len(cells)
            if len(rows) == MAX_ROWS or len(cells) > _MAX_COLUMNS or left < 0:
                raise SourceError(
                    f"The table of labels has more than {MAX_ROWS:,} rows, {_MAX_COLUMNS:,} "
                    f"columns or {_MAX_CELLS:,} cells, the most that are read; split it."
                )
            rows.append(cells)
    except csv.Error as error:
        raise SourceError(
            f"Line {lines.line_num} of the table of labels cannot be read ({error}); correct it."
        ) from error
    return rows


def _without_comments(rows: list[list[str]]) -> list[list[str]]:
    """The rows after comments; a heading may begin with `#` too."""
    for number, row in enumerate(rows):
        if not row[0].startswith("#"):
            return rows[number:]
        bare = [row[0].lstrip("# "), *row[1:]]
        known = frozenset().union(*FILE_HEADINGS, *LABEL_HEADINGS)
        if len(bare) > 1 and known & {heading(cell) for cell in bare}:
            return [bare, *rows[number + 1 :]]
        if number + 1 < len(rows) and len(rows[number + 1]) == len(row) > 1:
            return rows[number:]
    return []


def _decoded(data: bytes) -> str:
    encodings = ["utf-8-sig", "cp1252"]  # in which spreadsheets save CSV by default
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in data:  # UTF-16 without its mark: every second byte of plain letters is zero
        encodings = ["utf-16-le" if data[1:2] == b"\0" else "utf-16-be"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" not in text:
                return text
    raise SourceError("The table of labels is not text; save it as CSV in UTF-8.")
