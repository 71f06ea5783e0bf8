"""Groups of widgets that return plain values; each widget has a key that stays.

The shell draws them once per run, in app.py, so that they keep their values on every page. A page
that wants one of its own takes a key with the page's name in front, as in `explore_table`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hybrid.ui import cache, palette, session
from hybrid.ui.session import (
    DEFAULT_SPLIT,
    DEFAULT_THRESHOLD,
    STEPS,
    Offers,
    View,
    on_grid,
    slider_keys,
)

__all__ = ["MEASURE_WORDS", "choices", "go_to", "preset", "redraw_only", "thresholds"]

MEASURE_WORDS = {
    "max_probability": "Highest probability",
    "margin": "Margin",
    "entropy": "Entropy",
}
_MODE_WIDTH = 0.19  # of the row, whatever the number of sliders: the control must not be cut
_SCOPE_HELP = (
    "**compute**: multiply-accumulates on both sides of the cut.  \n"
    "**compute + memory**: besides, each layer reads its weights and inputs and writes its "
    "outputs once.  \n"
    "**device**: edge compute, memory and radio; the cloud is free to the battery, and the "
    "comparison is with sending the raw image."
)
_MEASURE_HELP = (
    "What an exit calls confidence, from 0 to 1: the probability of the likeliest class; the "
    "margin between the two likeliest; or 1 − entropy / ln(classes)."
)


def preset(view: View, *, again: bool = False) -> None:
    """Let widgets start from a view where they have no value: a client may send none.

    Args:
        again: tell the browser once more what the others stand at.
    """
    values: dict[str, Any] = {
        "network": view.network,
        "bits": view.bits,
        "measure": view.measure,
        "profile": view.profile,
        "link": view.link,
        "scope": view.scope,
        "split": view.split,
        "sliders": "one" if view.together else "each",
    } | dict(zip(slider_keys(view), view.thresholds, strict=False))
    state = st.session_state
    for key, value in values.items():
        held = state.get(key)
        if held is None or again:
            state[key] = value if held is None else held


def choices(offers: Offers) -> dict[str, Any]:
    """Network, bit width, measure, profiles and scope, as fields of a View."""
    chosen: dict[str, Any] = {
        "network": st.selectbox("Network", list(offers.early_exits), key="network")
    }
    chosen["bits"] = _bits(list(offers.early_exits[chosen["network"]]))
    chosen["split"] = _split(offers.splits_of(chosen["network"]))
    scope = st.segmented_control(
        "Energy scope", offers.scopes, key="scope", required=True, help=_SCOPE_HELP, wrap=True
    )
    # A client that reconnects may send no value for it.
    chosen["scope"] = scope or offers.scopes[0]
    chosen["profile"] = st.selectbox(
        "Hardware profile",
        offers.profiles,
        key="profile",
        help="What a multiply-accumulate and a memory access cost. Published models differ.",
    )
    # Below it, since a title is wider than a select box of the sidebar and would be cut there.
    st.caption(cache.profile_title(chosen["profile"]))
    chosen["link"] = st.selectbox(
        "Link profile",
        offers.links,
        key="link",
        help="What sending a bit costs and how long it takes.",
    )
    st.caption(cache.link_title(chosen["link"]))
    chosen["measure"] = st.selectbox(
        "Confidence measure",
        offers.measures,
        key="measure",
        format_func=lambda name: MEASURE_WORDS.get(name, name),
        help=_MEASURE_HELP,
    )
    return chosen


def thresholds(exits: int, choice: Mapping[str, Any]) -> View:
    """One slider per early exit, or one for all; the view that they complete.

    Args:
        choice: the other fields of the view, from `choices`.
    """
    sliders = _sliders(exits)
    widths = [*([(1 - _MODE_WIDTH) / sliders] * sliders), _MODE_WIDTH]
    *columns, last = st.columns(widths, vertical_alignment="bottom")
    with last:
        mode = st.segmented_control(
            "Thresholds",
            ("each", "one"),
            key="sliders",
            required=True,
            format_func=lambda mode: {"each": "Per exit", "one": "One for all"}[mode],
            on_change=_change_mode,
            args=(exits,),
            label_visibility="collapsed",
            wrap=True,
        )
    blank = View(thresholds=(0.0,) * exits, together=mode == "one", **choice)
    values = []
    for number, (key, column) in enumerate(zip(slider_keys(blank), columns, strict=False)):
        with column:
            values.append(_slider(key, number, blank))
    chosen = tuple(values * exits) if blank.together else tuple(values)
    return View(thresholds=chosen, together=blank.together, **choice)


def go_to(bits: int, values: tuple[float, ...]) -> None:
    """Move bit width and sliders there; only from a callback, before widgets are drawn."""
    st.session_state["bits"] = bits
    st.session_state["sliders"] = "each"
    for number, value in enumerate(values):
        st.session_state[f"t{number + 1}"] = on_grid(value)


def redraw_only(*fragments: str) -> None:
    """Let a moved slider run only these fragments again, until the whole page runs the next time.

    To be called at the end of a page. Where a link's mistakes are said, a move still runs all of
    it, and they go.
    """
    if not st.session_state["link_problems"]:
        st.session_state["redrawn"] = (_page(), fragments)


def _moved(exits: int) -> None:
    """Take the sliders' values over, and run only what the page says follows them."""
    state = st.session_state
    view, (page, fragments) = session.current(), state.get("redrawn", (None, ()))
    others = _chosen(view).items()
    if page != _page() or any(state.get(key) not in {None, value} for key, value in others):
        st.rerun()  # of another page, or something else was changed with it
    values = [on_grid(state[key]) for key in slider_keys(view)]
    state["view"] = replace(view, thresholds=tuple(values * exits if view.together else values))
    st.rerun(fragments)


