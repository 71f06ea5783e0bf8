"""A table of labels joined to files: which columns are taken, and which row means which file.

    joined = join(table_bytes, ["mine/cat 1.png", "mine/cat 2.png"])
    joined.words                    # ("cat", None): one label per file

No column and no file is guessed where two would do.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hybrid.data.images import shown_name
from hybrid.data.sources.names import folded
from hybrid.data.sources.tables import FILE_HEADINGS, LABEL_HEADINGS, Table, heading, read_table
from hybrid.errors import SourceError

__all__ = ["Joined", "join"]

_NAMED = 3  # names in a sentence
_HEADINGS_NAMED = 12
_TRIED = 1_000  # rows that decide which column names the files
_TWO = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """Files with the labels of their rows.

    Args:
        words: the label of each file; None without a row, or where rows or files are ambiguous.
        columns: the columns that were taken, in words.
        missing: names in the table that are no file, the first few; `missing_rows` counts all.
    """

    words: tuple[str | None, ...]
    columns: str
    missing: tuple[str, ...]
    missing_rows: int

    @property
    def note(self) -> str:
        """The columns that were taken, and the rows without an image, in a sentence."""
        if not self.missing_rows:
            return f"{self.columns}."
        more = ", …" if self.missing_rows > len(self.missing) else ""
        rows = "1 row names" if self.missing_rows == 1 else f"{self.missing_rows:,} rows name"
        return f"{self.columns}; {rows} no single image here ({', '.join(self.missing)}{more})."


class Files:
    """The files of a source, found by names as tables spell them."""

    def __init__(self, files: Sequence[str]) -> None:
        self._parts = [_parts(file) for file in files]
        self._folded = [tuple(map(folded, parts)) for parts in self._parts]
        self._by_name: defaultdict[str, list[int]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[int]] = defaultdict(list)
        for position, parts in enumerate(self._folded):
            self._by_name[parts[-1]].append(position)
            self._by_stem[PurePosixPath(parts[-1]).stem].append(position)
        self._by_tail: dict[str, Mapping[tuple[str, ...], list[int]]] = {}

    def find(self, name: str) -> tuple[int, int] | None:
        """The only file that a name means, and how much of its path agrees; None if none or two.

        The whole path counts most, then the longest common end of both paths, then the same case.
        A name without a suffix may mean a file with one.
        """
        exact = _parts(name)
        if not exact:
            return None
        wanted = tuple(map(folded, exact))
        by_stem = wanted[-1] not in self._by_name
        group = (self._by_stem if by_stem else self._by_name).get(wanted[-1], [])
        if len(group) > 1:
            group = self._longest(wanted, group, by_stem=by_stem)
        if len(group) > 1:
            group = _best(group, lambda i: _common_end(self._parts[i], exact, by_stem=by_stem))
        if len(group) > 1:
            group = _best(group, lambda i: len(self._parts[i]) == len(exact))
        if len(group) != 1:
            return None
        return group[0], _common_end(self._folded[group[0]], wanted, by_stem=by_stem)

    def _longest(self, wanted: tuple[str, ...], group: list[int], *, by_stem: bool) -> list[int]:
        """Those of a group whose path has the longest end in common with the wanted one."""
        key = f"{by_stem} {wanted[-1]}"
        if key not in self._by_tail:
            tails: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
            for position in group:
                folders = self._folded[position][:-1]
                for start in range(len(folders) + 1):
                    tails[folders[start:]].append(position)
            self._by_tail[key] = tails
        folders = wanted[:-1]
        for start in range(len(folders) + 1):
            if found := self._by_tail[key].get(folders[start:]):
                return found
        return group


def join(data: bytes, files: Sequence[str], *, inside: str = "") -> Joined:
    """The label of each file from a table of file and label.

    Args:
        data: the table, as `read_table` takes it.
        files: paths inside the source.
        inside: the folder of the source that the table is in.

    Raises:
        SourceError: not a table, a column that is missing or could be two, a row without a
            label, rows that contradict each other, or no row that means a file.
    """
    table, found = read_table(data), Files(files)
    file, label, head = _columns(table, found)
    words: list[str | None] = [None] * len(files)
    claims: dict[int, int] = {}
    said: dict[str, str] = {}
    missing: list[str] = []
    missing_rows = 0
    for number, row in enumerate(table.rows[head:], start=1):
        name, word = _cells(row, file, label, number, table.delimiter)
        if said.setdefault(name, word) != word:
            raise SourceError(
                f"Row {number} of the table of labels labels {shown_name(name)} as "
                f"{shown_name(word)!r}, a row above as {shown_name(said[name])!r}; keep one."
            )
        match = found.find(f"{inside}/{name}" if inside and not _is_absolute(name) else name)
        if match is None:
            missing_rows += 1
            if len(missing) < _NAMED:
                missing.append(shown_name(name))
            continue
        position, agrees = match
        if agrees > claims.get(position, 0):
            claims[position], words[position] = agrees, word or None
        elif agrees == claims[position] and words[position] != (word or None):
            words[position] = None
    if not claims:
        raise SourceError(_nothing_meets(missing, files))
    columns = _columns_taken(table, file, label) if head else f"Labels: column {label + 1}"
    return Joined(
        words=tuple(words), columns=columns, missing=tuple(missing), missing_rows=missing_rows
    )


def _columns(table: Table, files: Files) -> tuple[int, int, int]:
    """The columns of file and label, and how many rows are headings (0 or 1).

    Raises:
        SourceError: one of them is missing, or two columns would do.
    """
    first = table.rows[0]
    width = max(len(row) for row in table.rows[:_TRIED])
    words = [heading(cell) for cell in first]
    labels = _named(words, LABEL_HEADINGS)
    candidates = _named(words, FILE_HEADINGS, besides=labels)
    met = _met(table, files, width)
    if labels or candidates:
        file = _file_column(table, candidates, labels, met)
        return file, _label_column(table, labels, file), 1
    best = [column for column in range(width) if met[column] and met[column] == max(met)]
    if width != _TWO:
        raise SourceError(
            f"The table of labels has {width} columns and no headings; write `file` and `label` "
            "above two of them."
            if width > _TWO
            else f"Row 1 of the table of labels needs a file and a label, but is "
            f"{shown_name(table.delimiter.join(first))!r}; give both, separated by a comma."
        )
    file = best[0] if len(best) == 1 else 0
    head = bool(met[file]) and len(table.rows) > 1 and files.find(_cell(first, file)) is None
    return file, 1 - file, int(head and _unlike(table, 1 - file))


def _unlike(table: Table, label: int) -> bool:
    """Whether the first row's label is found in no other row, as a heading's is not."""
    first = _cell(table.rows[0], label)
    return all(_cell(row, label) != first for row in table.rows[1:])


def _named(
    words: Sequence[str], known: Sequence[frozenset[str]], *, besides: Sequence[int] = ()
) -> list[int]:
    """The columns whose heading is known, of the first group that has one."""
    for group in known:
        if found := [i for i, word in enumerate(words) if word in group and i not in besides]:
            return found
    return []


def _met(table: Table, files: Files, width: int) -> list[int]:
    """How many of the first rows mean a file by each column."""
    tried = table.rows[:_TRIED]
    return [
        sum(files.find(_cell(row, column)) is not None for row in tried) for column in range(width)
    ]


def _file_column(
    table: Table, candidates: Sequence[int], labels: Sequence[int], met: Sequence[int]
) -> int:
    if not candidates:  # then by the files themselves: only one column may name any
        candidates = [i for i, count in enumerate(met) if count and i not in labels]
    if not candidates and len(table.rows[0]) == _TWO and len(labels) == 1:
        return 1 - labels[0]
    most = max((met[i] for i in candidates), default=0)
    best = [i for i in candidates if met[i] == most]
    if not best:
        raise SourceError(_no_heading(table, "file", "file, filename, image or path"))
    if len(best) > 1 and not all(_same(table, best[0], other) for other in best[1:]):
        raise SourceError(_two_columns(table, best, "name the files"))
    return best[0]


def _label_column(table: Table, labels: Sequence[int], file: int) -> int:
    if not labels and len(table.rows[0]) == _TWO:
        return 1 - file  # no other column is left
    if not labels:
        raise SourceError(_no_heading(table, "label", "category, class or label"))
    if len(labels) > 1 and not all(_same(table, labels[0], other) for other in labels[1:]):
        raise SourceError(_two_columns(table, labels, "be the label"))
    return labels[0]


def _same(table: Table, one: int, other: int) -> bool:
    return all(_cell(row, one) == _cell(row, other) for row in table.rows[1:])


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _cells(
    row: Sequence[str], file: int, label: int, number: int, delimiter: str
) -> tuple[str, str]:
    if len(row) <= max(file, label) or not row[file]:
        raise SourceError(
            f"Row {number} of the table of labels needs a file and a label, but is "
            f"{shown_name(delimiter.join(row))!r}; give both, separated by a comma."
        )
    return "/".join(_parts(row[file])) or row[file], row[label]


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the name of a path, however its separators are written."""
    parts = PurePosixPath(name.strip().replace("\\", "/")).parts
    return tuple(part for part in parts if part not in {"/", "//", "."})


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or name[1:2] == ":"


