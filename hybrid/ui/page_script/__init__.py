"""The script and style that all pages share: for the sliders' box, and the toolbar of every figure.

Streamlit hands plotly.js its settings as JSON, which has no functions, so a button that saves SVG
cannot be among them. A small script adds it in the browser; without the script, PNG remains. One
component has it all: each takes a browser 30 ms at the start.
"""

from pathlib import Path

import streamlit as st

__all__ = ["mount"]

_FOLDER = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "hybrid_page",
    html="<span hidden></span>",
    css=(_FOLDER / "page_script.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "page_script.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def mount() -> None:
    """Start it; once per page is enough."""
    _COMPONENT(key="page_script")