def _page() -> str:
    context = get_script_run_ctx()
    return context.page_script_hash if context else ""


def _chosen(view: View) -> dict[str, Any]:
    """Keys and values of the controls beside the sliders."""
    return {
        "network": view.network,
        "bits": view.bits,
        "measure": view.measure,
        "profile": view.profile,
        "link": view.link,
        "scope": view.scope,
        "split": view.split,
        "sliders": "one" if view.together else "each",
    }


def _sliders(exits: int) -> int:
    return 1 if st.session_state.get("sliders") == "one" else exits


def _bits(offered: list[int]) -> int:
    if st.session_state.get("bits") not in offered:
        # The network was changed, and this one has other bit widths.
        wished = st.session_state.get("bits", offered[0])
        st.session_state["bits"] = min(offered, key=lambda bits: abs(bits - wished))
    bits = st.segmented_control(
        "Bit width of the edge",
        offered,
        key="bits",
        required=True,
        help="Bits of weights and activations of the quantized edge; Networks tells the cloud's.",
        wrap=True,
    )
    return int(bits or offered[0])


def _split(offered: tuple[str, ...]) -> str:
    """The split that the figures are of; nothing is drawn where there is only one."""
    if st.session_state.get("split") not in offered:
        st.session_state["split"] = offered[0]  # another network, or it was deleted
    if len(offered) == 1:
        return offered[0]
    return st.selectbox(
        "Images",
        offered,
        key="split",
        format_func=lambda name: "Test split" if name == DEFAULT_SPLIT else f"Yours: {name}",
        help="What the figures of Explore are of: the test split, or a split of your own.",
    )


# A fragment, since Streamlit forgets downloads and pictures outside those that run again only
# where a whole run was asked for.
@st.fragment
def _slider(key: str, number: int, blank: View) -> float:
    exit_name = f":{palette.exit_markdown(number)}[●] Exit {number + 1}"
    name = "All exits" if blank.together else exit_name
    value: float = st.slider(
        f"{name} threshold",
        min_value=0.0,
        max_value=1.0,
        value=DEFAULT_THRESHOLD,
        step=1 / STEPS,
        format="%.4f",
        key=key,
        bind="query-params",
        on_change=_moved,
        args=(blank.early_exits,),
        help="A sample leaves here when its confidence is at least this.",
    )
    return on_grid(value)


def _change_mode(exits: int) -> None:
    """Carry the values over: one for all starts at exit 1's, per exit at the common one."""
    state = st.session_state
    if state["sliders"] == "one":
        state["t"] = state.get("t1", DEFAULT_THRESHOLD)
    else:
        for number in range(exits):
            state[f"t{number + 1}"] = state.get("t", DEFAULT_THRESHOLD)
