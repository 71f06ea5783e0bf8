"""The toolbar of every figure: what plotly.js offers, and a button that saves SVG.

Streamlit hands plotly.js its settings as JSON, which has no functions, so another button cannot be
among them. A small script adds it in the browser; without the script, PNG remains.
"""

from pathlib import Path

import streamlit as st

__all__ = ["mount"]

_COMPONENT = st.components.v2.component(
    "hybrid_toolbar",
    html="<div></div>",
    css="div { display: none; }",
    js=(Path(__file__).parent / "toolbar.js").read_text(encoding="utf-8"),
)


def mount() -> None:
    """Start the script; once per page is enough for all its figures."""
    _COMPONENT(key="toolbar")
