"""The frame around every page: set-up, shared controls, and the one place that shows errors.

app.py calls `set_up`, then `frame`, then runs the page inside `guard`. A page calls

    view = session.current()                       # the values of the shared controls
    try:
        trace = cache.trace(view.network, view.variant, DEFAULT_SPLIT)
    except (DataMissingError, TraceError) as error:
        app_frame.missing_trace(view, error)     # shows the reason, and offers a way out
        return

and nothing else from this module; it need not catch any other HybridError.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hybrid.errors import HybridError
from hybrid.ui import address, cache, controls, recording, session, toolbar, uploads
from hybrid.ui.view import View

__all__ = [
    "empty",
    "finish_run",
    "frame",
    "guard",
    "is_local",
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


def frame(page: str, *, folded: bool = False, own_part: bool = False) -> View | None:
    """Draw the shared controls and return the view they make; None if there is no network.

    Args:
        page: last part of the page's path.
        folded: put the thresholds into an expander, for a page that does not need them.
        own_part: the page has a part of its own in the address, and writes it.
    """
    offers = cache.offers()
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
        st.warning(problem, icon=":material/link_off:")
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


def is_local() -> bool:
    """Whether the browser runs on the server's machine; then it may name folders there."""
    return is_loopback(st.context.ip_address) and "X-Forwarded-For" not in st.context.headers


def is_loopback(address: str | None) -> bool:
    """Whether an address is this machine's own; Streamlit gives None for some of those.

    >>> is_loopback(None), is_loopback("::ffff:127.0.0.1"), is_loopback("192.168.1.7")
    (True, True, False)
    """
    try:
        parsed = ip_address(address or "127.0.0.1")
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback


@contextmanager
def guard() -> Iterator[None]:
    """Show a HybridError as its sentence; the rest of the page stays usable."""
    try:
        yield
    except HybridError as error:
        st.error(str(error), icon=":material/error:")


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
        "The folder of pretrained networks is empty. Train a network, or set HYBRID_PRETRAINED to "
        "another folder, and reload this page.",
        title="No network here yet",
        icon=":material/deployed_code:",
    )
    st.code("hybrid train digits-vgg", language="bash")


def finish_run() -> None:
    """Last line of app.py: the page is complete."""
    toolbar.mount()
    _LINKS.pop(_session_id(), None)
    session.finish_run()
    _freeze()


@st.cache_resource(max_entries=1, show_spinner=False)
def _freeze() -> None:
    """After the first page is drawn: exclude everything loaded so far from garbage collection.

    A collection that scans all imported modules was measured at 120 ms. For the same reason,
    .streamlit/config.toml lets Python decide when to collect, instead of after every run.
    """
    gc.collect()
    gc.freeze()


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
