"""The app frame's state of a session, and every step from one view to the next.

A page only asks for what is chosen:

    view = session.current()        # drawn by app.py before the page runs
    view.network, view.bits, view.variant, view.thresholds, view.measure, view.profile, …

The values of the widgets are in `st.session_state` under their keys, which are those of
`View.widgets`; the functions here are the only ones that set them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hybrid.ui import cache
from hybrid.ui.view import CHOICES, DEFAULT_THRESHOLD, Reading, View, on_grid, slider_keys

__all__ = [
    "Session",
    "address",
    "begin",
    "can_undo",
    "change_mode",
    "current",
    "finish_run",
    "follow_with",
    "go_to",
    "has_begun",
    "keep",
    "move_sliders",
    "preset",
    "preset_bits",
    "preset_thresholds",
    "reset",
    "resume",
    "show_split",
    "undo",
    "visit",
]

_TOLD = 2  # whole runs of a page in which the browser is sent the values of the controls
_KEY = "session"
_STEPS_BACK = 100

Point = tuple[int, str, tuple[float, ...]]  # bit width, slider mode and thresholds of a view


@dataclass(kw_only=True)
class Session:
    """The app frame's state between the runs of a session, besides the widgets' values.

    opened: the view that its first link described. problems: the errors in that link, until a
    control is moved. page: the page that ran last. runs: whole runs of it since it was opened.
    follows: a page and its fragments that run again when a slider moves. past: what undo goes back
    to, the latest last. remembered: the last value of each exit's slider.
    """

    view: View
    opened: View
    problems: tuple[str, ...]
    page: str
    runs: int = _TOLD
    follows: tuple[str, tuple[str, ...]] | None = None
    past: list[Point] = field(default_factory=list)
    remembered: dict[str, float] = field(default_factory=dict)


def current() -> View:
    """The view that the app frame drew in this run; a page starts from it."""
    return _session().view


def has_begun() -> bool:
    """Whether the session's link was read."""
    return _KEY in st.session_state


def begin(link: Reading) -> None:
    """Start from the session's link.

    This is done in one step, because a change of page during the first run empties the address.
    """
    st.session_state[_KEY] = Session(
        view=link.view, opened=link.view, problems=link.problems, page=_page()
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
    before, _session().view = _session().view, view
    _remember_change(before)
    wanted = address()
    if "split" in st.query_params and "split" not in wanted:
        del st.query_params["split"]
    if any(st.query_params.get(key) != value for key, value in wanted.items()):
        st.query_params.update(wanted)


def address() -> dict[str, str]:
    """The current view's part of the address, without the sliders."""
    return {key: text for key, text in current().write().items() if key in CHOICES}


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
    others = [(key, value) for key, value in now.view.choices.items() if key != "bits"]
    if page != _page() or any(state.get(key) not in {None, value} for key, value in others):
        return None  # the fragments are another page's, or something else changed too
    bits = state.get("bits", now.view.bits)
    exits = cache.offers().early_exits[now.view.network]
    if exits.get(bits) != now.view.early_exits:
        return None  # this bit width needs other sliders
    values = tuple(on_grid(state[key]) for key in slider_keys(now.view))
    values *= now.view.early_exits // len(values)
    keep(replace(now.view, bits=bits, thresholds=values))
    return fragments


def change_mode() -> None:
    """Let a shared slider start at exit 1's threshold, and each exit's where it was before."""
    state, now = st.session_state, _session()
    if state["sliders"] == "one":
        state["t"] = state.get("t1", DEFAULT_THRESHOLD)
    else:
        for number in range(now.view.early_exits):
            key = f"t{number + 1}"
            state[key] = now.remembered.get(key, state.get("t", DEFAULT_THRESHOLD))


def can_undo() -> bool:
    """Whether there is a change of bit width or sliders to take back."""
    return bool(_session().past)


def undo() -> None:
    """Take back the last change of bit width or sliders; only from a callback."""
    now = _session()
    if now.past:
        bits, sliders, thresholds = now.past.pop()
        _set_point(replace(now.view, bits=bits, sliders=sliders, thresholds=thresholds))


def reset() -> None:
    """Set bit width and sliders to what a link without them opens; only from a callback."""
    before = current()
    start = View.read({"network": before.network}, cache.offers()).view
    _set_point(replace(before, bits=start.bits, sliders=start.sliders, thresholds=start.thresholds))
    _remember_change(before)


def preset_bits(offered: Sequence[int]) -> int:
    """The bit width of the control: of those offered, the nearest to the last one."""
    wished: int = st.session_state.get("bits", current().bits)
    if wished not in offered:
        wished = min(offered, key=lambda bits: abs(bits - wished))  # another network
    st.session_state["bits"] = wished
    return wished


def preset_thresholds(keys: Sequence[str]) -> None:
    """Let sliders that come back start where they were."""
    for key, value in _session().remembered.items():
        if key in keys:
            st.session_state.setdefault(key, value)


def go_to(bits: int, thresholds: tuple[float, ...], *, together: bool = False) -> None:
    """Move bit width and sliders there; only from a callback, before widgets are drawn."""
    there = replace(
        current(),
        bits=bits,
        thresholds=tuple(on_grid(value) for value in thresholds),
        sliders="one" if together else "each",
    )
    before = current()
    _set_point(there)
    _remember_change(before)


def show_split(name: str) -> None:
    """Show this split on all pages; only from a callback."""
    st.session_state["split"] = name
    _session().view = replace(current(), split=name)


def _set_point(view: View) -> None:
    """Set bit width and sliders to those of a view."""
    for key in ("bits", "sliders", *slider_keys(view)):
        st.session_state[key] = view.widgets[key]
    _session().view = view


def _remember_change(before: View) -> None:
    """Note a change of bit width or sliders, so that it can be taken back."""
    now = _session()
    if before.network != now.view.network:
        now.past.clear()  # its bit widths and exits are others
        now.remembered.clear()
    elif _point(before) != _point(now.view):
        now.past.append(_point(before))
        del now.past[:-_STEPS_BACK]
    if not now.view.together:
        now.remembered |= dict(zip(slider_keys(now.view), now.view.thresholds, strict=True))


def _point(view: View) -> Point:
    return view.bits, view.sliders, view.thresholds


def _session() -> Session:
    session: Session = st.session_state[_KEY]
    return session


def _page() -> str:
    context = get_script_run_ctx()
    return context.page_script_hash if context else ""
