"""The follower: a small script in the browser that moves figures while a slider is dragged.

Python gives it the trace once and never a threshold; it reads the sliders by itself. What it sends
back is that it runs, and which point of the frontier was clicked.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

__all__ = ["KEY", "clicked_point", "is_alive", "mount"]

KEY = "explore_follower"

_HTML = """
<div class="follower">
<output aria-live="off" aria-atomic="true"></output>
</div>
"""
_CSS = """
.follower { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""
_COMPONENT = st.components.v2.component(
    "hybrid_follower",
    html=_HTML,
    css=_CSS,
    js=(Path(__file__).parent / "follower.js").read_text(encoding="utf-8"),
)


def mount(data: dict[str, Any], *, on_click: Callable[[], None]) -> None:
    """Start the follower with a payload; on_click runs after a click on the frontier."""
    _COMPONENT(key=KEY, data=data, on_alive_change=_nothing, on_clicked_change=on_click)


def is_alive() -> bool:
    """True once the script has drawn in this browser; until then Python redraws every figure."""
    return bool(st.session_state.get(KEY, {}).get("alive"))


def clicked_point(exits: int) -> tuple[int, tuple[float, ...]] | None:
    """Bit width and thresholds of the point that was clicked; None for anything unexpected."""
    sent = st.session_state[KEY].get("clicked")
    if not isinstance(sent, list) or len(sent) != exits + 1:
        return None
    if not all(isinstance(value, int | float) for value in sent):
        return None
    bits, *thresholds = sent
    if not all(0 <= value <= 1 for value in thresholds):
        return None
    return int(bits), tuple(float(value) for value in thresholds)


def _nothing() -> None:
    """The component keeps a state only where someone listens to it."""
