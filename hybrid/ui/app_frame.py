"""The frame around every page: set-up, shared controls, and the one place errors become words.

app.py calls `set_up`, then `frame`, then runs the page inside `guard`. A page calls

    view = session.current()                       # what the shared controls say
    try:
        trace = cache.trace(view.network, view.variant)
    except (DataMissingError, TraceError) as error:
        shell.missing_trace(view, error)         # says so, and offers what helps
        return

and nothing else of this module; any other HybridError may simply rise.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import parse_qsl

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hybrid.errors import HybridError
from hybrid.ui import cache, controls, recording, session
from hybrid.ui.session import Offers, View

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

ICON = Path(__file__).parent / "icon.png"  # a Material icon would be fetched from elsewhere
_TOLD = 2  # whole runs of a page in which the browser is told what the controls stand at
_SESSIONS = 1000  # whose links are remembered
_LINKS: dict[str, dict[str, str]] = {}  # by session, until a first run has come to its end


def set_up() -> None:
    """Title and layout of the browser's page."""
    _remember_link()
    st.set_page_config(
        page_title="hybrid",
        page_icon=str(ICON),
        layout="wide",
        initial_sidebar_state=300,
    )


def frame(*, folded: bool = False) -> View | None:
    """Draw the shared controls, keep what they say, and return it; None where nothing is there.

    Args:
        folded: put the sliders into an expander, on a page that does not need them.
    """
    offers = cache.offers()
    if not offers.early_exits:
        empty()
        return None
    st.session_state.pop("redrawn", None)  # the page says it anew
    problems = _read_address(offers)
    controls.preset(st.session_state["view"], again=_page_is_new())
    with st.sidebar:
        choice = controls.choices(offers)
    for problem in problems:
        st.warning(problem, icon=":material/link_off:")
    exits = offers.early_exits[choice["network"]][choice["bits"]]
    holder = (
        st.expander("Thresholds", icon=":material/tune:")
        if folded
        else st.container(border=True, key="thresholds")
    )
    with holder:
        view = controls.thresholds(exits, choice)
    session.keep(view)
    return view


def mark_framed() -> None:
    """Tell the page about to run that app.py has framed it."""
    st.session_state["framed"] = True


def through_app(page: str) -> None:
    """First line of every page: go through app.py where this run has not.

    Until a server's first `st.navigation`, Streamlit takes each file in pages/ for an app of its
    own, so a link to a page that is the server's first request would run it without its frame.

    Args:
        page: `__file__` of the page.
    """
    if not st.session_state.pop("framed", False):
        # The page must not be the default one: that has no address of its own.
        st.navigation([st.Page(set_up, default=True), st.Page(page)], position="hidden")
        st.rerun()


def is_local() -> bool:
    """Whether the browser runs on the machine of this server, which may then name its folders."""
    return is_loopback(st.context.ip_address) and "X-Forwarded-For" not in st.context.headers


def is_loopback(address: str | None) -> bool:
    """Whether an address is this machine's own; Streamlit says None of those it knows itself.

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
    """Turn a HybridError into its sentence; the rest of the page stays usable."""
    try:
        yield
    except HybridError as error:
        st.error(str(error), icon=":material/error:")


def missing_trace(view: View, error: HybridError) -> None:
    """Say that this bit width has no trace that can be used, and record one where that can be."""
    recording.missing_trace(view.network, view.variant, error, view.split)


def open_page(name: str) -> None:
    """Go to another page with the present view; what a button does when it was clicked.

    The address is given here, without the sliders: `st.switch_page` would empty it, which it
    refuses where a slider is bound to it. They write their own part on the next page.
    """
    written = session.current().write()
    kept = {key: written[key] for key in (*session.CHOICES, "split") if key in written}
    st.switch_page(f"pages/{name}.py", query_params=kept)


def empty() -> None:
    """Say that there is no network at all, and how to get one."""
    st.info(
        "The folder of pretrained networks is empty. Train a network, or name another folder in "
        "HYBRID_PRETRAINED, and reload this page.",
        title="No network here yet",
        icon=":material/deployed_code:",
    )
    st.code("hybrid train digits-vgg", language="bash")


def finish_run() -> None:
    """Last line of app.py: the page is whole."""
    _LINKS.pop(_session(), None)
    if "page_runs" in st.session_state:
        st.session_state["page_runs"] += 1
    _freeze()


@st.cache_resource(max_entries=1, show_spinner=False)
def _freeze() -> None:
    """After the first page is drawn: keep what is loaded out of the garbage collector's rounds.

    Going through all imported modules was measured at 120 ms a round. For the same reason
    .streamlit/config.toml leaves it to Python when to collect, not after every run.
    """
    gc.collect()
    gc.freeze()


def _read_address(offers: Offers) -> tuple[str, ...]:
    """On a session's first run, start from its link; what it has wrong stays said until a move."""
    state = st.session_state
    if "view" not in state:
        link = _LINKS.get(_session(), {})
        if st.query_params.to_dict() != link:
            st.query_params.from_dict(link)
        reading = View.read(link, offers)
        # At once: a change of page while this first run goes on empties the address.
        state["view"] = reading.view
        state["link_problems"] = reading.problems
        state["link_view"] = reading.view
    elif state["view"] != state["link_view"]:
        state["link_problems"] = ()
    problems: tuple[str, ...] = state["link_problems"]
    return problems


def _remember_link() -> None:
    """Keep what the session's first request asked for.

    A change of page empties the address, and it can cut the first run short wherever that touches
    the session or draws: nothing of that may come before this.
    """
    context = get_script_run_ctx()
    if context is None or context.session_id in _LINKS:
        return
    while len(_LINKS) >= _SESSIONS:
        _LINKS.pop(next(iter(_LINKS)), None)
    _LINKS[context.session_id] = dict(parse_qsl(context.query_string, keep_blank_values=True))


def _session() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""


def _page_is_new() -> bool:
    """Whether the session came to this page from another a moment ago.

    Then the browser may have drawn the controls at their defaults: what told it better belonged to
    the run before, and its next click would send these.
    """
    state, context = st.session_state, get_script_run_ctx()
    page = context.page_script_hash if context else ""
    if state.get("page", page) != page:
        state["page_runs"] = 0
    state["page"] = page
    return bool(state.setdefault("page_runs", _TOLD) < _TOLD)
