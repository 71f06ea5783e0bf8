"""Your data: own images become a split like any other, and are compared with the test split."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from hybrid.data import ingest, user_splits
from hybrid.data.labels import HOW, LEFT_OUT, UNLABELLED
from hybrid.data.labels import labels as to_labels
from hybrid.errors import HybridError
from hybrid.text import numbers
from hybrid.ui import app_frame, cache, gallery, jobs, running, session
from hybrid.ui.jobs import Job
from hybrid.ui.session import View
from hybrid.ui.your_data import images, saved_split
from hybrid.ui.your_data.images import Found, Given, Step
from hybrid.zoo import Card

STILL = {"displayModeBar": False}
NEW = "New split"
TWO = 2  # variants that are recorded where not all are: the present one and the twin
ROWS_SHOWN = 8  # of the table of labels; more scroll inside it


def main() -> None:
    """What is being recorded, then one split: a new one, or one that is kept."""
    view = session.current()
    card = cache.card(view.network)
    st.header("Your data")
    st.write(
        "Your own images become a split like any other: they are recorded once, and Explore can "
        "then be asked about them. They stay on the machine this page runs on."
    )
    chosen = choose_split(card)
    if chosen == NEW:
        new_split(view, card)
        recordings(card)
        unfinished(card)
    else:
        recordings(card)
        saved_split.draw(user_splits.split(card.network, chosen), view, card)


def choose_split(card: Card) -> str:
    """The kept splits of the network, and a new one."""
    names = user_splits.names(card.network)
    if not names:
        return NEW
    key = f"your_split_{card.network}"
    state = st.session_state
    if is_new(card):
        state[key] = state.pop("your_done")
    if state.get(key) not in {NEW, *names}:
        state[key] = NEW
    chosen = st.segmented_control(
        f"Splits of {card.network}", [*names, NEW], key=key, required=True, wrap=True
    )
    return str(chosen or NEW)


def is_new(card: Card) -> bool:
    """Whether this session's last recording was kept, nothing goes on, and it was not shown yet."""
    recording = any(job.alive for job in images.recordings(card.network))
    return st.session_state.get("your_done") in user_splits.names(card.network) and not recording


def recordings(card: Card) -> None:
    """Every recording that goes on, and how this session's last one ended."""
    for number, job in enumerate(images.recordings(card.network)):
        if job.alive:
            jobs.watch(job, lambda job, number=number: draw_recording(job, number))
            continue
        if job.state == "failed":
            st.error(str(job.error), title="The recording ended early", icon=":material/error:")
        elif job.state == "stopped":
            st.info(
                "Stopped. What was recorded is kept: give the same images and the same name "
                "again, and it goes on from there.",
                icon=":material/stop_circle:",
            )
        else:
            if is_new(card):
                st.rerun()  # it ended while this run drew the form
            st.success("Recorded and kept.", icon=":material/check_circle:")
            images.forget(card.network)  # said once is enough
            continue
        st.button(
            "Close",
            key="your_close",
            icon=":material/close:",
            on_click=images.forget,
            args=(card.network,),
        )


def unfinished(card: Card) -> None:
    """What was begun and neither ended nor goes on: it can be thrown away."""
    left = ingest.drafts(card.network)
    if not left or any(job.alive for job in images.recordings(card.network)):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{images.counted(len(left), 'recording was', 'recordings were')} begun and not "
            "ended. The same images under the same name go on from there."
        )
        st.button(
            "Throw away",
            icon=":material/delete_sweep:",
            type="tertiary",
            key="your_throw_away",
            on_click=throw_away,
            args=(card.network,),
        )


def throw_away(network: str) -> None:
    """Take every unfinished recording of the network away."""
    for draft in ingest.drafts(network):
        ingest.discard(draft)


def draw_recording(job: Job, number: int) -> None:
    """How far a recording is."""
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
        st.button(
            "Stopping" if job.stopping else "Stop",
            icon=":material/stop:",
            key=f"your_stop_{number}",
            on_click=job.stop,
            disabled=job.stopping,
        )


def new_split(view: View, card: Card) -> None:
    """Images in, their labels matched, a name, and the button that records."""
    given = choose_images(card)
    if given is None:
        return
    try:
        found = found_in(given, card)
    except HybridError as error:
        st.error(str(error), icon=":material/error:")
        return
    show_found(found)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        table = match_labels(found, card)
    with right:
        show_previews(found, card)
    labels = labels_of(found, table, card)
    if labels is not None:
        record(found, view, card, labels)


