"""The app frame's state of a session, and every step from one view to the next.

A page only asks for what is chosen:

    view = session.current()        # drawn by app.py before the page runs
    view.network, view.bits, view.variant, view.thresholds, view.measure, view.profile, …

The values of the widgets are in `st.session_state` under their keys, which are those of
`View.widgets`; the functions here are the only ones that set them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hybrid.ui.view import CHOICES, DEFAULT_THRESHOLD, Reading, View, on_grid, slider_keys

__all__ = [
    "Session",
    "address",
    "begin",
    "carried",
    "carry",
    "change_mode",
    "current",
    "finish_run",
    "follow_with",
    "go_to",
    "has_begun",
    "keep",
    "move_sliders",
    "preset",
    "resume",
    "show",
    "show_split",
    "visit",
]

CARRIED = ("kept",)  # names of the texts that links carry besides the view
_TOLD = 2  # whole runs of a page in which the browser is sent the values of the controls
_KEY = "session"


@dataclass(kw_only=True)
class Session:
    """The app frame's state between the runs of a session, besides the widgets' values.

    opened: the view that its first link described. problems: the errors in that link, until a
    control is moved. page: the page that ran last. runs: whole runs of it since it was opened.
    follows: a page and its fragments that run again when a slider moves. carried: more texts of the
    address by name, which pages read and write.
    """

    view: View
    opened: View
    problems: tuple[str, ...]
    page: str
    runs: int = _TOLD
    follows: tuple[str, tuple[str, ...]] | None = None
    carried: dict[str, str] = field(default_factory=dict)


def current() -> View:
    """The view that the app frame drew in this run; a page starts from it."""
    return _session().view


def has_begun() -> bool:
    """Whether the session's link was read."""
    return _KEY in st.session_state


def begin(link: Reading, carried: Mapping[str, str]) -> None:
    """Start from the session's link.

    This is done in one step, because a change of page during the first run empties the address.

    Args:
        carried: texts of the link that are not the view's, by the names in `CARRIED`.
    """
    st.session_state[_KEY] = Session(
        view=link.view,
        opened=link.view,
        problems=link.problems,
        page=_page(),
        carried={name: text for name, text in carried.items() if name in CARRIED},
    )


def resume() -> tuple[str, ...]:
    """Begin a whole run; returns the problems of the session's link that are still shown."""
    now = _session()
    now.follows = None  # the page registers its fragments again
    if now.view != now.opened:
        now.problems = ()
    return now.problems


def visit() -> bool:
    """Note which page runs; True in the first runs after a change of page.

    In those runs the browser may show the controls at their defaults, because their values were
    sent in an earlier run. Its next click would then send the defaults.
    """
    now, page = _session(), _page()
    if now.page != page:
        now.page, now.runs = page, 0
    return now.runs < _TOLD


def finish_run() -> None:
    """Count a whole run of the page."""
    if has_begun():
        _session().runs += 1


def preset(*, again: bool = False) -> None:
    """Let widgets without a value start from the view; a client may send no values.

    Args:
        again: also send the browser the values of all other widgets again.
    """
    state = st.session_state
    for key, value in current().widgets.items():
        held = state.get(key)
        if held is None or again:
            state[key] = value if held is None else held


def keep(view: View) -> None:
    """Make this the current view and write it into the address, so that a copied link opens it.

    The sliders write their own part, because they are bound to the address in the browser.
    """
    _session().view = view
    wanted = address()
    if "split" in st.query_params and "split" not in wanted:
        del st.query_params["split"]
    if any(st.query_params.get(key) != value for key, value in wanted.items()):
        st.query_params.update(wanted)


def address() -> dict[str, str]:
    """The address without the sliders: the current view's choices, and what is carried."""
    shared = {key: text for key, text in current().write().items() if key in CHOICES}
    return shared | _session().carried


def carried(name: str) -> str:
    """A text that the address carries besides the view; empty without one."""
    return _session().carried.get(name, "")


def carry(name: str, text: str) -> None:
    """Let the address carry a text on every page; an empty one removes it."""
    _session().carried.pop(name, None)
    if text:
        _session().carried[name] = text
        st.query_params[name] = text
    elif name in st.query_params:
        del st.query_params[name]


def follow_with(*fragments: str) -> None:
    """Let a moved slider run only these fragments again, until the next run of the whole page.

    Call this at the end of a page. While a link's problems are shown, a moved slider still runs the
    whole page, which removes them.
    """
    if not _session().problems:
        _session().follows = (_page(), fragments)


def move_sliders() -> tuple[str, ...] | None:
    """Adopt the sliders' values; returns the fragments to run, or None for the whole page."""
    state, now = st.session_state, _session()
    page, fragments = now.follows or (None, ())
    others = now.view.choices.items()
    if page != _page() or any(state.get(key) not in {None, value} for key, value in others):
        return None  # the fragments are another page's, or something else changed too
    values = tuple(on_grid(state[key]) for key in slider_keys(now.view))
    values *= now.view.early_exits // len(values)
    now.view = replace(now.view, thresholds=values)
    return fragments


def change_mode() -> None:
    """Carry the values over: a shared slider starts at exit 1's, each exit's at the shared one."""
    state = st.session_state
    if state["sliders"] == "one":
        state["t"] = state.get("t1", DEFAULT_THRESHOLD)
    else:
        for number in range(current().early_exits):
            state[f"t{number + 1}"] = state.get("t", DEFAULT_THRESHOLD)


def go_to(bits: int, thresholds: tuple[float, ...], *, together: bool = False) -> None:
    """Move bit width and sliders there; only from a callback, before widgets are drawn."""
    there = replace(
        current(),
        bits=bits,
        thresholds=tuple(on_grid(value) for value in thresholds),
        sliders="one" if together else "each",
    )
    for key in ("bits", "sliders", *slider_keys(there)):
        st.session_state[key] = there.widgets[key]


def show(view: View) -> None:
    """Set every control to a view; only from a callback, before widgets are drawn."""
    st.session_state.update(view.widgets)


def show_split(name: str) -> None:
    """Show this split on all pages; only from a callback."""
    st.session_state["split"] = name
    _session().view = replace(current(), split=name)


def _session() -> Session:
    session: Session = st.session_state[_KEY]
    return session


def _page() -> str:
    context = get_script_run_ctx()
    return context.page_script_hash if context else ""
