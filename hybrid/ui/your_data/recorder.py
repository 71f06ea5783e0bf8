"""Jobs that record a user's split: its images, then a trace of each variant on them.

    recorder.start(plans, given, card, images.variants(card, view.variant), running.gate())
    recorder.recordings(network)            # the jobs, whichever session started them

No widget is drawn here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from hybrid import zoo
from hybrid.data import ingest, sources
from hybrid.data.ingest import IngestPlan, Progress
from hybrid.data.user_splits import UserSplit
from hybrid.ui import jobs
from hybrid.ui.jobs import Job, Report, Turns, Work
from hybrid.ui.networks import cards
from hybrid.ui.server import access
from hybrid.ui.your_data.images import Upload
from hybrid.zoo import Card, Variant

__all__ = ["Step", "forget", "record_more", "recordings", "split_key", "start"]

_KIND = "user split"  # of the jobs


@dataclass(frozen=True, kw_only=True)
class Step:
    """Progress of a recording: the step, and the images done and in all within it."""

    words: str
    done: int
    total: int
    number: int
    steps: int


def start(
    made: Sequence[IngestPlan], given: Upload, card: Card, names: Sequence[str], gate: Turns
) -> Job:
    """Hand a recording to the pool: the images first, then a trace of each variant."""

    def work(report: Report) -> None:
        jobs.spare_a_core()
        steps = len(made) * (1 + len(names))
        with sources.opened(given.where, title=given.title, labels=given.labels) as source:
            kept = []
            for number, plan in enumerate(made):
                step = _reporter(report, f"Reading {plan.about.name}", number, steps)
                kept.append(ingest.ingest(plan, source.read, progress=step))
        _record(kept, [card.recorded[n] for n in names], gate, report, (len(made), steps))

    for plan in made:
        access.note_own(*split_key(card.network, plan.about.name))
    return _start(work, card.network, *(plan.about.name + plan.key for plan in made))


def record_more(about: UserSplit, card: Card, names: Sequence[str], gate: Turns) -> Job:
    """Hand the recording of more traces of a kept split to the pool."""

    def work(report: Report) -> None:
        jobs.spare_a_core()
        _record([about], [card.recorded[n] for n in names], gate, report, (0, len(names)))

    return _start(work, card.network, about.name, *names)


def recordings(network: str) -> list[Job]:
    """The running recordings of any session, and this session's last one after it ended."""
    alive = jobs.pool().alike(_KIND, network)
    last: Job | None = st.session_state.get(f"{_KIND} {network}")
    return alive if last is None or last.alive else [*alive, last]


def split_key(network: str, name: str) -> tuple[str, ...]:
    """The words by which `access` knows a split."""
    return ("split", network, name)


def forget(network: str) -> None:
    """Stop showing how this session's last recording ended."""
    st.session_state.pop(f"{_KIND} {network}", None)


def _start(work: Work, network: str, *what: str) -> Job:
    key = (_KIND, network, *what)
    access.note_own(*key)
    job = jobs.pool().start(work, key=key)
    st.session_state[f"{_KIND} {network}"] = job
    return job


def _reporter(report: Report, words: str, number: int, steps: int) -> Progress:
    return lambda done, total: report(
        Step(words=words, done=done, total=total, number=number, steps=steps)
    )


def _paused(gate: Turns, step: Progress, done: int, total: int) -> None:
    """Report progress while holding the gate, and let the forward passes of others go first."""
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
    from hybrid.deploy.network import load_variant
    from hybrid.inference.record import (
        record_user_split,  # torch: only where a network is really run
    )

    number, steps = place
    for variant in chosen:
        network = load_variant(kept[0].network, variant)
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
