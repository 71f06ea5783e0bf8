"""A user's images on their way to a split: what was given, how it is called, the job that records.

    found = your_data.look(given, card.classes)               # raises what the page says
    table = {one.word: one.class_name for one in found.matches}
    made = your_data.plans(found, card, name="mine", table=table, inverted=False, divide=False)
    your_data.start(made, given, card, your_data.variants(card, view.variant), running.gate())
    your_data.recordings(network)                             # the jobs, whoever started them

No widget is drawn here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from hybrid import certificates, policy, zoo
from hybrid.data import archives, ingest, user_splits
from hybrid.data.archives import Entry
from hybrid.data.images import Rejected, shown_name
from hybrid.data.ingest import IngestPlan, Progress
from hybrid.data.labels import Match, match
from hybrid.data.user_splits import UserSplit
from hybrid.errors import ImageError
from hybrid.evaluation import disagreement
from hybrid.policy import shift
from hybrid.text import numbers
from hybrid.traces.trace import Trace
from hybrid.ui import jobs
from hybrid.ui.jobs import Job, Report, Turns, Work
from hybrid.ui.networks import cards
from hybrid.ui.session import View
from hybrid.zoo import Card, Variant

__all__ = [
    "Beside",
    "Found",
    "Given",
    "Preview",
    "Step",
    "beside",
    "cautions",
    "corrected",
    "counted",
    "forget",
    "headlines",
    "look",
    "plans",
    "previews",
    "promise",
    "record_more",
    "recordings",
    "start",
    "variants",
    "verdict",
]

PREVIEWS = 24
_KIND = "own split"  # of the jobs
FEW = 30  # images below which a figure says little
_HALF_WIDTH = 0.98  # of the 95 % interval of a fraction, times √n, at its widest


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What the user points at: a folder, or the bytes of a zip; and perhaps a table of labels."""

    title: str
    where: Path | bytes
    labels: bytes | None = None

    @cached_property
    def key(self) -> str:
        """The same for the same zip or folder and table."""
        content = self.where if isinstance(self.where, bytes) else str(self.where).encode()
        digest = hashlib.sha256(content)
        digest.update(self.labels or b"")
        return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What lies there. words: one per entry; matches: one per different word."""

    given: Given
    entries: tuple[Entry, ...]
    refused: tuple[Rejected, ...]
    others: int
    words: tuple[str | None, ...]
    matches: tuple[Match, ...]
    by_table: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """An image as the network will see it, uint8 (size, size, channels), and what it is called."""

    pixels: NDArray[np.uint8]
    word: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a recording is: one of some steps, and images done and in all within it."""

    words: str
    done: int
    total: int
    number: int
    steps: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Beside:
    """An own split and the test split, as the network sees them at the same thresholds.

    | field          | shape              |                                              |
    |----------------|--------------------|----------------------------------------------|
    | confidences    | (2, exits, bins)   | histogram of each exit's confidence, own first |
    | means, gaps    | (2, exits), (exits,) | mean confidence; distance of the two       |
    | answers        | (2, classes)       | share of each answer                         |
    | labels         | (classes,)         | share of each label; None without labels     |
    | confusion      | (classes, classes) | label × answer; None without labels          |
    | per_class      |                    | the outcome by label; None without labels    |
    """

    own: policy.Outcome
    test: policy.Outcome
    confidences: NDArray[np.float64]
    means: NDArray[np.float64]
    gaps: tuple[float, ...]
    answers: tuple[NDArray[np.float64], NDArray[np.float64]]
    labels: NDArray[np.float64] | None
    confusion: NDArray[np.int64] | None
    per_class: policy.PerClass | None

    @property
    def variation(self) -> float:
        """The share of the answers that would have to be others for both to be alike."""
        return shift.variation(*self.answers)


def look(given: Given, classes: Sequence[str]) -> Found:
    """List what lies there and match its labels.

    Raises:
        SourceError, ImageError: no images, or a table that cannot be read.
    """
    with archives.opened(given.where, title=given.title, labels=given.labels) as source:
        words = archives.label_words(source, classes)
        return Found(
            given=given,
            entries=source.entries,
            refused=source.refused,
            others=source.others,
            words=words,
            matches=match(words, classes),
            by_table=source.table is not None,
        )


