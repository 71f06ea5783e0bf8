"""Groups of widgets that return plain values; each widget has a fixed key.

The app frame draws them once per run, so that they keep their values on every page. A page's own
widget has a key that begins with the page's name, as in `explore_table`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from hybrid.ui import cache, palette, session
from hybrid.ui.view import (
    DEFAULT_SPLIT,
    DEFAULT_THRESHOLD,
    SAME_AS_DEVICE,
    STEPS,
    Offers,
    View,
    on_grid,
    slider_keys,
)

__all__ = ["MEASURE_WORDS", "choices", "thresholds"]

MEASURE_WORDS = {
    "max_probability": "Highest probability",
    "margin": "Margin",
    "entropy": "Entropy",
}
_MODE_WIDTH = 0.19  # of the row, whatever the number of sliders: the control must not be cut
_SCOPE_HELP = (
    "**compute**: multiply-accumulates on both sides of the cut. The radio is left out, and the "
    "cloud is priced like the device unless it has its own profile below.  \n"
    "**compute + memory**: plus each layer's memory traffic: weights and inputs read once, outputs "
    "written once.  \n"
    "**device**: edge compute, memory and radio. The cloud costs the battery nothing, and the "
    "baseline is sending the raw image."
)
_CLOUD_HELP = (
    "Energy and speed of the hardware in the cloud. The full-precision twin keeps the prices of "
    "the device, so that every point is compared with the same baseline. In the scope device, the "
    "cloud costs no energy."
)
_MEASURE_HELP = (
    "An exit's confidence, from 0 to 1: the highest class probability, the margin between the two "
    "highest, or 1 − entropy / ln(classes)."
)


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
        help="Energy per multiply-accumulate and memory access. Published models differ.",
    )
    # Below it, since a title is wider than a select box of the sidebar and would be cut there.
    st.caption(cache.profile_title(chosen["profile"]))
    chosen["cloud"] = st.selectbox(
        "Cloud profile",
        (SAME_AS_DEVICE, *offers.profiles),
        key="cloud",
        format_func=lambda name: "Same as the device" if name == SAME_AS_DEVICE else name,
        help=_CLOUD_HELP,
    )
    chosen["link"] = st.selectbox(
        "Link profile",
        offers.links,
        key="link",
        help="Energy and time per transmitted bit.",
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
            format_func=lambda mode: {"each": "Per exit", "one": "Shared"}[mode],
            on_change=session.change_mode,
            label_visibility="collapsed",
            wrap=True,
        )
    # From the current view, so that fields without a control keep their values.
    blank = replace(session.current(), thresholds=(0.0,) * exits, sliders=mode or "each", **choice)
    values = []
    for number, (key, column) in enumerate(zip(slider_keys(blank), columns, strict=False)):
        with column:
            values.append(_slider(key, number, blank))
    chosen = tuple(values * exits) if blank.together else tuple(values)
    return replace(blank, thresholds=chosen)


def _moved() -> None:
    """Run only the fragments that the page registered to follow the sliders."""
    fragments = session.move_sliders()
    if fragments is None:
        st.rerun()
    st.rerun(fragments)


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
        help="Bits of weights and activations on the device. The cloud's width is on the page "
        "Networks.",
        wrap=True,
    )
    return int(bits or offered[0])


def _split(offered: tuple[str, ...]) -> str:
    """The split that the figures are computed on; nothing is drawn if there is only one."""
    if st.session_state.get("split") not in offered:
        st.session_state["split"] = offered[0]  # another network, or it was deleted
    if len(offered) == 1:
        return offered[0]
    return st.selectbox(
        "Images",
        offered,
        key="split",
        format_func=lambda name: "Test split" if name == DEFAULT_SPLIT else f"Yours: {name}",
        help="Explore's figures are computed on these: the test split or a split you made.",
    )


# A fragment: Streamlit drops the downloads and images outside the fragments that run again, unless
# a whole run was requested.
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
        on_change=_moved,
        help="An image stops here if its confidence is at least this.",
    )
    return on_grid(value)
