"""The follower: a small script in the browser that moves figures while a slider is dragged.

Python sends it the trace and the templates once, never a threshold: the script reads the sliders
itself. It reports that it is running, and which point of the frontier was clicked.

    counting.js   codes and thresholds to counts and means
    filling.js    templates and number formats to texts
    internals.js  all that Streamlit and plotly.js do not promise
    follower.js   joins the three, once per animation frame
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

__all__ = ["FILES", "KEY", "clicked_point", "is_alive", "mount", "script"]

KEY = "explore_follower"
FILES = (
    "counting.js",
    "filling.js",
    "internals.js",
    "follower.js",
)  # each imports from earlier ones

_HTML = """
<div class="follower">
<output aria-live="off" aria-atomic="true"></output>
</div>
"""
_CSS = """
.follower { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""
_FOLDER = Path(__file__).parent
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |function \w)", re.MULTILINE)


def script() -> str:
    """The files as one module: Streamlit loads a component's script from one text.

    Imports between the files go, so no two files may define the same name.
    """
    texts = [(_FOLDER / name).read_text(encoding="utf-8") for name in FILES]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


_COMPONENT = st.components.v2.component(
    "hybrid_follower",
    html=_HTML,
    css=_CSS,
    js=script(),
)


def mount(data: dict[str, Any], *, on_click: Callable[[], None]) -> None:
    """Start the follower with a payload. on_click runs after a click on the frontier."""
    _COMPONENT(key=KEY, data=data, on_alive_change=_nothing, on_clicked_change=on_click)


def is_alive() -> bool:
    """True once the script has drawn in this browser; until then Python redraws every figure."""
    return bool(st.session_state.get(KEY, {}).get("alive"))


def clicked_point(exits: int) -> tuple[int, tuple[float, ...]] | None:
    """Bit width and thresholds of the clicked point; None for unexpected data."""
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
    """Without a listener the component would not keep its state."""
