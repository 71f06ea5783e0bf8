"""The app frame's state of a session, and every step from one view to the next.

A page only asks for what is chosen:

    view = session.current()        # drawn by app.py before the page runs
    view.network, view.bits, view.variant, view.thresholds, view.measure, view.profile, …

The values of the widgets are in `st.session_state` under their keys, which are those of
`View.widgets`; the functions here are the only ones that set them.

Every whole run ends in one address, of the view and of the page's own part, so that one press of
Back undoes one change (see `hybrid.ui.address`). For a new control that is in the address:

    1. a field of `View`, with a row in `CHOICES` if it is one of several values;
    2. a widget in `hybrid.ui.controls` whose key is the field's name, without `bind`;
    3. to set it from a button: `session.change(field=value)` in a callback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hybrid.ui import address, cache
from hybrid.ui.view import DEFAULT_THRESHOLD, Offers, Reading, View, on_grid, slider_keys

__all__ = [
    "Session",
    "asked",
    "can_undo",
    "carried",
    "carry",
    "change",
    "change_mode",
    "current",
    "finish_run",
    "follow_with",
    "go_to",
    "has_begun",
    "keep",
    "keep_for_next_page",
    "move_sliders",
    "preset",
    "preset_bits",
    "preset_thresholds",
    "reset",
    "resume",
    "undo",
    "visit",
    "write_address",
]

CARRIED = ("kept",)  # names of the texts that links carry besides the view
_TOLD = 2  # whole runs of a page in which the browser is sent the values of the controls
_KEY = "session"
_STEPS_BACK = 100

Point = tuple[int, str, tuple[float, ...]]  # bit width, slider mode and thresholds of a view


@dataclass(kw_only=True)
class Session:
    """The app frame's state between the runs of a session, besides the widgets' values.

    opened: the view that its link described: the first one, or that of Back or Forward. problems:
    the errors in that link, until a control is moved. page: the page that ran last. runs: whole
    runs of it since it was opened. follows: a page and its fragments that run again when a slider
    moves. asked: the link that the present run must show, if any. part: the page's own part of the
    address; None until this run has written it. planned: what a button changes on the next page.
    past: what undo goes back to, the latest last. remembered: the last value of each exit's slider.
    carried: texts that the address carries on every page besides the view, by the names of CARRIED.
    """

    view: View
    opened: View
    problems: tuple[str, ...]
    page: str
    runs: int = _TOLD
    follows: tuple[str, tuple[str, ...]] | None = None
    asked: Mapping[str, str] | None = None
    part: Mapping[str, str] | None = None
    planned: Mapping[str, Any] = field(default_factory=dict)
    past: list[Point] = field(default_factory=list)
    remembered: dict[str, float] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)


def current() -> View:
    """The view that the app frame drew in this run; a page starts from it."""
    return _session().view


def has_begun() -> bool:
    """Whether the session's link was read."""
    return _KEY in st.session_state


def asked() -> Mapping[str, str] | None:
    """The link that this run must show; None if it was begun by a control or a link to a page."""
    return _session().asked


def resume(link: Mapping[str, str] | None, offers: Offers) -> tuple[str, ...]:
    """Begin a whole run; returns the problems of the last link that are still shown.

    Args:
        link: the session's first, or that of Back or Forward; None in any other run.
        offers: the choices on this machine.
    """
    if link is not None:
        _adopt(View.read(link, offers))
        _session().carried = {name: link[name] for name in CARRIED if link.get(name)}
    now = _session()
    now.asked, now.part = link, None
    now.follows = None  # the page registers its fragments again
    if now.planned:
        change(**now.planned)
        now.planned = {}
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
        now = _session()
        now.runs += 1
        if now.part is None:
            write_address({})  # the page ended early


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
    """Make the view that the controls show the current one."""
    now = _session()
    before, now.view = now.view, view
    if before.network != view.network:
        now.past.clear()  # its bit widths and exits are others
        now.remembered.clear()
    elif _point(before) != _point(view):
        now.past.append(_point(before))
        del now.past[:-_STEPS_BACK]
    if not view.together:
        now.remembered |= dict(zip(slider_keys(view), view.thresholds, strict=True))


def write_address(part: Mapping[str, str]) -> None:
    """Write the view and a page's own part into the address, so that a copied link opens them.

    A page with a part of its own calls this once, after its controls; for the others the app frame
    does.
    """
    now = _session()
    now.part = part
    address.show(_query())


def carried(name: str) -> str:
    """A text that the address carries besides the view; empty without one."""
    return _session().carried.get(name, "")


def carry(name: str, text: str) -> None:
    """Let the address carry a text on every page, empty for none; only from a callback."""
    now = _session()
    now.carried = {key: value for key, value in (now.carried | {name: text}).items() if value}
    address.change(_query())


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
    widths = cache.offers().widths(now.view.network, now.view.form)
    if widths.get(bits) != now.view.early_exits:
        return None  # this bit width needs other sliders
    values = tuple(on_grid(state[key]) for key in slider_keys(now.view))
    values *= now.view.early_exits // len(values)
    keep(replace(now.view, bits=bits, thresholds=values))
    address.change(_query())
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


def can_undo() -> bool:
    """Whether there is a change of bit width or sliders to take back."""
    return bool(_session().past)


def undo() -> None:
    """Take back the last change of bit width or sliders; only from a callback."""
    now = _session()
    if now.past:
        bits, sliders, thresholds = now.past.pop()
        _set(replace(now.view, bits=bits, sliders=sliders, thresholds=thresholds))


def reset() -> None:
    """Set bit width and sliders to what a link without them opens; only from a callback."""
    now = current()
    start = View.read({"network": now.network, "form": now.form}, cache.offers()).view
    change(bits=start.bits, sliders=start.sliders, thresholds=start.thresholds)


def go_to(bits: int, thresholds: tuple[float, ...], *, together: bool = False) -> None:
    """Move bit width and sliders there; only from a callback, before widgets are drawn."""
    change(
        bits=bits,
        thresholds=tuple(on_grid(value) for value in thresholds),
        sliders="one" if together else "each",
    )


def change(**fields: Any) -> None:
    """Set these fields of the view; only from a callback, before widgets are drawn."""
    there = replace(current(), **fields)
    keep(there)
    _set(there)


def keep_for_next_page(**fields: Any) -> None:
    """Set these fields of the view once another page has been opened.

    Set at once, they would also change the page that is left, and Back would not lead to it as it
    was.
    """
    _session().planned = fields


def _adopt(reading: Reading) -> None:
    view = reading.view
    if not has_begun():
        st.session_state[_KEY] = Session(view=view, opened=view, problems=(), page=_page())
    now = _session()
    now.opened, now.problems = view, reading.problems
    _set(view)


def _set(view: View) -> None:
    _session().view = view
    for key, value in view.widgets.items():
        st.session_state[key] = value


def _query() -> dict[str, str]:
    now = _session()
    return now.view.write() | now.carried | dict(now.part or {})


def _point(view: View) -> Point:
    return view.bits, view.sliders, view.thresholds


def _session() -> Session:
    session: Session = st.session_state[_KEY]
    return session


def _page() -> str:
    context = get_script_run_ctx()
    return context.page_script_hash if context else ""