def previews(found: Found, card: Card, *, inverted: bool) -> list[Preview]:
    """Some images from all over, as the network will see them; what cannot be read is left out."""
    chosen = np.unique(np.linspace(0, len(found.entries) - 1, PREVIEWS).astype(int)).tolist()
    about = _about(card, inverted=inverted)
    shown: list[Preview] = []
    with archives.opened(found.given.where, labels=found.given.labels) as source:
        for i in chosen:
            try:
                data = source.read(found.entries[i])
                pixels = ingest.pixels_of(found.entries[i], data, about)
            except ImageError:
                continue
            shown.append(Preview(pixels=pixels, word=shown_name(found.words[i] or "no label")))
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
    divide: bool,
) -> tuple[IngestPlan, ...]:
    """What is to be recorded: one split, or two.

    Args:
        table: word → class, or None where it is left out; no table, no labels.

    Raises:
        SourceError: a name that cannot be or is taken, or nothing to record.
    """
    with archives.opened(
        found.given.where, title=found.given.title, labels=found.given.labels
    ) as s:
        whole = ingest.plan_ingest(
            s, card, name=name, words=found.words, table=table, inverted=inverted
        )
    made = ingest.divided(whole) if divide else (whole,)
    for plan in made:
        user_splits.check_free(card.network, plan.about.name)
    return made


