"""Your data: record your own images as a split and compare it with the test split."""

from functools import partial

import streamlit as st

from hybrid import zoo
from hybrid.data import ingest, user_splits
from hybrid.text import glossary, numbers
from hybrid.text.plain import plain
from hybrid.ui import app_frame, jobs, recording, session
from hybrid.ui.guard import callback
from hybrid.ui.jobs import Job
from hybrid.ui.server import access
from hybrid.ui.your_data import images, new_split, recorder, saved_split
from hybrid.ui.your_data.recorder import Step
from hybrid.zoo import Card

NEW = "New split"


def main() -> None:
    """The running recordings, then one split, new or saved."""
    view = session.current()
    card = zoo.card(view.network)
    st.header("Your data")
    st.markdown(
        "Record your own images as a split; Explore and Choose can then use it. They stay on the "
        "machine that runs this page.",
        help=glossary.define("split", "trace"),
    )
    chosen = choose_split(card)
    session.write_address({} if chosen == NEW else {"saved": chosen})
    if chosen == NEW:
        new_split.draw(view, card)
        recordings(card)
        unfinished(card)
    else:
        recordings(card)
        saved_split.draw(user_splits.split(card.network, chosen), view, card)


def choose_split(card: Card) -> str:
    """The saved splits of the network, and a new one."""
    names = user_splits.names(card.network)
    if not names:
        return NEW
    key = f"your_split_{card.network}"
    state = st.session_state
    if (link := session.asked()) is not None:
        state[key] = link.get("saved", NEW)
    if is_new(card):
        state[key] = state.pop("your_done")
    if (gone := state.setdefault(key, NEW)) not in {NEW, *names}:
        st.info(f"The split {plain(gone)} is not here any more.", icon=":material/delete:")
        state[key] = NEW
    chosen = st.segmented_control(
        f"Splits of {card.network}", [*names, NEW], key=key, required=True, wrap=True
    )
    return str(chosen or NEW)


def is_new(card: Card) -> bool:
    """Whether this session's last recording is saved, but not shown yet, and none is running."""
    recording = any(job.alive for job in recorder.recordings(card.network))
    return st.session_state.get("your_done") in user_splits.names(card.network) and not recording


def recordings(card: Card) -> None:
    """Every running recording, and how this session's last one ended."""
    for number, job in enumerate(recorder.recordings(card.network)):
        if job.alive:
            jobs.watch(job, partial(draw_recording, number=number))
            continue
        if job.state == "failed":
            st.error(
                plain(str(job.error)), title="The recording ended early", icon=":material/error:"
            )
        elif job.state == "stopped":
            st.info(
                "Stopped. What is recorded so far is kept: give the same images and the same name "
                "again to resume.",
                icon=":material/stop_circle:",
            )
        else:
            if is_new(card):
                st.rerun()  # it ended while this run drew the form
            st.success("Recorded and saved.", icon=":material/check_circle:")
            recorder.forget(card.network)  # shown once is enough
            continue
        st.button(
            "Close",
            key="your_close",
            icon=":material/close:",
            on_click=callback(recorder.forget),
            args=(card.network,),
        )


def unfinished(card: Card) -> None:
    """Recordings that were begun and neither finished nor are running: they can be discarded."""
    left = ingest.drafts(card.network)
    if not left or any(job.alive for job in recorder.recordings(card.network)):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{images.counted(len(left), 'recording is', 'recordings are')} unfinished. Give the "
            "same images and the same name again to resume."
        )
        st.button(
            "Discard",
            icon=":material/delete_sweep:",
            type="tertiary",
            key="your_discard",
            on_click=discard,
            args=(card.network,),
            disabled=not access.may_name_folders(),
        )


@callback
def discard(network: str) -> None:
    """Discard every unfinished recording of the network."""
    for draft in ingest.drafts(network):
        ingest.discard(draft)


def draw_recording(job: Job, number: int) -> None:
    """Progress of a recording, and the button that stops it."""
    step: Step | None = job.progress
    with st.container(border=True, key=f"your_recording_{number}"):
        if step is None:
            ahead = jobs.pool().before(job)
            waiting = f"Waiting for a free worker, {ahead} before this one"
            st.progress(0.0, "Starting" if job.state == "running" else waiting)
        else:
            st.markdown(f"**{step.words}**, step {step.number + 1} of {step.steps}")
            share = step.done / step.total if step.total else 0.0
            st.progress(share, f"{numbers.count(step.done)} of {numbers.count(step.total)} images")
        recording.stop_button(job, f"your_stop_{number}")


app_frame.through_app(__file__)
main()
