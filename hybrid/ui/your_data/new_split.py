"""A new split on Your data: its images, their labels, a name, and the button that records."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.typing import UploadedFile

from hybrid.data import user_splits
from hybrid.data.images import FORMAT_WORDS, shown_name
from hybrid.data.labels import HOW, LEFT_OUT, UNLABELLED
from hybrid.data.labels import labels as to_labels
from hybrid.data.preprocess import CROP
from hybrid.data.sources import ignored_words
from hybrid.data.sources.tables import MAX_LABELS_BYTES
from hybrid.errors import HybridError
from hybrid.text import numbers
from hybrid.text.plain import plain
from hybrid.ui import running, uploads
from hybrid.ui.guard import callback
from hybrid.ui.images import contact_sheet, framing
from hybrid.ui.server import access
from hybrid.ui.view import View
from hybrid.ui.your_data import images, recorder, saved_split
from hybrid.ui.your_data.images import Found, Preview, Upload
from hybrid.zoo import Card

__all__ = ["draw"]

TWO = 2  # variants that are recorded if not all are: the current one and the twin
SOURCES = {"zip": "Upload a zip", "folder": "A folder of this machine"}
ORIGINALS = 3  # pictures that are not square and are shown whole
ORIGINAL_WIDTH = 150
ROWS_SHOWN = 8  # of the table of labels; more scroll inside it


def draw(view: View, card: Card) -> None:
    """Images in, their labels matched, a name, and the button that records."""
    given = _choose_images(card)
    if given is None:
        return
    try:
        found = _found_in(given, card)
    except HybridError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    _show_found(found)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        table = _match_labels(found, card)
    with right:
        _show_previews(found, card)
    labels = _labels_of(found, table, card)
    if labels is not None:
        _record(found, view, card, labels)


def _choose_images(card: Card) -> Upload | None:
    """A zip that is uploaded, or a folder of this machine; a table of labels if there is one."""
    source: str | None = "zip"
    if access.may_name_folders():
        source = st.segmented_control(
            "Where the images are",
            list(SOURCES),
            format_func=SOURCES.__getitem__,
            default="zip",
            required=True,
            key="your_source",
        )
    where, table = st.columns([3, 2], gap="medium")
    with table:
        labels = st.file_uploader(
            "A table of labels (optional)",
            type=["csv", "tsv", "txt"],
            key="your_labels",
            help="One line per image: its file and its label, separated by a comma. Without a "
            "table, an image's folder is its label.",
        )
    rows = None if labels is None else _table(labels)
    with where:
        if source == "folder":
            return _folder(rows)
        given = _upload(rows, card)
        if given is None and not access.may_name_folders():
            st.caption(access.HOW_TO_ALLOW)
        return given


def _table(file: UploadedFile) -> bytes:
    """The content of a table, one byte more than is read if there is more."""
    kept = uploads.content(file)
    if not isinstance(kept, uploads.StoredUpload):
        return kept
    with kept.open() as inside:
        return inside.read(MAX_LABELS_BYTES + 1)


def _upload(rows: bytes | None, card: Card) -> Upload | None:
    """The zip that was uploaded."""
    limit_mb = st.get_option("server.maxUploadSize")
    file = st.file_uploader(
        "A zip of images",
        type=["zip"],
        key="your_zip",
        help=f"{FORMAT_WORDS} of any size. An image's folder is its label.",
    )
    if file is not None:
        return Upload(
            title=file.name, where=uploads.content(file), labels=rows, identity=file.file_id
        )
    st.caption(
        f"One folder per class; images without labels work too. For more than {limit_mb} MB or "
        f"100,000 images, use the command line on this machine:"
    )
    st.code(
        f"hybrid import-images {card.network} --images FOLDER --name NAME --tune-certify",
        language="bash",
    )
    return None


def _folder(rows: bytes | None) -> Upload | None:
    """The folder or zip that is named."""
    text = st.text_input(
        "Path of a folder or zip on this machine",
        key="your_folder",
        placeholder="/home/me/photos",
        help="Read in place and never changed. An image's folder is its label.",
    ).strip()
    if not text:
        st.caption("One folder per class; images without labels work too.")
        return None
    st.button("Rescan", icon=":material/refresh:", key="your_rescan", on_click=_rescan)
    try:
        where = Path(text).expanduser()
    except RuntimeError:
        st.error("There is no user of that name on this machine; give the whole path.")
        return None
    return Upload(title=Path(text).name, where=where, labels=rows)


@callback
def _rescan() -> None:
    """Forget what was found."""
    st.session_state.pop("your_found", None)


def _found_in(given: Upload, card: Card) -> Found:
    """The files that were given, listed once."""
    state = st.session_state
    if "your_found" not in state or state["your_found"][0] != (given.key, card.network):
        with st.spinner("Listing the files …"):
            state["your_found"] = (given.key, card.network), images.look(given, card.classes)
    found: Found = state["your_found"][1]
    return found


def _show_found(found: Found) -> None:
    """A summary of what was found, and the files that will not be read."""
    labelled = sum(word is not None for word in found.words)
    where = "the table" if found.table_note else "their folders"
    said = f"**{images.counted(len(found.entries), 'image', 'images')}**, "
    said += (
        f"{numbers.count(labelled)} with one of "
        f"{images.counted(len(found.matches), 'label', 'labels')} from {where}."
        if labelled
        else "none with a label."
    )
    st.markdown(said)
    if labelled:
        names = [shown_name(one.word) for one in found.matches[:ROWS_SHOWN]]
        st.text(f"Labels: {', '.join(names)}{', …' if len(found.matches) > ROWS_SHOWN else ''}")
    if found.table_note:
        st.text(found.table_note)
    if found.ignored:
        st.text(f"{ignored_words(found.ignored)}.")
    refused = images.counted(len(found.refused), "file", "files")
    saved_split.show_refused(found.refused, f"{refused} will not be read")


def _match_labels(found: Found, card: Card) -> Mapping[str, str | None] | None:
    """Label → class, as proposed and then corrected; None if there are no labels to use."""
    if not found.matches:
        st.info(
            "Accuracy stays unknown. Exits, costs and how often an early answer differs from the "
            "final exit's are shown as usual.",
            title="Without labels",
            icon=":material/label_off:",
        )
        return None
    use = st.toggle(
        "Use the labels",
        value=any(one.class_name for one in found.matches),
        key=_key_of("use", found, card),
    )
    if not use:
        st.caption("Recorded without labels; accuracy stays unknown.")
        return None
    _edit_matches(found, card)
    return _table_of(found, card)


def _edit_matches(found: Found, card: Card) -> None:
    """The labels as a table in which the class can be changed."""
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
        key=_key_of("match", found, card),
        alt=f"{len(found.matches)} labels, how many images have each, and the class it means.",
        column_config={
            "Label": st.column_config.TextColumn(help="From your folders or your table."),
            "Class": st.column_config.SelectboxColumn(
                options=list(card.classes),
                help="Choose another, or clear it to leave these images out.",
            ),
            "How": st.column_config.TextColumn("Matched by"),
        },
    )


def _table_of(found: Found, card: Card) -> dict[str, str | None] | None:
    """Label → class as the widgets have it now; None if labels are not used."""
    if not found.matches or not st.session_state.get(_key_of("use", found, card)):
        return None
    edits = st.session_state.get(_key_of("match", found, card), {})
    return images.corrected(found.matches, edits.get("edited_rows", {}))


def _key_of(what: str, found: Found, card: Card) -> str:
    """Key of a widget that is reset for other images or another network."""
    return f"your_{what}_{found.given.key}_{card.network}"


def _show_previews(found: Found, card: Card) -> None:
    """Some images at the network's input size, inverted if that is wanted."""
    inverted = card.channels == 1 and st.toggle(
        "Dark ink on light paper: invert",
        key=_key_of("invert", found, card),
        help="This network was trained on light digits on a dark background.",
    )
    fit = str(st.session_state.get(_key_of("fit", found, card), CROP))
    key = (found.given.key, card.network, inverted, fit)
    state = st.session_state
    if state.get("your_previews", (None,))[0] != key:
        state["your_previews"] = key, images.previews(found, card, inverted=inverted, fit=fit)
    shown = state["your_previews"][1]
    if not shown:
        st.caption("None of the images tried for a preview could be read.")
        return
    pixels = np.stack([one.pixels for one in shown])
    st.caption(f"{len(shown)} of them at the network's input size, {card.size}×{card.size} pixels.")
    words = [one.word if found.matches else "" for one in shown]
    contact_sheet.show(pixels, words, key="your_images")
    _show_originals(shown, fit, key=_key_of("fit", found, card))


