"""The basis of all figures: an empty figure, a legend, strangers' words. Needs no Streamlit."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go

__all__ = ["empty", "legend", "words"]


def empty(*, height: int, margin: Mapping[str, int] | None = None, **layout: Any) -> go.Figure:
    """An empty figure with a height in pixels and narrow margins.

    Dragging does nothing until a tool is chosen, so that a finger on the figure scrolls the page.

    Args:
        margin: pixels by side; l, r, t and b.
        layout: more of plotly's layout.
    """
    # template "none": the theme styles the figure anyway, and the spec is 6.5 kB smaller
    frame = {"template": "none", "height": height, "dragmode": False}
    return go.Figure(
        layout=frame | {"margin": margin or {"l": 8, "r": 16, "t": 36, "b": 8}} | layout
    )


def words(names: Iterable[str]) -> list[str]:
    """Names of classes or stages as a figure shows them; plotly takes tags for links and styles.

    >>> words(["a<b", "<a href='http://e'>cat</a>"])
    ['a&lt;b', "&lt;a href='http://e'&gt;cat&lt;/a&gt;"]
    """
    return [html.escape(name, quote=False) for name in names]


def legend(**more: Any) -> dict[str, Any]:
    """A legend in one line above the figure, as part of a layout."""
    place = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    return place | {"title": {"text": ""}, "font": {"size": 12}} | more
