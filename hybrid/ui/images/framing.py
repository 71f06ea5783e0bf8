"""Pictures that are not square: how they become so, and the original with that part outlined."""

import streamlit as st
from PIL import Image, ImageDraw

from hybrid.data.preprocess import CROP, FITS, seen_box

__all__ = ["choose_fit", "outlined", "words"]

_SIDE = 256  # pixels of the outlined original's longer side
_SHADE = 0.45  # of the brightness, outside the outline
_LINE = "#d97a12"


def choose_fit(*, key: str, persist: bool = False) -> str:
    """A control for pictures that are not square; the name of the fit."""
    chosen = st.segmented_control(
        "Pictures that are not square",
        list(FITS),
        format_func=str.capitalize,
        default=CROP,
        required=True,
        key=key,
        help="; ".join(f"{name}: {what}" for name, what in FITS.items()).capitalize() + ".",
        persist_state="session" if persist else None,
    )
    return str(chosen or CROP)


def outlined(picture: Image.Image, fit: str) -> Image.Image:
    """The whole picture, darker outside the part that the network gets, which is framed."""
    whole = picture.convert("RGB")
    whole.thumbnail((_SIDE, _SIDE))
    box = seen_box(whole.size) if fit == CROP else (0, 0, *whole.size)
    seen = whole.crop(box)
    shown = whole.point(lambda value: int(value * _SHADE))
    shown.paste(seen, box)
    left, top, right, bottom = box
    ImageDraw.Draw(shown).rectangle((left, top, right - 1, bottom - 1), outline=_LINE, width=2)
    return shown


def words(fit: str) -> str:
    """What the network gets of such a picture, in a sentence."""
    return f"The network gets {FITS[fit]}."
