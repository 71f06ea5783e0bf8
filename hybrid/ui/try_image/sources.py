"""Images to try: from the test split, the shipped photographs, an upload or the camera.

    given = sources.choose(card)            # draws the widgets; empty until there is an image

Uploads stay with the session when the page is left, up to a bound.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from hybrid import zoo
from hybrid.data import images
from hybrid.data.images import Picture, Rejected
from hybrid.data.photographs import photographs
from hybrid.data.preprocess import CROP, preprocess
from hybrid.data.sources import MAX_FILES, read_upload
from hybrid.text import glossary, numbers
from hybrid.ui import cache, recording, uploads
from hybrid.ui.guard import callback
from hybrid.ui.images import framing
from hybrid.ui.server import access, limits
from hybrid.ui.view import DEFAULT_SPLIT
from hybrid.zoo import Card

__all__ = ["PickedImage", "choose"]

SOURCES = {
    "samples": "Test images",
    "photographs": "Photographs",
    "upload": "Upload",
    "camera": "Camera",
}
MOST_SESSION_BYTES = 100_000_000  # of the pictures that a session keeps
KEPT_IMAGES = 200  # of uploads that the uploader no longer lists: 60 MB at most
OFFERED = 24  # test images to choose from at a time
NAMED = 5  # files that could not be read and are named without a click


@dataclass(frozen=True, kw_only=True)
class PickedImage:
    """One image to try.

    Args:
        pixels: what the network gets.
        label: its class, if that is known.
        original: the whole picture with what the network gets outlined, if it is not square.
    """

    name: str
    pixels: NDArray[np.uint8]
    label: str | None = None
    original: Image.Image | None = None


def choose(card: Card) -> list[PickedImage]:
    """The images that the user chose; if there are none yet, empty, and the page shows why."""
    state = st.session_state
    if not state.get("try_source_chosen"):  # once chosen it stays, whatever the network is
        here = recording.on_this_machine(card.dataset)
        state["try_source"] = "samples" if here else "photographs"
    source = st.segmented_control(
        "Where the image comes from",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        required=True,
        key="try_source",
        on_change=_source_chosen,
        persist_state="session",
        wrap=True,
    )
    if source == "samples":
        return _samples(card)
    if source == "photographs":
        return _as_given(_photograph(), card)
    results = _uploads() if source == "upload" else _camera()
    pictures = [result for result in results if isinstance(result, Picture)]
    rejected = [result for result in results if isinstance(result, Rejected)]
    _show_rejected(rejected, others=bool(pictures))
    return _as_given(pictures, card)


def _samples(card: Card) -> list[PickedImage]:
    """Some images of the test split, or how to get it."""
    if not recording.on_this_machine(card.dataset):
        recording.missing_data(
            card.dataset, "Photographs, uploads and the camera work without them."
        )
        return []
    test = zoo.images(card.network, DEFAULT_SPLIT)
    first = st.number_input(
        f"{OFFERED} of {numbers.count(len(test.labels))} test images, from",
        min_value=0,
        max_value=len(test.labels) - 1,
        value=0,
        step=OFFERED,
        key=f"try_sample_{card.dataset}",
        persist_state="session",
        width=280,
        help=glossary.define("split"),
    )
    # The split is ordered by class: steps of a prime mix the classes.
    positions = (np.arange(first, first + OFFERED) * 7919) % len(test.labels)
    return [
        PickedImage(
            name=f"{card.dataset} test {position}",
            pixels=test.images[position],
            label=test.classes[test.labels[position]],
        )
        for position in positions
    ]


def _photograph() -> list[Picture]:
    """One of the shipped photographs, or all of them."""
    offered = photographs()
    title = st.segmented_control(
        "Photograph",
        ["All", *(photograph.title for photograph in offered)],
        default=offered[0].title,
        required=True,
        key="try_photograph",
        persist_state="session",
        wrap=True,
    )
    chosen = [photograph for photograph in offered if title in ("All", photograph.title)]
    with st.expander("Credits", icon=":material/copyright:"):
        for photograph in chosen:
            st.caption(photograph.credit)
    return [Picture(name=p.title, image=p.read()) for p in chosen]


def _uploads() -> list[Picture | Rejected]:
    """The uploads of this session, read once per file.

    An uploader that is not drawn loses its files; the session keeps them, up to a bound.
    """
    files = st.file_uploader(
        "Images, or a zip of images",
        accept_multiple_files=True,
        key="try_files",
        on_change=_forget_removed,
        help=f"{images.FORMAT_WORDS}, up to {images.MAX_FILE_BYTES // 1_000_000} MB per file; the "
        f"first frame of several. Of a zip, the first {MAX_FILES} images are read.",
    )
    kept = st.session_state.setdefault("try_kept", {})
    for file in files:
        if file.file_id not in kept:
            found = read_upload(file.name, uploads.content(file), size=_largest())
            kept[file.file_id] = _bounded(found, _held_bytes(kept))
            limits.give_back()
    listed = st.session_state["try_listed"] = {file.file_id for file in files}
    _offer_earlier(kept, [file_id for file_id in kept if file_id not in listed])
    if not kept:
        st.info(
            "Drop an image above. It stays on the machine that runs this page.",
            title="Nothing uploaded yet",
            icon=":material/add_photo_alternate:",
        )
    return [result for results in kept.values() for result in results]


def _offer_earlier(kept: dict[str, list[Picture | Rejected]], earlier: list[str]) -> None:
    """Show which uploads are from before the page was left, and offer to remove them."""
    while sum(len(kept[file_id]) for file_id in earlier) > KEPT_IMAGES:
        del kept[earlier.pop(0)]
    if earlier:
        one = len(earlier) == 1
        words = (
            "1 file of your earlier upload is"
            if one
            else (f"{len(earlier)} files of your earlier upload are")
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{words} still loaded.")
            st.button(
                "Remove",
                icon=":material/delete:",
                key="try_remove",
                on_click=_forget,
                args=(earlier,),
            )


@callback
def _source_chosen() -> None:
    st.session_state["try_source_chosen"] = True


@callback
def _forget_removed() -> None:
    """Drop the files that the user took out of the uploader's list."""
    listed = st.session_state.get("try_listed", set())
    _forget(listed - {file.file_id for file in st.session_state["try_files"]})


