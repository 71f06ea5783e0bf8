"""Groups of widgets that return plain values; each widget has a fixed key.

The app frame draws them once per run, so that they keep their values on every page. A page's own
widget has a key that begins with the page's name, as in `explore_table`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from hybrid.text import glossary
from hybrid.text.plain import plain
from hybrid.ui import cache, page_script, palette, session
from hybrid.ui.guard import callback, guarded
from hybrid.ui.view import (
    DEFAULT_SPLIT,
    DEFAULT_THRESHOLD,
    DEPLOYED,
    SAME_AS_DEVICE,
    STEPS,
    TRAINED,
    Offers,
    View,
    on_grid,
    slider_keys,
)

__all__ = ["MEASURE_WORDS", "choices", "shown", "sliders"]

MEASURE_WORDS = {
    "max_probability": "Highest probability",
    "margin": "Margin",
    "entropy": "Entropy",
}
_BACK = "slider_back"
_MODE_WIDTH = 0.19  # of the row, whatever the number of sliders: the control must not be cut
_SCOPE_HELP = (
    f"{glossary.define('scope')}  \n"
    "**compute**: multiply-accumulates on both sides of the cut. The radio is left out, and the "
    "cloud is priced like the device unless it has its own profile below.  \n"
    "**compute + memory**: plus each layer's memory traffic: weights and inputs read once, outputs "
    "written once.  \n"
    "**device**: edge compute, memory and radio. The cloud costs the battery nothing, and the "
    "baseline is sending the raw image."
)
_BITS_HELP = glossary.define(
    "bit width", "edge segment", "cut", note="The cloud's width is on the page Networks."
)
_FORM_HELP = (
    f"{glossary.define('deployment form')}  \n"
    "**As trained**: floating-point numbers, in PyTorch.  \n"
    "**As deployed**: the deployment form, a network of its own with traces, temperatures and "
    "certificates of its own."
)
_CLOUD_HELP = (
    "Energy and speed of the hardware in the cloud. The full-precision twin keeps the prices of "
    "the device, so that every point is compared with the same baseline. In the scope device, the "
    "cloud costs no energy."
)


def choices(offers: Offers) -> dict[str, Any]:
    """Network, images, measure, profiles and scope, as fields of a View."""
    chosen: dict[str, Any] = {
        "network": st.selectbox(
            "Network",
            list(offers.early_exits),
            key="network",
            help=glossary.define("network"),
        )
    }
    chosen["form"] = _form(offers.forms_of(chosen["network"]))
    chosen["split"] = _split(chosen["network"], offers.splits_of(chosen["network"]))
    scope = st.segmented_control(
        "Energy scope", offers.scopes, key="scope", required=True, help=_SCOPE_HELP, wrap=True
    )
    # A client that reconnects may send no value for it.
    chosen["scope"] = scope or offers.scopes[0]
    chosen["profile"] = st.selectbox(
        "Hardware profile",
        offers.profiles,
        key="profile",
        help=glossary.define(
            "profile",
            "device",
            note="Energy per multiply-accumulate and memory access. Published models differ.",
        ),
    )
    # Below it, since a title is wider than a select box of the sidebar and would be cut there.
    st.caption(cache.profile_title(chosen["profile"]))
    chosen["cloud"] = st.selectbox(
        "Cloud profile",
        (SAME_AS_DEVICE, *offers.profiles),
        key="cloud",
        format_func=_cloud_words,
        help=_CLOUD_HELP,
    )
    chosen["link"] = st.selectbox(
        "Link profile",
        offers.links,
        key="link",
        help=glossary.define("link"),
    )
    st.caption(cache.link_title(chosen["link"]))
    chosen["measure"] = st.selectbox(
        "Confidence measure",
        offers.measures,
        key="measure",
        format_func=_measure_words,
        help=glossary.define("measure", "confidence"),
    )
    return chosen


def shown(view: View) -> dict[str, str]:
    """The texts that the controls on which figures depend show at a view, by key."""
    return {
        "network": view.network,
        "form": _form_words(view.form),
        "scope": view.scope,
        "profile": view.profile,
        "cloud": _cloud_words(view.cloud),
        "link": view.link,
        "measure": _measure_words(view.measure),
    }


def sliders(offers: Offers, choice: Mapping[str, Any], *, folded: bool = False) -> View:
    """Bit width, and a threshold for each early exit or one for all.

    Returns the view that they complete, which is the current one from here on.

    Args:
        offers: the choices on this machine.
        choice: the other fields of the view, from `choices`.
        folded: put the thresholds into an expander.
    """
    exits_of = offers.widths(choice["network"], choice["form"])
    held = session.preset_bits(list(exits_of))
    exits = exits_of[held]
    count = 1 if st.session_state.get("sliders") == "one" else exits
    with st.container(border=True, key="thresholds"):
        first, *columns, last = _columns(count, folded=folded)
        with first:
            bits = _bits(sorted(exits_of), held) or held
        beside = last.container(horizontal=True, gap="xsmall")
        with beside:
            mode = _mode()
        # From the current view, so that fields without a control keep their values.
        blank = replace(session.current(), **choice)
        blank = replace(blank, bits=bits, sliders=mode, thresholds=(0.0,) * exits)
        view = _thresholds(blank, columns)
        session.keep(view)  # which decides whether there is something to undo
        with beside:
            _back()
        page_script.mount()
    return view


def _cloud_words(profile: str) -> str:
    return "Same as the device" if profile == SAME_AS_DEVICE else profile


def _measure_words(measure: str) -> str:
    return MEASURE_WORDS.get(measure, measure)


def _columns(sliders: int, *, folded: bool) -> list[DeltaGenerator]:
    """Places for the bit width, for each of so many sliders, and for the buttons."""
    if not folded:
        widths = [(1 - _MODE_WIDTH) / (sliders + 1)] * (sliders + 1)
        return st.columns([*widths, _MODE_WIDTH], vertical_alignment="bottom")
    first, others = st.columns([1, 3], vertical_alignment="center")
    inside = others.expander("Thresholds", icon=":material/tune:")
    widths = [(1 - _MODE_WIDTH) / sliders] * sliders
    return [first, *inside.columns([*widths, _MODE_WIDTH], vertical_alignment="bottom")]


def _thresholds(blank: View, columns: Sequence[DeltaGenerator]) -> View:
    """A slider in each column; the view with their values."""
    keys = slider_keys(blank)
    session.preset_thresholds(keys)
    values = []
    for number, (key, column) in enumerate(zip(keys, columns, strict=False)):
        with column:
            value = _slider(key, number, blank)
            values.append(DEFAULT_THRESHOLD if value is None else value)
    chosen = values * blank.early_exits if blank.together else values
    return replace(blank, thresholds=tuple(chosen))


def _mode() -> str:
    """A slider for each exit, or one for all."""
    mode = st.segmented_control(
        "Thresholds",
        ("each", "one"),
        key="sliders",
        required=True,
        format_func=lambda mode: {"each": "Per exit", "one": "Shared"}[mode],
        on_change=callback(session.change_mode),
        label_visibility="collapsed",
    )
    return mode or "each"


@st.fragment(key=_BACK)
@guarded
def _back() -> None:
    """The buttons that take changes back; drawn again after each change of a slider."""
    with st.container(horizontal=True, gap="xsmall", key="slider_steps"):
        st.button(
            "Undo",
            key="undo",
            icon=":material/undo:",
            help="Take back the last change of bit width or thresholds.",
            type="tertiary",
            disabled=not session.can_undo(),
            on_click=_step,
            args=(session.undo,),
        )
        st.button(
            "Reset",
            key="reset",
            icon=":material/restart_alt:",
            help="Set bit width and thresholds to their defaults.",
            type="tertiary",
            on_click=_step,
            args=(session.reset,),
        )


@callback
def _step(step: Callable[[], None]) -> None:
    step()
    st.rerun()  # redraws the sliders too, not only the fragment


@callback
def _moved() -> None:
    """Run only the fragments that the page registered to follow the sliders."""
    fragments = session.move_sliders()
    if fragments is None:
        st.rerun()
    st.rerun((*fragments, _BACK))


@st.fragment
@guarded
def _bits(offered: list[int], held: int) -> int:
    if len(offered) == 1:
        st.caption(f"Bit width of the edge: {held}", help=_BITS_HELP)
        return held
    return int(
        st.select_slider(
            "Bit width",
            offered,
            key="bits",
            on_change=_moved,
            help=_BITS_HELP,
        )
    )


def _form(offered: tuple[str, ...]) -> str:
    """The form of the edge; nothing is drawn if there is only one."""
    if st.session_state.get("form") not in offered:
        st.session_state["form"] = offered[0]  # another network's
    if len(offered) == 1:
        return offered[0]
    form = st.segmented_control(
        "Edge segment",
        offered,
        key="form",
        required=True,
        format_func=_form_words,
        help=_FORM_HELP,
    )
    return form or offered[0]


def _form_words(form: str) -> str:
    return {TRAINED: "As trained", DEPLOYED: "As deployed"}[form]


def _split(network: str, offered: tuple[str, ...]) -> str:
    """The split that the figures are computed on; nothing is drawn if there is only one."""
    held = st.session_state.get("split")
    if held not in offered:
        st.session_state["split"] = offered[0]
        if held and session.current().network == network:  # else it is another network's
            st.info(
                f"The split {plain(held)} was deleted; test is shown.", icon=":material/delete:"
            )
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
@guarded
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
        help=glossary.define(
            "early exit",
            "threshold",
            note="An image stops here if its confidence is at least this.",
        ),
    )
    return on_grid(value)
