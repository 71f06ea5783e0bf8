"""Shows a HybridError as its sentence, where a page or a fragment is drawn.

with guard(): page.run()

@st.fragment
@guarded                # below st.fragment: it runs without the rest of the page, and app.py
def draw() -> None: …
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

from hybrid.errors import HybridError
from hybrid.text.plain import plain

__all__ = ["guard", "guarded"]

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def guard() -> Iterator[None]:
    """Show a HybridError as its sentence; the rest of the page stays usable."""
    try:
        yield
    except HybridError as error:
        _show(error)


def guarded(draw: Callable[P, R]) -> Callable[P, R | None]:
    """A function whose HybridError is shown like one of `guard`; it then returns None."""

    @wraps(draw)
    def inside(*args: P.args, **named: P.kwargs) -> R | None:
        try:
            return draw(*args, **named)
        except HybridError as error:
            _show(error)
            return None

    return inside


def _show(error: HybridError) -> None:
    st.error(plain(str(error)), icon=":material/error:")
