"""Opens a folder, a zip or the bytes of one as a source of images, with its table of labels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path, PurePosixPath

from hybrid.data.images import FORMAT_WORDS, shown_name
from hybrid.data.sources import folders, zips
from hybrid.data.sources.matching import Joined, join
from hybrid.data.sources.names import ignored_words, without_splits
from hybrid.data.sources.source import MAX_ENTRIES, Entry, Found, Source
from hybrid.data.sources.tables import MAX_LABELS_BYTES
from hybrid.errors import SourceError

__all__ = ["Given", "opened"]

_MOST_TABLES = 16  # of one source, for instance one in `train` and one in `test`

Given = Path | bytes | zips.OnDisk


@contextmanager
def opened(
    given: Given,
    *,
    title: str | None = None,
    labels: bytes | None = None,
    tables: bool = True,
) -> Iterator[Source]:
    """A folder, a zip or the bytes of a zip as a source, for as long as the block lasts.

    Args:
        title: its name; by default the last part of the path.
        labels: the content of a table of file and label; by default `labels.csv` in the folder
            that holds all images, if there is one.
        tables: False ignores every `labels.csv`.

    Raises:
        SourceError: no such folder or zip, a damaged zip, no image in it, or a table that cannot
            be read.
    """
    shown = shown_name(title or (_name(given) if isinstance(given, Path) else "The zip"))
    if isinstance(given, Path) and _is_folder(given):
        found = folders.in_folder(given)
        table = partial(_table, found, labels=labels, tables=tables)
        yield _source(found, partial(folders.reader, given), shown, table)
        return
    with zips.unpacked(given, shown) as archive:
        found, read = zips.in_zip(archive, shown)
        table = partial(_table, found, labels=labels, tables=tables)
        yield _source(found, read, shown, table)


def _name(path: Path) -> str:
    try:
        return path.resolve().name or str(path)
    except (OSError, RuntimeError, ValueError):
        return path.name


def _is_folder(path: Path) -> bool:
    """Whether it is a folder, if it is anything.

    Raises:
        SourceError: there is nothing of that name, or it may not be looked at.
    """
    try:
        path.stat()
    except FileNotFoundError:
        raise SourceError(
            f"There is no folder or zip {shown_path(path)}; check its name."
        ) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name has a NUL"
        raise SourceError(
            f"{shown_path(path)} cannot be read ({why}); check its name and its permissions."
        ) from error
    return path.is_dir()


def shown_path(path: Path) -> str:
    """A path, safe to print: a long one is shortened."""
    text = "".join(letter if letter.isprintable() else "�" for letter in str(path))
    return text if len(text) <= _PATH_LENGTH else f"{text[:_PATH_LENGTH]}…"


_PATH_LENGTH = 200


def _source(
    found: Found,
    read: Callable[[Entry], bytes],
    title: str,
    table: Callable[[tuple[Entry, ...]], Joined | None],
) -> Source:
    if len(found.entries) > MAX_ENTRIES:
        raise SourceError(
            f"{title} holds {len(found.entries):,} images, and {MAX_ENTRIES:,} are read "
            "at most; split it."
        )
    if not found.entries:
        raise SourceError(_no_images(found, title))
    entries = tuple(sorted(found.entries, key=lambda entry: entry.name))
    return Source(
        title=title,
        entries=entries,
        refused=tuple(found.refused),
        table=table(entries),
        ignored=found.ignored,
        folders=frozenset(found.folders),
        read=read,
    )


def _table(
    found: Found, entries: tuple[Entry, ...], *, labels: bytes | None, tables: bool
) -> Joined | None:
    """The table that was given, else those that are found with the images."""
    names = [entry.name for entry in entries]
    taken = _tables(found, entries) if tables and labels is None else {}
    for name in found.tables.keys() - taken.keys():
        found.ignore(PurePosixPath(name).suffix.lower())
    if labels is not None:
        return join(labels, names)
    parts, left_bytes = [], MAX_LABELS_BYTES
    for name, content in sorted(taken.items()):
        inside = "/".join(PurePosixPath(name).parts[:-1])
        mine = [i for i, one in enumerate(names) if not inside or one.startswith(f"{inside}/")]
        if mine:
            data = content()
            left_bytes -= len(data)
            if left_bytes < 0:
                raise SourceError("The tables of labels are larger than 64 MB together; split it.")
            part = join(data, [names[i] for i in mine], inside=inside)
            parts.append((mine, part))
    return _together(parts, len(names)) if parts else None


def _tables(found: Found, entries: tuple[Entry, ...]) -> dict[str, Callable[[], bytes]]:
    """The tables that are not inside a class: at the top, in a folder around all, or in a split.

    Of these the outermost, which is one for everything or one per split.
    """
    places = {name: PurePosixPath(name).parts[:-1] for name in found.tables}
    divided = without_splits({*places.values(), *(entry.folders for entry in entries)})
    images = {divided[entry.folders][1] for entry in entries}
    first, last = min(images), max(images)  # what these two share, all between them do
    same = (one == other for one, other in zip(first, last, strict=False))
    shared = first[: sum(takewhile(bool, same))]
    fitting = {
        name: place
        for name, place in places.items()
        if divided[place][1] == shared[: len(divided[place][1])]
    }
    if not fitting:
        return {}
    outermost = min(map(len, fitting.values()))
    chosen = sorted(name for name, place in fitting.items() if len(place) == outermost)
    if len(chosen) > _MOST_TABLES:
        raise SourceError(
            f"There are {len(chosen)} tables of labels, and {_MOST_TABLES} are read at most; put "
            "all rows into one."
        )
    return {name: found.tables[name] for name in chosen}


def _begins(folders: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return folders[: len(outer)] == outer


def _together(parts: list[tuple[list[int], Joined]], count: int) -> Joined:
    words: list[str | None] = [None] * count
    for mine, part in parts:
        for position, word in zip(mine, part.words, strict=True):
            words[position] = word
    joined = [part for _, part in parts]
    return Joined(
        words=tuple(words),
        columns="; ".join(dict.fromkeys(part.columns for part in joined)),
        missing=joined[0].missing,
        missing_rows=sum(part.missing_rows for part in joined),
    )


def _no_images(found: Found, title: str) -> str:
    why = f" ({found.refused[0].sentence})" if found.refused else ""
    others = f"; {ignored_words(found.ignored)}" if found.ignored else ""
    return f"{title} holds no images{why}; give {FORMAT_WORDS} files{others}."
