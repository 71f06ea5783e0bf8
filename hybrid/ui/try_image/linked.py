"""The image that a link names by its split and position: `image=test:42`. Links are not trusted."""

from dataclasses import replace

import streamlit as st

from hybrid.errors import ImageError, UnknownNameError
from hybrid.text import numbers
from hybrid.ui import cache, session
from hybrid.ui.explore import load
from hybrid.ui.guard import callback
from hybrid.ui.images.contact_sheet import OPENED
from hybrid.ui.try_image.sources import PickedImage
from hybrid.ui.view import DEFAULT_SPLIT, View
from hybrid.zoo import Card

__all__ = ["PARAMETER", "picked", "position_of", "split_of"]

PARAMETER = "image"


def picked(view: View, card: Card) -> PickedImage | None:
    """The image of the link, with a button that leaves it; None without one."""
    if (link := session.asked()) is not None:
        st.session_state[OPENED] = link.get(PARAMETER)
    opened: str | None = st.session_state.get(OPENED)
    session.write_address({} if opened is None else {PARAMETER: opened})
    if opened is None:
        return None
    try:
        found = _find(opened, view, card)
    finally:
        st.button(
            "Choose other images",
            icon=":material/arrow_back:",
            key="try_other",
            on_click=_leave,
        )
    return found


def split_of(text: str, splits: tuple[str, ...]) -> tuple[str, str]:
    """The split that a link's text names, and the rest of it.

    Raises:
        UnknownNameError: there is no such split.

    >>> split_of("test:42", ("test", "mine"))
    ('test', '42')
    """
    split, _, number = text.rpartition(":")
    if split not in splits:
        raise UnknownNameError("split", split, splits)
    return split, number


def position_of(number: str, split: str, samples: int) -> int:
    """The position that a link's text names.

    Raises:
        ImageError: it is no number, or the split has fewer images.
    """
    if not (number.isascii() and number.isdecimal() and int(number[:9]) < samples):
        raise ImageError(
            f"The link names image {number[:20]!r} of {split}, which has images 0 to "
            f"{numbers.count(samples - 1)}; choose another one."
        )
    return int(number[:9])


def _find(text: str, view: View, card: Card) -> PickedImage:
    splits = cache.offers().splits_of(view.network)
    split, number = split_of(text, splits)
    there = replace(view, split=split)
    trace = cache.trace(view.network, view.variant, split)
    position = position_of(number, split, trace.samples)
    pixels = load.pictures(there, [position])
    if pixels is None:
        raise ImageError(
            f"The images of {card.dataset} are not on this machine; `hybrid download "
            f"{card.dataset}` fetches them."
        )
    return PickedImage(
        name=f"{card.dataset} {split} {position}"
        if split == DEFAULT_SPLIT
        else f"{split} {position}",
        pixels=pixels[0],
        label=card.classes[trace.labels[position]] if trace.labelled else None,
    )


@callback
def _leave() -> None:
    st.session_state.pop(OPENED, None)  # a second click may come before the page is drawn
