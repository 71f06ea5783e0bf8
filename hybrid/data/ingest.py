"""Turns a user's images into a split of a network, streaming and resumable. Needs no torch.

    plan = plan_ingest(source, card, name="mine", words=words, table=table)
    ingest(plan, source.read, progress=print)

A killed run continues from its last part. Files that cannot be read are listed, not fatal.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid.data import draw_splits, user_splits
from hybrid.data.images import Rejected, shown_name
from hybrid.data.labels import LEFT_OUT, UNLABELLED, labels
from hybrid.data.preprocess import CROP, check_fit, read_input
from hybrid.data.sources import Entry, Source
from hybrid.data.split_parts import Part, load_part, save_part
from hybrid.data.user_splits import UserSplit
from hybrid.errors import ImageError, SourceError
from hybrid.files import folder_bytes

__all__ = [
    "IngestPlan",
    "discard",
    "divided",
    "drafts",
    "ingest",
    "pixels_of",
    "plan_ingest",
]

BATCH = 250  # images a network runs at once when a trace is recorded
_PART_BYTES = 32_000_000
_PART_BATCHES = 4

Progress = Callable[[int, int], None]


class TakesImages(Protocol):
    """The fields of a network's card that ingesting reads."""

    @property
    def network(self) -> str: ...
    @property
    def dataset(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def size(self) -> int: ...
    @property
    def channels(self) -> int: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class IngestPlan:
    """A split before its images are read. `labels` (entries,), all UNLABELLED if unknown."""

    about: UserSplit
    entries: tuple[Entry, ...]
    labels: NDArray[np.int64]
    refused: tuple[Rejected, ...] = ()

    @property
    def key(self) -> str:
        """A key, equal for the same files, labels and network, to resume a killed run."""
        digest = hashlib.sha256(repr(replace(self.about, source="")).encode())
        for entry, label in zip(self.entries, self.labels.tolist(), strict=True):
            digest.update(f"{entry.name}\0{entry.stamp}\0{label}\n".encode(errors="replace"))
        return digest.hexdigest()[:12]

    @property
    def draft(self) -> Path:
        """The folder of the parts until all are there."""
        return user_splits.draft_path(self.about.network, self.about.name, self.key)


def plan_ingest(
    source: Source,
    card: TakesImages,
    *,
    name: str,
    words: Sequence[str | None] = (),
    table: Mapping[str, str | None] | None = None,
    inverted: bool = False,
    fit: str = CROP,
) -> IngestPlan:
    """The split that a source becomes for a network.

    Args:
        words: the label of each entry, from `sources.label_words`.
        table: word → class or None; without it, the split has no labels.
        inverted: exchange light and dark.
        fit: how pictures that are not square become so, a name in `preprocess.FITS`.

    Raises:
        SourceError: a name that is not allowed, or no image whose word has a class.
        UnknownNameError: no such fit.
    """
    user_splits.check_name(name)
    if table is None:
        truth = np.full(len(source.entries), UNLABELLED, np.int64)
    else:
        truth = labels(words, table, card.classes)
    chosen = np.flatnonzero(truth != LEFT_OUT)
    if not len(chosen):
        raise SourceError(_nothing_matches(words, card))
    out = Counter(words[i] or "" for i in np.flatnonzero(truth == LEFT_OUT).tolist())
    about = UserSplit(
        network=card.network,
        name=name,
        dataset=card.dataset,
        classes=card.classes,
        size=card.size,
        channels=card.channels,
        samples=0,
        labelled=table is not None,
        purpose=user_splits.PURPOSES[0],
        inverted=inverted,
        fit=check_fit(fit),
        source=source.title,
        skipped=len(source.refused),
        left_out=dict(sorted(out.items())),
    )
    entries = tuple(source.entries[i] for i in chosen)
    return IngestPlan(about=about, entries=entries, labels=truth[chosen], refused=source.refused)


def divided(whole: IngestPlan, *, seed: int = 0) -> tuple[IngestPlan, IngestPlan]:
    """A plan as two, `<name>-tune` and `<name>-certify`: half of each class, drawn by a seed.

    Thresholds that were chosen on images must not be certified on the same ones.

    Raises:
        SourceError: a class with a single image, or a name that is not allowed or already taken.
    """
    counts = Counter(whole.labels.tolist())
    lonely = [label for label, count in sorted(counts.items()) if count == 1]
    if lonely:
        what = f"{whole.about.classes[lonely[0]]} has" if lonely[0] >= 0 else "There is"
        raise SourceError(
            f"{what} a single image, which cannot be divided; give two or more of each class."
        )
    halves = draw_splits(
        whole.labels, {"tune": 0.5, "certify": 0.5}, rng=np.random.default_rng(seed)
    )
    key = f"{whole.key}-{seed}"
    tune, certify = (_half(whole, half, halves[half], division=key) for half in ("tune", "certify"))
    for half in (tune, certify):  # both before either is saved: one half alone is useless
        _check_free(half)
    return tune, certify


def ingest(
    plan: IngestPlan, read: Callable[[Entry], bytes], *, progress: Progress | None = None
) -> UserSplit:
    """Read the images into parts on disk; when all are there, publish them as a split.

    Args:
        read: the bytes of an entry; raises ImageError if it has none.
        progress: called with entries done and entries in all; an exception in it ends the run,
            and another run with the same plan continues from the last part.

    Returns:
        The split; at once if it is already saved, made from the same images.

    Raises:
        SourceError: the name is taken, not one image could be read, or the folder cannot be
            written.
    """
    try:
        with user_splits.recording(plan.about.network, plan.about.name):
            return _check_free(plan) or _made(plan, read, progress)
    except OSError as error:
        raise SourceError(
            f"The images cannot be saved in {user_splits.folder()} ({error.strerror}); free some "
            "space or name another folder in HYBRID_TRACES. The images read so far are kept, and "
            "the next run continues from there."
        ) from error


def _made(plan: IngestPlan, read: Callable[[Entry], bytes], progress: Progress | None) -> UserSplit:
    """The split, read and published; no other process makes one of that name."""
    skipped, part_samples = _write_parts(plan, read, progress)
    if not sum(part_samples):
        shutil.rmtree(plan.draft, ignore_errors=True)
        raise SourceError(
            f"None of the {len(plan.entries):,} images could be read; the first: "
            f"{skipped[0].sentence}"
        )
    about = replace(
        plan.about,
        samples=sum(part_samples),
        skipped=len(skipped),
        part_samples=tuple(part_samples),
        key=plan.key,
    )
    user_splits.keep(plan.draft, about)
    return about


def pixels_of(entry: Entry, data: bytes, about: UserSplit) -> NDArray[np.uint8]:
    """An image as the network sees it: uint8 (size, size, channels).

    Raises:
        ImageError: the bytes are not an image; the sentence names the file.
    """
    return read_input(
        entry.name,
        data,
        size=about.size,
        channels=about.channels,
        fit=about.fit,
        inverted=about.inverted,
    )


def drafts(network: str) -> list[Path]:
    """Unfinished splits of a network."""
    return sorted((user_splits.folder() / network).glob(".*.draft"))


def discard(draft: Path) -> None:
    """Delete an unfinished split."""
    shutil.rmtree(draft, ignore_errors=True)


def _check_free(plan: IngestPlan) -> UserSplit | None:
    """The split that was already made from the same plan, or None.

    Raises:
        SourceError: another split has the plan's name.
    """
    network, name = plan.about.network, plan.about.name
    if name in user_splits.names(network):
        kept = user_splits.split(network, name)
        if kept.key == plan.key:
            return kept
    user_splits.check_free(network, name)
    return None


def _half(
    whole: IngestPlan, purpose: str, positions: NDArray[np.int64], *, division: str
) -> IngestPlan:
    name = user_splits.check_name(f"{whole.about.name}-{purpose}")
    return replace(
        whole,
        about=replace(whole.about, name=name, purpose=purpose, division=division),
        entries=tuple(whole.entries[i] for i in positions),
        labels=whole.labels[positions],
    )


def _write_parts(
    plan: IngestPlan, read: Callable[[Entry], bytes], progress: Progress | None
) -> tuple[list[Rejected], list[int]]:
    """The files that were skipped, and how many images are in each part."""
    skipped: list[Rejected] = []
    part_samples: list[int] = []
    start = 0
    room_bytes = user_splits.MAX_BYTES - folder_bytes(user_splits.folder())
    while start < len(plan.entries):
        number = len(part_samples)
        part = load_part(plan.draft, number)
        if part is None:
            part = _read_part(plan, read, start, () if number else plan.refused, progress)
            room_bytes -= part.images.nbytes
            if room_bytes < 0:
                raise SourceError(user_splits.no_room())
            save_part(plan.draft, number, part)
        skipped += part.skipped
        part_samples.append(len(part.labels))
        start = part.entries
        if progress is not None:
            progress(start, len(plan.entries))
    return skipped, part_samples


def _read_part(
    plan: IngestPlan,
    read: Callable[[Entry], bytes],
    start: int,
    refused: tuple[Rejected, ...],
    progress: Progress | None,
) -> Part:
    """The next images, as many as fit into a part; files that cannot be read do not count."""
    about = plan.about
    room = _part_images(about)
    pixels = np.empty((room, about.size, about.size, about.channels), np.uint8)
    found: list[int] = []
    skipped = list(refused)
    position = start
    for position in range(start, len(plan.entries)):
        entry = plan.entries[position]
        try:
            pixels[len(found)] = pixels_of(entry, read(entry), about)
        except ImageError as error:
            skipped.append(Rejected(name=shown_name(entry.name), sentence=str(error)))
        else:
            found.append(position)
        if len(found) == room:
            break
        if progress is not None and (position + 1) % BATCH == 0:
            progress(position + 1, len(plan.entries))
    return Part(
        images=pixels[: len(found)],
        labels=plan.labels[found],
        names=tuple(plan.entries[i].name for i in found),
        skipped=tuple(skipped),
        entries=position + 1,
    )


def _part_images(about: UserSplit) -> int:
    """Whole batches of some megabytes, so that the size of a part does not change a trace."""
    batch_bytes = BATCH * about.size * about.size * about.channels
    return BATCH * max(1, min(_PART_BATCHES, _PART_BYTES // batch_bytes))


def _nothing_matches(words: Sequence[str | None], card: TakesImages) -> str:
    given = sorted({word for word in words if word})
    if not given:
        return (
            "The images have no labels: they are not in folders, and no table lists them; import "
            "them without labels, or put each into a folder named after its class."
        )
    return (
        f"None of the labels ({_some(given)}) is a class of {card.network}, whose classes are "
        f"{_some(card.classes)}; match them, or import without labels."
    )


def _some(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(shown_name(name) for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")