@callback
def _forget(file_ids: Iterable[str]) -> None:
    for file_id in file_ids:
        st.session_state["try_kept"].pop(file_id, None)


def _camera() -> list[Picture | Rejected]:
    """The camera's picture."""
    if not _is_secure(st.context.url):
        st.info(
            "Browsers give a page the camera only over HTTPS, or on the machine that it runs on. "
            "Open this page by an address that begins with https, or upload a photograph.",
            title="No camera over plain HTTP",
            icon=":material/no_photography:",
        )
        return []
    shot = st.camera_input("Camera", key="try_camera", width=480)
    return read_upload("Camera", uploads.content(shot), size=_largest()) if shot else []


def _is_secure(url: str | None) -> bool:
    """Whether a browser gives the camera to a page of this address.

    >>> [_is_secure(url) for url in ("https://e.org/", "http://localhost:8501/", "http://e.org/")]
    [True, True, False]
    """
    parts = urlsplit(url or "https:")
    return parts.scheme != "http" or access.is_loopback_name(parts.hostname or "")


def _bounded(results: Sequence[Picture | Rejected], held_bytes: int) -> list[Picture | Rejected]:
    """The same, without pictures that this session or the server has no room for."""
    kept: list[Picture | Rejected] = []
    for one in results:
        if isinstance(one, Picture):
            held_bytes += 3 * one.image.width * one.image.height
            if held_bytes > MOST_SESSION_BYTES or not limits.hold(one.image):
                most = f"{MOST_SESSION_BYTES // 1_000_000} MB"
                sentence = f"{one.name} was not kept: a session keeps at most {most} of pictures."
                kept.append(Rejected(name=one.name, sentence=sentence))
                continue
        kept.append(one)
    return kept


def _held_bytes(kept: Mapping[str, Sequence[Picture | Rejected]]) -> int:
    images = (one.image for some in kept.values() for one in some if isinstance(one, Picture))
    return sum(3 * image.width * image.height for image in images)


def _largest() -> int:
    """Pixels per side of the largest network's input, to which one may switch later."""
    return max(zoo.card(network).size for network in cache.offers().early_exits)


def _show_rejected(rejected: Sequence[Rejected], *, others: bool) -> None:
    """Why files were left out, in cells that show a file's name as it is."""
    if not rejected:
        return
    count = "1 file" if len(rejected) == 1 else f"{len(rejected)} files"
    below = "; the others are below" if others else ""
    st.warning(f"{count} could not be read{below}.", icon=":material/broken_image:")
    for one in rejected[:NAMED]:
        st.text(one.sentence)
    if len(rejected) > NAMED:
        table = pd.DataFrame({"File": r.name, "Why": r.sentence} for r in rejected)
        with st.expander(f"All {len(rejected)}"):
            st.dataframe(table, hide_index=True, key="try_rejected")


def _as_given(pictures: Sequence[Picture], card: Card) -> list[PickedImage]:
    """Pictures at the network's size; for a grey network they may be inverted."""
    inverted = (
        card.channels == 1
        and bool(pictures)
        and st.toggle(
            "Dark ink on light paper",
            value=True,
            key="try_invert",
            persist_state="session",
            help="This network was trained on light digits on a dark background. Invert images "
            "of dark digits.",
        )
    )
    shaped = any(picture.image.width != picture.image.height for picture in pictures)
    fit = framing.choose_fit(key="try_fit", persist=True) if shaped else CROP
    return [
        PickedImage(
            name=picture.name,
            pixels=preprocess(
                picture.image, card.size, card.channels, fit=fit, inverted=bool(inverted)
            ),
            original=framing.outlined(picture.image, fit)
            if picture.image.width != picture.image.height
            else None,
        )
        for picture in pictures
    ]
