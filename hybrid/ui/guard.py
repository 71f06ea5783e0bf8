"""Shows a HybridError as its sentence, where a page or a fragment is drawn or a widget is used.

with guard(): page.run()

@st.fragment
@guarded                # below st.fragment: it runs without the rest of the page, and app.py
def draw() -> None: …

@callback               # of a widget; it runs before what is drawn, so its sentence is shown there
def delete() -> None: …
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

from hybrid.errors import HybridError
from hybrid.text.plain import plain

__all__ = ["callback", "guard", "guarded"]

_LEFT = "a callback's error"

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def guard() -> Iterator[None]:
    """Show a HybridError as its sentence; the rest of the page stays usable."""
    _show_left()
    try:
        yield
    except HybridError as error:
        _show(str(error))


def guarded(draw: Callable[P, R]) -> Callable[P, R | None]:
    """A function whose HybridError is shown like one of `guard`; it then returns None."""

    @wraps(draw)
    def inside(*args: P.args, **named: P.kwargs) -> R | None:
        _show_left()
        try:
            return draw(*args, **named)
        except HybridError as error:
            _show(str(error))
            return None

    return inside


def callback(react: Callable[P, None]) -> Callable[P, None]:
    """A callback whose HybridError is shown first by the run that follows it."""

    @wraps(react)
    def inside(*args: P.args, **named: P.kwargs) -> None:
        try:
            react(*args, **named)
        except HybridError as error:
            st.session_state[_LEFT] = str(error)

    return inside


def _show_left() -> None:
    sentence: str | None = st.session_state.pop(_LEFT, None)
    if sentence is not None:
        _show(sentence)


def _show(sentence: str) -> None:
    st.error(plain(sentence), icon=":material/error:")
