"""The frame around every page: set-up and shared controls.

app.py calls `set_up`, then `frame`, then runs the page inside `guard.guard`. A page
calls

    view = session.current()                       # the values of the shared controls
    try:
        trace = cache.trace(view.network, view.variant, DEFAULT_SPLIT)
    except (DataMissingError, TraceError) as error:
        app_frame.missing_trace(view, error)     # shows the reason, and offers a way out
        return

and nothing else from this module; it need not catch any other HybridError.
"""

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

import hybrid.ui.server.whole  # noqa: F401  # before everything that uses what it imports
from hybrid import zoo
from hybrid.errors import HybridError
from hybrid.text.plain import plain
from hybrid.ui import address, cache, controls, recording, session, uploads
from hybrid.ui.server import limits
from hybrid.ui.view import View

__all__ = [
    "empty",
    "finish_run",
    "frame",
    "mark_framed",
    "missing_trace",
    "open_page",
    "set_up",
    "through_app",
]

ICON = Path(__file__).parent / "icon.png"  # a Material icon would be fetched from another server
_SESSIONS = 1000  # how many sessions' links are remembered
_LINKS: dict[str, dict[str, str]] = {}  # by session, until its first run is complete


def set_up() -> None:
    """Title and layout of the browser's page."""
    _remember_link()
    uploads.keep_on_disk()
    st.set_page_config(
        page_title="hybrid",
        page_icon=str(ICON),
        layout="wide",
        initial_sidebar_state=300,
    )
    limits.refuse_too_many()


def frame(page: str, *, folded: bool = False, own_part: bool = False) -> View | None:
    """Draw the shared controls and return the view they make; None if there is no network.

    Args:
        page: last part of the page's path.
        folded: put the thresholds into an expander, for a page that does not need them.
        own_part: the page has a part of its own in the address, and writes it.
    """
    offers = cache.offers()
    for network in zoo.networks():
        if problem := cache.card_problem(network):
            st.warning(plain(problem), icon=":material/broken_image:")
    if not offers.early_exits:
        empty()
        return None
    link = address.returned() if session.has_begun() else _LINKS.get(_session_id(), {})
    address.open_(page, again=link is not None)
    problems = session.resume(link, offers)
    session.preset(again=session.visit())
    with st.sidebar:
        choice = controls.choices(offers)
    for problem in problems:
        st.warning(plain(problem), icon=":material/link_off:")
    view = controls.sliders(offers, choice, folded=folded)
    if not own_part:
        session.write_address({})
    return view


def mark_framed() -> None:
    """Tell the page about to run that app.py has framed it."""
    st.session_state["framed"] = True


def through_app(page: str) -> None:
    """First line of every page: go through app.py if this run has not.

    Until the server's first `st.navigation`, Streamlit treats each file in pages/ as a separate
    app. So if a server's first request is for a page, the page would run without its frame.

    Args:
        page: `__file__` of the page.
    """
    if not st.session_state.pop("framed", False):
        # The page must not be the default one, which has no separate address.
        st.navigation([st.Page(set_up, default=True), st.Page(page)], position="hidden")
        st.rerun()


def missing_trace(view: View, error: HybridError) -> None:
    """Show that this bit width has no usable trace, and record one if possible."""
    recording.missing_trace(view.network, view.variant, error, view.split)


def open_page(name: str, **fields: Any) -> None:
    """Go to another page with the current view, after a click on a button.

    `st.switch_page` keeps the address as it is: any other would first become a further entry of the
    page that is left.

    Args:
        name: the page's file, without its ending.
        fields: of the view, to be set on that page.
    """
    session.keep_for_next_page(**fields)
    st.switch_page(f"pages/{name}.py", query_params=address.shown())


def empty() -> None:
    """Show that there is no network at all, and how to get one."""
    st.info(
        "The folder of pretrained networks has none that can be read. Train a network, or set "
        "HYBRID_PRETRAINED to another folder, and reload this page.",
        title="No network here yet",
        icon=":material/deployed_code:",
    )
    st.code("hybrid train digits-vgg", language="bash")


def finish_run() -> None:
    """Last line of app.py: the page is complete."""
    _LINKS.pop(_session_id(), None)
    session.finish_run()


def _remember_link() -> None:
    """Save the link of the session's first request.

    A change of page empties the address, and it can end the first run early, at any access to the
    session and at any drawing. So this must come before all of those.
    """
    context = get_script_run_ctx()
    if context is None or context.session_id in _LINKS:
        return
    while len(_LINKS) >= _SESSIONS:
        _LINKS.pop(next(iter(_LINKS)), None)
    _LINKS[context.session_id] = address.query_of(context.query_string)


def _session_id() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""
