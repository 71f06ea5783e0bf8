"""Numbers in boxes and settings of figures, the same on every page."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from hybrid.text.plain import plain
from hybrid.text.point import Headline

__all__ = ["PLOT", "STILL", "Box", "metric", "metrics"]

# Plotly's settings for figures that do not follow the width of the window, and for those that do:
# a toolbar with zoom, reset and PNG; `hybrid.ui.page_script` adds SVG. A finger on the axes scrolls
# the page instead of the axis.
STILL: dict[str, Any] = {
    "displaylogo": False,
    "displayNotifier": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "scrollZoom": False,
    "showAxisDragHandles": False,
    "showAxisRangeEntryBoxes": False,
    "toImageButtonOptions": {"filename": "hybrid", "scale": 2},
}
PLOT: dict[str, Any] = STILL | {"responsive": True}
_WIDTH = 148  # pixels needed for a label and a note


class Box(NamedTuple):
    """A number with its unit, the label above it, the note below it, and its help text."""

    label: str
    value: str
    note: str | None
    help: str | None = None


def metric(box: Box | Headline, *, border: bool = True) -> None:
    """One number; the note below it is not styled as a change of the number."""
    st.metric(
        box.label,
        plain(box.value),
        None if box.note is None else plain(box.note),
        help=box.help,
        border=border,
        delta_color="off",
        delta_arrow="off",
    )


def metrics(
    boxes: Sequence[Box | Headline], *, columns: int | None = None, width: int = _WIDTH
) -> None:
    """A row of numbers, which wraps if the window is narrow.

    A headline is in a container named by its key, so that the script in the browser finds it.

    Args:
        columns: the most columns; by default, one for each box.
        width: the least width of a box, in pixels.
    """
    with st.grid(columns or len(boxes), min_column_width=width):
        for box in boxes:
            if isinstance(box, Headline):
                with st.container(key=f"explore_{box.key}"):
                    metric(box)
            else:
                metric(box)
