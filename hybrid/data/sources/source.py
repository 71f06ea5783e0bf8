"""A source of images: its entries, what was refused or ignored, and how to read an entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hybrid.data.images import Rejected, shown_name
from hybrid.data.sources.matching import Joined

__all__ = ["MAX_ENTRIES", "Entry", "Found", "Source", "refused"]

MAX_ENTRIES = 1_000_000  # files of a folder or zip


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file: its path inside the source, and what changes when its content does."""

    name: str
    stamp: str

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders it is in, outermost first."""
        return PurePosixPath(self.name).parts[:-1]


@dataclass(kw_only=True, eq=False)
class Found:
    """The files of a folder or zip while they are listed.

    Args:
        tables: path → content of each file called `labels.csv`; raises SourceError if damaged.
        ignored: kind → how many files or folders of it are no images.
        folders: every folder, also those without an image.
    """

    entries: list[Entry] = field(default_factory=list)
    refused: list[Rejected] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    folders: set[tuple[str, ...]] = field(default_factory=set)
    tables: dict[str, Callable[[], bytes]] = field(default_factory=dict)

    def ignore(self, kind: str) -> None:
        """Count a file or folder that is no image."""
        self.ignored[kind] = self.ignored.get(kind, 0) + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Where a user's images come from.

    Args:
        title: its name, safe to print.
        entries: the images, sorted by name.
        refused: files that will not be read, each with the reason.
        ignored: kind of file (`.txt`, `@eaDir`) → how many are no images.
        folders: every folder, also those without an image.
        table: each entry's label from a table; None if there is no table.
        read: the bytes of an entry; raises ImageError if there are none.
    """

    title: str
    entries: tuple[Entry, ...]
    refused: tuple[Rejected, ...]
    ignored: Mapping[str, int]
    folders: frozenset[tuple[str, ...]]
    table: Joined | None
    read: Callable[[Entry], bytes]


def refused(name: str, what: str) -> Rejected:
    """A file that will not be read: its name, and a sentence that begins with it."""
    shown = shown_name(name)
    return Rejected(name=shown, sentence=f"{shown} {what}.")
