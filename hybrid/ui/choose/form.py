"""The limits on Choose: their widgets, started from the link and written into the address.

query = form.query(view)
form.choose_on(network, images)         # from another page, before it opens Choose
"""

from dataclasses import dataclass

import streamlit as st

from hybrid.data import user_splits
from hybrid.text import glossary
from hybrid.text.plain import plain
from hybrid.ui import cache, session
from hybrid.ui.choose.query import NUMBERS, Query
from hybrid.ui.guard import callback
from hybrid.ui.view import Offers, View

__all__ = ["CURVE", "choose_on", "limit_loss", "query", "refusal"]

BATTERY = ("images_per_day", "battery_mah", "battery_volts", "min_days")
CURVE = "choose_curve"  # the key of the figure
_KEY = "choose"
_WANTED = "choose_wanted"


@dataclass(kw_only=True)
class _Form:
    """The form's state between runs, besides the widgets' values.

    opened: the query that the link described. problems: the errors in that link, until a limit is
    changed. network: the sidebar's network in the last run.
    """

    opened: Query | None = None
    problems: tuple[str, ...]
    network: str


def choose_on(network: str, images: str) -> None:
    """Let the form start with this network and these images when it is opened next."""
    st.session_state[_WANTED] = network, images


def query(view: View) -> Query:
    """The limits as the user sets them, from the link at first; written into the address."""
    known = cache.offers()
    if _KEY not in st.session_state or session.asked() is not None:
        _start_from_link(view, known)
    _start_from_other_page()
    _follow_sidebar(view)
    asked = _widgets(view, known)
    for problem in _problems(asked):
        st.warning(plain(problem), icon=":material/link_off:")
    if missing := asked.missing:
        are = "is" if len(missing) == 1 else "are"
        st.info(
            f"The battery is taken into account once {' and '.join(missing)} {are} given too.",
            icon=":material/battery_unknown:",
        )
    session.write_address(asked.write())
    return asked


@callback
def limit_loss() -> None:
    """Make the loss that was clicked in the curve the limit; only as its callback."""
    points = st.session_state[CURVE]["selection"]["points"]
    if points:
        st.session_state["choose_loss"] = round(float(points[0]["x"]), 4)


def refusal(asked: Query) -> str:
    """Why nothing is chosen while some numbers cannot be limits."""
    labels = [NUMBERS[key].label for key in asked.problems]
    return f"Nothing was chosen. First correct {' and '.join(labels)} above."


def _widgets(view: View, known: Offers) -> Query:
    with st.container(border=True, key="choose_limits"):
        with st.grid(5, min_column_width=148):
            numbers = {key: _number(key) for key in NUMBERS if key not in BATTERY}
        with st.grid(3, min_column_width=300):
            networks = st.multiselect(
                "Networks to choose among",
                list(known.early_exits),
                key="choose_among",
                persist_state="session",
                help="Each with all its bit widths and static networks.",
            )
            images = _images(known)
            profiles = st.multiselect(
                "Compare under other energy models",
                [name for name in known.profiles if name != view.profile],
                key="choose_under",
                persist_state="session",
                help="Published energy models differ. Is the choice the same under these?",
            )
        deployed = st.checkbox(
            "As deployed",
            key="choose_deployed",
            persist_state="session",
            help=glossary.define(
                "deployment form",
                note="Choose among these; `hybrid freeze` makes them. Such a point can be exported "
                "as a bundle.",
            ),
        )
        begun = any(st.session_state.get(f"choose_{key}") is not None for key in BATTERY)
        battery = st.expander("Battery", icon=":material/battery_full:", expanded=begun)
        with battery, st.grid(4, min_column_width=136):
            numbers |= {key: _number(key) for key in BATTERY}
    return Query(
        networks=tuple(networks),
        numbers=numbers,
        profiles=tuple(profiles),
        images=images,
        deployed=deployed,
    )


def _images(known: Offers) -> str:
    """The images to choose on: the data set's, or the user's."""
    offered = ["", *_divided(known)]
    if st.session_state.get("choose_images") not in offered:
        st.session_state["choose_images"] = ""  # deleted meanwhile
    chosen: str = st.selectbox(
        "Images",
        offered,
        key="choose_images",
        persist_state="session",
        format_func=lambda name: f"Yours: {name}" if name else "The data set's",
        help="To choose on your own images, record them on the page Your data in two halves: one "
        "to choose on and one to certify.",
    )
    return chosen


def _divided(known: Offers) -> list[str]:
    """The user's images that are recorded in two halves for any of the networks."""
    return sorted({name for network in known.early_exits for name in user_splits.halved(network)})


def _number(key: str) -> float | None:
    """One limit, and a sentence if it cannot be one; empty sets none.

    The widget has no range: with one, the browser would refuse a number and leave the answer to
    the last one below it. It has no default either: an emptied field would take it again.
    """
    number = NUMBERS[key]
    with st.container(gap="xsmall"):
        value: float | None = st.number_input(
            number.label,
            value=None,
            step=number.step,
            format="%.10g",
            key=f"choose_{key}",
            placeholder="no limit",
            help=number.help,
            persist_state="session",
        )
        if wrong := number.problem(value):
            st.markdown(f":small[:red[{plain(wrong)}]]")
    return value


def _start_from_link(view: View, known: Offers) -> None:
    """On the first visit and after Back or Forward: set the widgets to the link's query."""
    state = st.session_state
    asked, problems = Query.read(
        session.asked() or {},
        network=view.network,
        networks=tuple(known.early_exits),
        profiles=known.profiles,
        images=_divided(known),
    )
    state[_KEY] = _Form(problems=problems, network=view.network)
    for key, value in asked.numbers.items():
        state[f"choose_{key}"] = value
    state["choose_among"] = list(asked.networks)
    state["choose_images"] = asked.images
    state["choose_deployed"] = asked.deployed
    state["choose_under"] = [name for name in asked.profiles if name != view.profile]


def _start_from_other_page() -> None:
    state = st.session_state
    if _WANTED in state:
        network, state["choose_images"] = state.pop(_WANTED)
        state["choose_among"] = [network]


def _follow_sidebar(view: View) -> None:
    """If there is a single network to choose among, it follows that of the sidebar."""
    state, form = st.session_state, _form()
    if form.network != view.network and state["choose_among"] == [form.network]:
        state["choose_among"] = [view.network]
    form.network = view.network


def _problems(asked: Query) -> tuple[str, ...]:
    """The problems of the link that are still shown; none once a limit has changed."""
    form = _form()
    if form.opened is None:
        form.opened = asked
    if form.opened != asked:
        form.problems = ()
    return form.problems


def _form() -> _Form:
    form: _Form = st.session_state[_KEY]
    return form