def choose_images(card: Card) -> Given | None:
    """A zip that is uploaded, or a folder of this machine; a table of labels if there is one."""
    local = app_frame.is_local()
    source = "zip"
    if local:
        source = st.segmented_control(
            "Where the images are",
            ["zip", "folder"],
            format_func={"zip": "A zip to upload", "folder": "A folder of this machine"}.get,
            default="zip",
            required=True,
            key="your_source",
        )
    where, table = st.columns([3, 2], gap="medium")
    with table:
        labels = st.file_uploader(
            "A table of labels, if folders do not say them",
            type=["csv", "tsv", "txt"],
            key="your_labels",
            help="A line for each image: its file and its label, with a comma between.",
        )
    rows = None if labels is None else labels.getvalue()
    with where:
        if source == "folder":
            return a_folder(rows)
        return an_upload(rows, card)


def an_upload(rows: bytes | None, card: Card) -> Given | None:
    """The zip that was uploaded."""
    limit_mb = st.get_option("server.maxUploadSize")
    file = st.file_uploader(
        "A zip of images",
        type=["zip"],
        key="your_zip",
        help="PNG, JPEG, WebP, GIF, BMP or TIFF of any size; the folder an image lies in is its "
        "label.",
    )
    if file is not None:
        return Given(title=file.name, where=file.getvalue(), labels=rows)
    st.caption(
        f"One folder for each class; images without labels work too. A zip of more than "
        f"{limit_mb} MB, or 100,000 images, goes in by the command line, on this machine:"
    )
    st.code(
        f"hybrid import-images {card.network} --images FOLDER --name NAME --tune-certify",
        language="bash",
    )
    return None


def a_folder(rows: bytes | None) -> Given | None:
    """The folder or zip that is named."""
    text = st.text_input(
        "A folder or a zip, as this machine names it",
        key="your_folder",
        placeholder="/home/me/photos",
        help="Read where it lies and left as it is; the folder an image lies in is its label.",
    ).strip()
    if not text:
        st.caption("One folder for each class; images without labels work too.")
        return None
    st.button("Look again", icon=":material/refresh:", key="your_again", on_click=look_again)
    return Given(title=Path(text).name, where=Path(text).expanduser(), labels=rows)


def look_again() -> None:
    """Forget what was found."""
    st.session_state.pop("your_found", None)


def found_in(given: Given, card: Card) -> Found:
    """What lies there, read once."""
    state = st.session_state
    if "your_found" not in state or state["your_found"][0] != (given.key, card.network):
        with st.spinner("Looking …"):
            state["your_found"] = (given.key, card.network), images.look(given, card.classes)
    found: Found = state["your_found"][1]
    return found


def show_found(found: Found) -> None:
    """What was found, in numbers, and what will not be read."""
    labelled = sum(word is not None for word in found.words)
    where = "rows of the table" if found.by_table else "folders"
    said = f"**{images.counted(len(found.entries), 'image', 'images')}**, "
    said += (
        f"{numbers.count(labelled)} with one of {numbers.count(len(found.matches))} labels by "
        f"their {where}"
        if labelled
        else "none with a label"
    )
    others = images.counted(found.others, "other file is", "other files are")
    st.markdown(f"{said}; {others} not looked at." if found.others else f"{said}.")
    refused = images.counted(len(found.refused), "file", "files")
    saved_split.show_refused(found.refused, f"{refused} will not be read")


def match_labels(found: Found, card: Card) -> Mapping[str, str | None] | None:
    """Label → class, as it is proposed and corrected; None where there are no labels to use."""
    if not found.matches:
        st.info(
            "No image has a label: accuracy stays unknown; where images leave, what that costs "
            "and how often the early answer differs from the final exit's are known all the same.",
            title="Without labels",
            icon=":material/label_off:",
        )
        return None
    use = st.toggle(
        "Use the labels",
        value=any(one.class_name for one in found.matches),
        key=key_of("use", found, card),
    )
    if not use:
        st.caption("Recorded without labels: accuracy stays unknown.")
        return None
    st.data_editor(
        pd.DataFrame(
            {
                "Label": one.word,
                "Images": one.images,
                "Class": one.class_name,
                "How": HOW[one.how],
            }
            for one in found.matches
        ),
        hide_index=True,
        height="auto" if len(found.matches) <= ROWS_SHOWN else 320,
        disabled=["Label", "Images", "How"],
        key=key_of("match", found, card),
        alt=f"{len(found.matches)} labels, how many images have each, and the class it means.",
        column_config={
            "Label": st.column_config.TextColumn(help="As your folders or your table say it."),
            "Class": st.column_config.SelectboxColumn(
                options=list(card.classes), help="Choose another, or empty it to leave them out."
            ),
            "How": st.column_config.TextColumn("Matched by"),
        },
    )
    return table_of(found, card)


def table_of(found: Found, card: Card) -> dict[str, str | None] | None:
    """Label → class as the widgets have it now; None where labels are not used."""
    if not found.matches or not st.session_state.get(key_of("use", found, card)):
        return None
    edits = st.session_state.get(key_of("match", found, card), {})
    return images.corrected(found.matches, edits.get("edited_rows", {}))


def key_of(what: str, found: Found, card: Card) -> str:
    """Key of a widget that starts anew with other images or another network."""
    return f"your_{what}_{found.given.key}_{card.network}"