def cautions(labels: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """What a reader of the coming figures should know; nothing here hinders a recording."""
    said = []
    if len(labels) < FEW:
        points = 100 * _HALF_WIDTH / np.sqrt(len(labels))
        noun = "image" if len(labels) == 1 else "images"
        said.append(
            f"{len(labels)} {noun} say little: a share of them can be off by "
            f"{min(points, 100):.0f} percentage points by chance alone."
        )
    present = np.unique(labels)
    if len(present) == 1 and present[0] >= 0:
        said.append(
            f"All images are labelled {classes[present[0]]}: their accuracy is that of this class."
        )
    return said


def promise(samples: int) -> str:
    """What so many images to certify on can promise at best, said where that is little."""
    least = certificates.rounded_up(certificates.betting_bound(np.zeros(samples), delta=0.05))
    if least <= 1:
        return ""
    wanted = certificates.fewest_samples(0.01, delta=0.05)
    assert wanted is not None
    return (
        f"On {counted(samples, 'image', 'images')} to certify on, no loss below {least:g} points "
        f"can be promised with 95 % confidence, even if nothing is lost; 1 point takes "
        f"{numbers.count(wanted)} and more, the more bit widths compete."
    )


def variants(card: Card, first: str) -> list[str]:
    """The variants that can be recorded here: the present one, the twin, then the others."""
    here = [name for name in card.variants if zoo.weights_path(card.network, name).is_file()]
    return sorted(here, key=lambda name: (name != first, name != zoo.TWIN, here.index(name)))


def start(
    made: Sequence[IngestPlan], given: Given, card: Card, names: Sequence[str], gate: Turns
) -> Job:
    """Hand a recording to the pool: the images first, then a trace of each variant."""

    def work(report: Report) -> None:
        jobs.spare_a_core()
        steps = len(made) * (1 + len(names))
        with archives.opened(given.where, title=given.title, labels=given.labels) as source:
            kept = []
            for number, plan in enumerate(made):
                step = _reporter(report, f"Reading {plan.about.name}", number, steps)
                kept.append(ingest.ingest(plan, source.read, progress=step))
        _record(kept, [card.variants[n] for n in names], gate, report, (len(made), steps))

    return _start(work, card.network, *(plan.about.name + plan.key for plan in made))


def record_more(about: UserSplit, card: Card, names: Sequence[str], gate: Turns) -> Job:
    """Hand the recording of more traces of a kept split to the pool."""

    def work(report: Report) -> None:
        jobs.spare_a_core()
        _record([about], [card.variants[n] for n in names], gate, report, (0, len(names)))

    return _start(work, card.network, about.name, *names)


def recordings(network: str) -> list[Job]:
    """The recordings that go on, of any session, and how this session's last one ended."""
    alive = jobs.pool().alike(_KIND, network)
    last: Job | None = st.session_state.get(f"{_KIND} {network}")
    return alive if last is None or last.alive else [*alive, last]


def forget(network: str) -> None:
    """Say no more how this session's last recording ended."""
    st.session_state.pop(f"{_KIND} {network}", None)


def beside(own: Trace, test: Trace, view: View, *, classes: int) -> Beside:
    """Both splits at the view's thresholds."""
    both = (own, test)
    outcomes = [policy.outcome(t, view.thresholds, view.measure) for t in both]
    said = [shift.answers(t, view.thresholds, view.measure) for t in both]
    sure = [t.confidences[view.measure] for t in both]
    exits = range(own.all_exits)
    return Beside(
        own=outcomes[0],
        test=outcomes[1],
        confidences=np.array([[shift.histogram(c[:, i]) for i in exits] for c in sure]),
        means=np.array([c.mean(axis=0, dtype=np.float64) for c in sure]),
        gaps=tuple(shift.gap(sure[0][:, i], sure[1][:, i]) for i in exits),
        answers=(shift.shares(said[0], classes), shift.shares(said[1], classes)),
        labels=shift.shares(own.labels, classes) if own.labelled else None,
        confusion=shift.confusion(own.labels, said[0], classes) if own.labelled else None,
        per_class=policy.per_class(own, view.thresholds, view.measure, classes=classes)
        if own.labelled
        else None,
    )


def verdict(compared: Beside, exit_names: Sequence[str]) -> str:
    """In a sentence: where the first exit is surer, and how many leave."""
    own, test = compared.means[:, 0]
    if compared.own.edge_fraction == test == 0:  # a static network has nothing to leave at
        return ""
    sure = (
        f"{exit_names[0]} is surer of {'the test images' if test > own else 'yours'} "
        f"({numbers.fixed(max(own, test), 3)} on average) than of "
        f"{'yours' if test > own else 'the test images'} ({numbers.fixed(min(own, test), 3)})"
    )
    edge = (
        f"{numbers.percent(compared.own.edge_fraction)} of yours leave at the edge against "
        f"{numbers.percent(compared.test.edge_fraction)} of the test images."
    )
    return f"{sure}; {edge}"


def headlines(own: Trace, compared: Beside, view: View) -> tuple[tuple[str, str, str], ...]:
    """Label, value and note: the own split in four numbers, the test split's below each."""
    apart = disagreement(own, view.thresholds, view.measure)
    known = compared.own.labelled
    return (
        ("Images", numbers.count(own.samples), "labelled" if known else "without labels"),
        (
            "At the edge",
            numbers.percent(compared.own.edge_fraction),
            f"test images {numbers.percent(compared.test.edge_fraction)}",
        ),
        (
            "Accuracy",
            numbers.percent(compared.own.accuracy, 2) if known else "unknown",
            f"test images {numbers.percent(compared.test.accuracy, 2)}",
        ),
        (
            "Early answer differs",
            numbers.percent(apart, 2),
            "from the final exit's",
        ),
    )


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "file", "files"), counted(1200, "file", "files")
    ('1 file', '1,200 files')
    """
    return f"{numbers.count(number)} {one if number == 1 else many}"


def _about(card: Card, *, inverted: bool) -> UserSplit:
    """As much of a split as the pixels of a preview need."""
    return UserSplit(
        network=card.network,
        name="preview",
        dataset=card.dataset,
        classes=card.classes,
        size=card.size,
        channels=card.channels,
        samples=0,
        labelled=False,
        purpose=user_splits.PURPOSES[0],
        inverted=inverted,
        source="",
        skipped=0,
    )


def _start(work: Work, network: str, *what: str) -> Job:
    job = jobs.pool().start(work, key=(_KIND, network, *what))
    st.session_state[f"{_KIND} {network}"] = job
    return job


def _reporter(report: Report, words: str, number: int, steps: int) -> Progress:
    return lambda done, total: report(
        Step(words=words, done=done, total=total, number=number, steps=steps)
    )


def _paused(gate: Turns, step: Progress, done: int, total: int) -> None:
    """Report from within the gate, and let the forward passes of others go first."""
    with gate.paused():
        step(done, total)


def _record(
    kept: Sequence[UserSplit],
    chosen: Sequence[Variant],
    gate: Turns,
    report: Report,
    place: tuple[int, int],
) -> None:
    """Every variant's trace on every split, the first variant on all of them first."""
    from hybrid.inference.record import (
        record_user_split,  # torch: only where a network is really run
    )

    number, steps = place
    for variant in chosen:
        network = zoo.load_variant(kept[0].network, variant)
        for about in kept:
            words = f"{cards.variant_title(variant)} on {about.name}"
            step = _reporter(report, words, number, steps)
            with gate:
                record_user_split(
                    network,
                    about,
                    variant=variant.name,
                    weights_sha256=variant.files[zoo.WEIGHTS],
                    progress=partial(_paused, gate, step),
                )
            number += 1