def _show_originals(shown: Sequence[Preview], fit: str, *, key: str) -> None:
    """Pictures that are not square, with what the network gets of them, and the choice of it."""
    originals = [one.original for one in shown if one.original is not None]
    if not originals:
        return
    framing.choose_fit(key=key)
    st.image(
        [framing.outlined(picture, fit) for picture in originals[:ORIGINALS]],
        width=ORIGINAL_WIDTH,
    )
    st.caption(f"{len(originals)} of the {len(shown)} are not square. {framing.words(fit)}")


def _labels_of(
    found: Found, table: Mapping[str, str | None] | None, card: Card
) -> NDArray[np.int64] | None:
    """The label of each image that will be recorded, as a number; None if none will be."""
    if table is None:
        return np.full(len(found.entries), UNLABELLED)
    every = to_labels(found.words, table, card.classes)
    labels: NDArray[np.int64] = every[every != LEFT_OUT]
    left_out = len(every) - len(labels)
    guessed = sum(one.proposed and table[one.word] == one.class_name for one in found.matches)
    if guessed:
        st.warning(
            f"{guessed} of {len(found.matches)} labels are matched by similar spelling or by "
            "index; check them in the table.",
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


def _record(found: Found, view: View, card: Card, labels: NDArray[np.int64]) -> None:
    """Cautions, a name, what will be recorded, and the button."""
    for caution in images.cautions(labels, card.classes):
        st.warning(caution, icon=":material/priority_high:")
    names = images.variants(card, view.variant)
    if not names:
        st.info(
            f"The weights of {card.network} are not here, so nothing can be recorded.",
            icon=":material/deployed_code:",
        )
        return
    every = _choose_recording(found, card)
    st.caption(
        f"{len(names if every else names[:TWO])} traces will be recorded. The images at the "
        f"network's input size ({numbers.kilobytes(len(labels) * card.image_bytes)}) and the "
        f"traces are kept in {plain(str(user_splits.folder()))}; set HYBRID_TRACES to use "
        "another folder."
    )
    if st.session_state["your_divide"] and (said := images.promise(max(len(labels) // 2, 1))):
        st.caption(said)
    if "your_error" in st.session_state:
        st.error(plain(st.session_state.pop("your_error")), icon=":material/error:")
    st.button(
        f"Record {images.counted(len(labels), 'image', 'images')}",
        icon=":material/fiber_manual_record:",
        type="primary",
        key="your_record",
        on_click=_begin,
        args=(found, view, card),
        disabled=any(job.alive for job in recorder.recordings(card.network)),
    )


def _choose_recording(found: Found, card: Card) -> bool:
    """Name, division, and whether every variant is recorded, which is returned."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Name of the split",
            value=_free_name(card),
            max_chars=40,
            key=_key_of("name", found, card),
            width=220,
        )
        st.toggle(
            "Divide: half to choose on, half to certify",
            key="your_divide",
            help="Thresholds must not be certified on the images they were chosen on. Half of "
            "each class becomes NAME-tune, the other half NAME-certify, drawn with seed 0.",
        )
        return st.toggle(
            "All bit widths and static networks",
            value=True,
            key="your_every",
            help="If off: only the current bit width and the full-precision twin.",
        )


@callback
def _begin(found: Found, view: View, card: Card) -> None:
    """Start the recording, as the widgets have it when the button is clicked."""
    state = st.session_state
    names = images.variants(card, view.variant)
    try:
        made = images.plans(
            found,
            card,
            name=state[_key_of("name", found, card)].strip(),
            table=_table_of(found, card),
            inverted=state.get(_key_of("invert", found, card), False),
            fit=state.get(_key_of("fit", found, card), CROP),
            divide=state["your_divide"],
        )
    except HybridError as error:
        state["your_error"] = str(error)
        return
    chosen = names if state["your_every"] else names[:TWO]
    recorder.start(made, found.given, card, chosen, running.gate())
    state["your_done"] = made[0].about.name


def _free_name(card: Card) -> str:
    """The first name that no split has."""
    taken = {name.partition("-tune")[0] for name in user_splits.names(card.network)}
    tries = ("mine", *(f"mine-{number}" for number in range(2, 10_000)))
    return next(name for name in tries if name not in taken)
