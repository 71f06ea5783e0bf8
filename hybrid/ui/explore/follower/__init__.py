"""The follower: a small script in the browser that moves figures while a slider is dragged.

Python sends it prices and templates, and once for each network the traces of all bit widths. It
never sends a bit width or a threshold: the script reads the sliders itself. The script reports that
it is running, and which point of the frontier was clicked.

    counting.js   codes and thresholds to counts and means
    filling.js    templates and number formats to texts
    certifying.js bounds of every setting of the sliders
    internals.js  all that Streamlit and plotly.js do not promise
    store.js      the traces and bounds in the browser
    receiver.js   puts traces and bounds into the store
    follower.js   joins these, once per animation frame
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from hybrid.ui.explore.follower import payload
from hybrid.ui.view import STEPS, View

__all__ = [
    "FILES",
    "KEY",
    "clicked_point",
    "is_alive",
    "mount",
    "place",
    "script",
    "send_bounds",
    "send_traces",
]

KEY = "explore_follower"
# Each imports from earlier ones.
FILES = (
    "counting.js",
    "filling.js",
    "certifying.js",
    "internals.js",
    "store.js",
    "receiver.js",
    "follower.js",
)

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
_EXPORT = re.compile(r"^export (?=const |function\*? \w)", re.MULTILINE)


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
# Without the element of the first: its script receives, and does not follow.
_RECEIVER = st.components.v2.component("hybrid_traces", js=script())


def mount(data: dict[str, Any], *, on_click: Callable[[], None]) -> None:
    """Start the follower with its settings. on_click runs after a click on the frontier."""
    _COMPONENT(key=KEY, data=data, on_alive_change=_nothing, on_clicked_change=on_click)


def send_traces(sent: Mapping[int, bytes], *, first: int) -> None:
    """Send the traces of all bit widths, that of `first` alone before the others.

    Streamlit sends a browser no message that it has already, so a run in which nothing changed
    costs little. For that, `first` must stay the same while the traces do.
    """
    others = b"".join(chunk for bits, chunk in sent.items() if bits != first)
    with st.container(key="explore_traces", gap=None):
        _RECEIVER(key="explore_traces_first", data=sent.get(first, b""), height="content")
        _RECEIVER(key="explore_traces_others", data=others, height="content")


def send_bounds(view: View, found: Mapping[str, Any]) -> None:
    """Send the bounds of all bit widths, from `bands.payload`."""
    data = {**found, "id": payload.bounds_id(view)}
    _RECEIVER(key="explore_bounds", data=data, height="content")


def place(view: View) -> str:
    """The end of the key of an element that only Python can draw: bit width and thresholds.

    The follower fades the element while the sliders are elsewhere.
    """
    return "_".join(map(str, [view.bits, *(round(STEPS * one) for one in view.thresholds)]))


def is_alive() -> bool:
    """True once the script has drawn in this browser; until then Python redraws every figure."""
    return bool(st.session_state.get(KEY, {}).get("alive"))


def clicked_point(exits: Mapping[int, int]) -> tuple[int, tuple[float, ...]] | None:
    """Bit width and thresholds of the clicked point; None for unexpected data.

    Args:
        exits: bit width → number of early exits.
    """
    sent = st.session_state[KEY].get("clicked")
    if not isinstance(sent, list) or not sent:
        return None
    if not all(isinstance(value, int | float) for value in sent):
        return None
    bits, *thresholds = sent
    if exits.get(bits) != len(thresholds) or not all(0 <= value <= 1 for value in thresholds):
        return None
    return int(bits), tuple(float(value) for value in thresholds)


def _nothing() -> None:
    """Without a listener the component would not keep its state."""