def _common_end(one: Sequence[str], other: Sequence[str], *, by_stem: bool) -> int:
    """How many parts two paths have in common, counted from their ends."""
    same = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs and not (by_stem and not same and PurePosixPath(mine).stem == theirs):
            break
        same += 1
    return same


def _best(group: list[int], key: Callable[[int], int]) -> list[int]:
    most = max(map(key, group))
    return [position for position in group if key(position) == most]


def _columns_taken(table: Table, file: int, label: int) -> str:
    head = table.rows[0]
    return (
        f"Labels: column {shown_name(_cell(head, label))!r} of the table, "
        f"files: column {shown_name(_cell(head, file))!r}"
    )


def _headings(table: Table) -> str:
    cells = [shown_name(cell) for cell in table.rows[0] if cell]
    more = ", …" if len(cells) > _HEADINGS_NAMED else ""
    return ", ".join(cells[:_HEADINGS_NAMED]) + more


def _no_heading(table: Table, what: str, wanted: str) -> str:
    return (
        f"The table of labels has headings, but none for the {what}; call that column {wanted}. "
        f"They are {_headings(table)}."
    )


def _two_columns(table: Table, columns: Sequence[int], what: str) -> str:
    named = " and ".join(shown_name(_cell(table.rows[0], i)) for i in columns)
    return (
        f"Several columns of the table of labels could {what} ({named}); "
        "rename or remove all but one."
    )


def _nothing_meets(missing: Sequence[str], files: Sequence[str]) -> str:
    names = ", ".join(shown_name(file) for file in files[:_NAMED])
    return (
        f"The table of labels names none of the images: it has {', '.join(missing)}, but the "
        f"images are {names}{', …' if len(files) > _NAMED else ''}; correct the names in the table."
    )
