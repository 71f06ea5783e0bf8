"""How every page shows a number in a box and a figure in its frame."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from hybrid.text.point import Headline

__all__ = ["PLOT", "STILL", "Box", "metric", "metrics"]

# Plotly's settings of figures that follow the width of the window, and of those that stay.
PLOT: dict[str, Any] = {"displayModeBar": False, "responsive": True}
STILL: dict[str, Any] = {"displayModeBar": False}
_WIDTH = 148  # pixels that a label and a note need


class Box(NamedTuple):
    """A number with its unit, the words above and below it, and what is said on request."""

    label: str
    value: str
    note: str | None
    help: str | None = None


def metric(box: Box | Headline, *, border: bool = True) -> None:
    """One number; the note below it is no change of the number."""
    st.metric(
        box.label,
        box.value,
        box.note,
        help=box.help,
        border=border,
        delta_color="off",
        delta_arrow="off",
    )


def metrics(
    boxes: Sequence[Box | Headline], *, columns: int | None = None, width: int = _WIDTH
) -> None:
    """A row of numbers, in as many rows as the window is narrow.

    A headline is in a container of its key, so that the script in the browser finds it.

    Args:
        columns: at most; one for each box by default.
        width: of a box in pixels, at least.
    """
    with st.grid(columns or len(boxes), min_column_width=width):
        for box in boxes:
            if isinstance(box, Headline):
                with st.container(key=f"explore_{box.key}"):
                    metric(box)
            else:
                metric(box)
