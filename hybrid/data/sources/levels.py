"""Which of the folders around an image names its class."""

import unicodedata
from collections.abc import Iterable, Sequence

from hybrid.data.labels import alike
from hybrid.data.sources.names import without_splits
from hybrid.data.sources.source import Source

__all__ = ["label_words", "wrappers"]


def label_words(source: Source, classes: Sequence[str]) -> tuple[str | None, ...]:
    """The label of each entry: its row in the table, else its folder; None if it has neither.

    Folders such as `train` and `val` are splits and no labels. With nested folders, the level
    whose names match classes for the most files is used, so that `photos/cat/old/1.jpg` is a cat;
    if no level matches, the innermost is used.
    """
    if source.table is not None:
        return source.table.words
    divided = without_splits({entry.folders for entry in source.entries} | source.folders)
    paths = [divided[entry.folders][1] for entry in source.entries]
    known = {alike(name) for name in classes}
    # From the inside: where two levels fit equally well, the one nearer to the file is meant.
    depth = max(map(len, paths), default=0)
    fits = [
        sum(len(path) >= level and alike(path[-level]) in known for path in paths)
        for level in range(1, depth + 1)
    ]
    chosen = 1 + fits.index(max(fits)) if fits else 1
    return tuple(
        unicodedata.normalize("NFC", path[-min(chosen, len(path))]) if path else None
        for path in paths
    )


def wrappers(paths: Iterable[tuple[str, ...]]) -> int:
    """How many folders are around all others, as `archive/PetImages` in a zip of a folder."""
    paths = list(paths)
    depth = max(map(len, paths), default=0)
    for level in range(depth):
        if len({path[level] for path in paths if len(path) > level}) > 1:
            return level
    return 0