def show_previews(found: Found, card: Card) -> None:
    """Some images as the network will see them, light and dark exchanged where that is wanted."""
    inverted = card.channels == 1 and st.toggle(
        "Dark ink on light paper: exchange light and dark",
        key=key_of("invert", found, card),
        help="The images this network learned are light on dark.",
    )
    key = (found.given.key, card.network, inverted)
    state = st.session_state
    if state.get("your_previews", (None,))[0] != key:
        state["your_previews"] = key, images.previews(found, card, inverted=inverted)
    shown = state["your_previews"][1]
    if not shown:
        st.caption("None of the images that were tried for a preview could be read.")
        return
    pixels = np.stack([one.pixels for one in shown])
    st.image(
        gallery.sprites(pixels, range(len(shown))),
        width="stretch",
        alt=f"{len(shown)} of the images as the network sees them.",
    )
    st.caption(
        f"{len(shown)} of them as the network sees them, {card.size}×{card.size} pixels"
        f"{', row by row:' if found.matches else '.'}"
    )
    if found.matches:
        st.text(", ".join(one.word for one in shown))


def labels_of(
    found: Found, table: Mapping[str, str | None] | None, card: Card
) -> NDArray[np.int64] | None:
    """The label of each image that will be recorded, said in numbers; None where none will be."""
    if table is None:
        return np.full(len(found.entries), UNLABELLED)
    every = to_labels(found.words, table, card.classes)
    labels = every[every != LEFT_OUT]
    left_out = len(every) - len(labels)
    guessed = sum(one.proposed and table[one.word] == one.class_name for one in found.matches)
    if guessed:
        st.warning(
            f"{guessed} of {len(found.matches)} labels are matched by likeness or number; check "
            "them in the table.",
            icon=":material/rule:",
        )
    if left_out:
        st.warning(
            f"{numbers.count(left_out)} of {numbers.count(len(every))} images have no class of "
            f"{card.network} and will be left out.",
            icon=":material/filter_alt:",
        )
    if not len(labels):
        st.error(
            f"No label is matched to a class of {card.network}; choose classes in the table, or "
            "turn the labels off.",
            icon=":material/error:",
        )
        return None
    return labels


def record(found: Found, view: View, card: Card, labels: NDArray[np.int64]) -> None:
    """A name, what is recorded, and the button."""
    for caution in images.cautions(labels, card.classes):
        st.warning(caution, icon=":material/priority_high:")
    names = images.variants(card, view.variant)
    if not names:
        st.info(
            f"There are no weights of {card.network} here, so nothing can record it.",
            icon=":material/deployed_code:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Name of the split",
            value=free_name(card),
            max_chars=40,
            key=key_of("name", found, card),
            width=220,
        )
        st.toggle(
            "Divide: half to choose on, half to certify",
            key="your_divide",
            help="Thresholds that were chosen on images must not be certified on the same ones: "
            "half of each class becomes NAME-tune, half NAME-certify, drawn with seed 0.",
        )
        every = st.toggle(
            "All bit widths and static networks",
            value=True,
            key="your_every",
            help="Without it, only the present bit width and the full-precision twin.",
        )
    st.caption(
        f"{len(names if every else names[:TWO])} traces are recorded. The images at the network's "
        f"size, {numbers.kilobytes(len(labels) * card.image_bytes)}, and the traces are kept in "
        f"{user_splits.folder()}; HYBRID_TRACES names another folder."
    )
    if st.session_state["your_divide"] and (said := images.promise(max(len(labels) // 2, 1))):
        st.caption(said)
    if "your_error" in st.session_state:
        st.error(st.session_state.pop("your_error"), icon=":material/error:")
    st.button(
        f"Record {images.counted(len(labels), 'image', 'images')}",
        icon=":material/fiber_manual_record:",
        type="primary",
        key="your_record",
        on_click=begin,
        args=(found, view, card),
        disabled=any(job.alive for job in images.recordings(card.network)),
    )


def begin(found: Found, view: View, card: Card) -> None:
    """Start the recording, as the widgets have it when the button is clicked."""
    state = st.session_state
    names = images.variants(card, view.variant)
    try:
        made = images.plans(
            found,
            card,
            name=state[key_of("name", found, card)].strip(),
            table=table_of(found, card),
            inverted=state.get(key_of("invert", found, card), False),
            divide=state["your_divide"],
        )
    except HybridError as error:
        state["your_error"] = str(error)
        return
    chosen = names if state["your_every"] else names[:TWO]
    images.start(made, found.given, card, chosen, running.gate())
    state["your_done"] = made[0].about.name


def free_name(card: Card) -> str:
    """A name that no split has."""
    taken = {name.partition("-tune")[0] for name in user_splits.names(card.network)}
    tries = ("mine", *(f"mine-{number}" for number in range(2, 10_000)))
    return next(name for name in tries if name not in taken)


app_frame.through_app(__file__)
main()
