"""A user's images before they are recorded: the files, their labels, the plan; no widgets.

found = images.look(given, card.classes)                # raises what the page shows
table = {one.word: one.class_name for one in found.matches}
made = images.plans(found, card, name="mine", table=table, inverted=False, fit="crop",
                   divide=False)
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid import certificates, zoo
from hybrid.data import ingest, sources, user_splits
from hybrid.data.images import Rejected, read_image, shown_name
from hybrid.data.ingest import IngestPlan
from hybrid.data.labels import Match, match
from hybrid.data.preprocess import preprocess
from hybrid.data.sources import Entry, Given
from hybrid.errors import ImageError
from hybrid.text import numbers
from hybrid.zoo import Card

__all__ = [
    "Found",
    "Preview",
    "Upload",
    "cautions",
    "corrected",
    "counted",
    "look",
    "plans",
    "previews",
    "promise",
    "variants",
]

PREVIEWS = 24
FEW = 30  # with fewer images, a figure means little
_HALF_WIDTH = 0.98  # of the 95 % interval of a fraction, times √n, at its widest


@dataclass(frozen=True, kw_only=True, eq=False)
class Upload:
    """The user's input: a folder or a zip, and optionally a table of labels.

    Args:
        where: a path, or an uploaded zip, whose `identity` tells it from others.
    """

    title: str
    where: Given
    labels: bytes | None = None
    identity: str = ""

    @cached_property
    def key(self) -> str:
        """The same for the same zip or folder and table."""
        digest = hashlib.sha256(self.identity.encode())
        if isinstance(self.where, Path | bytes):
            content = self.where if isinstance(self.where, bytes) else str(self.where).encode()
            digest.update(content)
        digest.update(self.labels or b"")
        return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """The files that were given. words: one per entry; matches: one per different word."""

    given: Upload
    entries: tuple[Entry, ...]
    refused: tuple[Rejected, ...]
    ignored: Mapping[str, int]
    words: tuple[str | None, ...]
    matches: tuple[Match, ...]
    table_note: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """An image at the network's input size, and its label.

    Args:
        pixels: uint8 (size, size, channels).
        original: the whole picture, if it is not square.
    """

    pixels: NDArray[np.uint8]
    word: str
    original: Image.Image | None


def look(given: Upload, classes: Sequence[str]) -> Found:
    """List the files and match their labels.

    Raises:
        SourceError, ImageError: no images, or a table that cannot be read.
    """
    with sources.opened(given.where, title=given.title, labels=given.labels) as source:
        words = sources.label_words(source, classes)
        return Found(
            given=given,
            entries=source.entries,
            refused=source.refused,
            ignored=source.ignored,
            words=words,
            matches=match(words, classes),
            table_note="" if source.table is None else source.table.note,
        )


def previews(found: Found, card: Card, *, inverted: bool, fit: str) -> list[Preview]:
    """Some images, evenly spaced, at the network's input size, without unreadable ones."""
    chosen = np.unique(np.linspace(0, len(found.entries) - 1, PREVIEWS).astype(int)).tolist()
    shown: list[Preview] = []
    with sources.opened(found.given.where, tables=False) as source:
        for i in chosen:
            try:
                data = source.read(found.entries[i])
                picture = read_image(found.entries[i].name, data, size=card.size)
            except ImageError:
                continue
            pixels = preprocess(picture, card.size, card.channels, fit=fit, inverted=inverted)
            shown.append(
                Preview(
                    pixels=pixels,
                    word=shown_name(found.words[i] or "no label"),
                    original=None if picture.width == picture.height else picture,
                )
            )
    return shown


def corrected(
    matches: Sequence[Match], edits: Mapping[int, Mapping[str, object]]
) -> dict[str, str | None]:
    """Word → class: as matched, and as the rows of the table were edited.

    Args:
        edits: number of the row → column → value, as the editor keeps them.
    """
    table = {one.word: one.class_name for one in matches}
    for row, changed in edits.items():
        if "Class" in changed and 0 <= int(row) < len(matches):
            wanted = changed["Class"]
            table[matches[int(row)].word] = str(wanted) if wanted else None
    return table


def plans(
    found: Found,
    card: Card,
    *,
    name: str,
    table: Mapping[str, str | None] | None,
    inverted: bool,
    fit: str,
    divide: bool,
) -> tuple[IngestPlan, ...]:
    """The recordings to make: one split, or two halves.

    Args:
        table: word → class, or None to leave it out; without a table there are no labels.

    Raises:
        SourceError: the name is taken or not allowed, or there is nothing to record.
    """
    with sources.opened(found.given.where, title=found.given.title, labels=found.given.labels) as s:
        whole = ingest.plan_ingest(
            s, card, name=name, words=found.words, table=table, inverted=inverted, fit=fit
        )
    made = ingest.divided(whole) if divide else (whole,)
    for plan in made:
        user_splits.check_free(card.network, plan.about.name)
    return made


def cautions(labels: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """Reasons to read the figures with care; none of them prevents a recording."""
    said = []
    if len(labels) < FEW:
        points = 100 * _HALF_WIDTH / np.sqrt(len(labels))
        noun, are = ("image", "is") if len(labels) == 1 else ("images", "are")
        said.append(
            f"{len(labels)} {noun} {are} few: by chance alone, a share of them can be off by "
            f"{min(points, 100):.0f} percentage points."
        )
    present = np.unique(labels)
    if len(present) == 1 and present[0] >= 0:
        said.append(
            f"All images are labelled {classes[present[0]]}: their accuracy is that of this class."
        )
    return said


def promise(samples: int) -> str:
    """One sentence on the best certificate that this many images allow; empty if it is good."""
    least = certificates.rounded_up(certificates.betting_bound(np.zeros(samples), delta=0.05))
    if least <= 1:
        return ""
    wanted = certificates.fewest_samples(0.01, delta=0.05)
    assert wanted is not None
    return (
        f"With {counted(samples, 'image', 'images')} to certify on, no loss below {least:g} points "
        f"can be certified with 95 % confidence, even without an error; 1 point takes "
        f"{numbers.count(wanted)} or more, depending on how many candidates are tested."
    )


def variants(card: Card, first: str) -> list[str]:
    """The variants that can be recorded here: the current one, the twin, then the others.

    Of the deployment forms, only the current one.
    """
    named = dict.fromkeys((*card.variants, *([first] if first in card.forms else [])))
    here = [name for name in named if zoo.weights_path(card.network, name).is_file()]
    return sorted(here, key=lambda name: (name != first, name != zoo.TWIN, here.index(name)))


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "file", "files"), counted(1200, "file", "files")
    ('1 file', '1,200 files')
    """
    return f"{numbers.count(number)} {one if number == 1 else many}"
