"""Images in a grid, each with its caption below it; a click on one opens it in Try an image.

All images are in one picture, and a grid is one element: 36 images with captions in three grids
take 7 ms per run, and 15 ms as an element each, which the browser then lays out one by one.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from PIL import Image

from hybrid.ui import app_frame

__all__ = ["OPENED", "show"]

OPENED = "try_opened"  # in the session: the split and position of the image that was clicked

_FOLDER = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "hybrid_contact_sheet",
    html='<ul class="sheet"></ul>',
    css=(_FOLDER / "contact_sheet.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "contact_sheet.js").read_text(encoding="utf-8"),
)


def show(
    images: npt.NDArray[np.uint8],
    captions: Sequence[str],
    *,
    key: str,
    split: str | None = None,
    positions: Sequence[int] = (),
) -> None:
    """The grid; images without a split cannot be opened.

    Args:
        images: (n, h, w, channels), 1 or 3 channels, at least one image.
        split, positions: where each image is, (n,).
    """
    result = _COMPONENT(
        key=key,
        data=payload(images, captions, positions=positions),
        on_opened_change=_nothing,
    )
    clicked = result.get("opened")
    if split is not None and clicked in positions:
        st.session_state[OPENED] = f"{split}:{clicked}"
        app_frame.open_page("try_image")


def payload(
    images: npt.NDArray[np.uint8], captions: Sequence[str], *, positions: Sequence[int]
) -> dict[str, Any]:
    """The data of the script: all images as one strip, and what belongs to each.

    | key       | type                                    |
    |-----------|-----------------------------------------|
    | strip     | the images from left to right, data URL |
    | captions  | one per image                           |
    | positions | one per image, or none                  |
    """
    strip = np.concatenate(list(images), axis=1)  # (h, n · w, channels)
    file = io.BytesIO()
    Image.fromarray(strip.squeeze()).save(file, "PNG", compress_level=1)
    return {
        "strip": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}",
        "captions": list(captions),
        "positions": [int(position) for position in positions],
    }


def _nothing() -> None:
    """Without a listener the component would not report a click."""
