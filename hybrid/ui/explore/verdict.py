"""The verdict below the headlines: whether another point of the chart is better, with a button."""

import streamlit as st

from hybrid.policy import OperatingPoint
from hybrid.text import glossary, point
from hybrid.ui import session
from hybrid.ui.explore import load
from hybrid.ui.explore.alternatives import better
from hybrid.ui.explore.data import Alternative, ExploreData
from hybrid.ui.guard import callback
from hybrid.ui.view import View

__all__ = ["show"]


def show(view: View, data: ExploreData, now: OperatingPoint) -> None:
    """The better point in a sentence, and a button that goes there unless it is a static network.

    Args:
        now: the operating point at the view's thresholds.
    """
    known = load.known_alternatives(view)
    at = better(known, accuracy=now.outcome.accuracy, energy_pj=now.energy_pj)
    with st.container(key="explore_verdict", horizontal=True, vertical_alignment="center"):
        said = point.verdict(
            now,
            None if at is None else known[at],
            static_bits=[one.bits for one in data.statics],
            scope=view.scope,
            labelled=data.labelled,
        )
        st.caption(said, help=_help(view) if data.labelled else None, width="content")
        if at is not None and not known[at].is_static:
            _button(at, known[at])


def _help(view: View) -> str:
    compared = (
        "This point is compared with the whole chart: the curves of all bit widths and the static "
        "networks. The point named has at least the same accuracy and the least energy. The curves "
        f"were found on {load.searched_split(view)} and evaluated on {view.split}, so a small "
        "difference may be chance."
    )
    return glossary.define("static network", "split", note=compared)


def _button(at: int, there: Alternative) -> None:
    st.button(
        "Go there",
        key=f"explore_better_{at}",  # the follower fades it while another point is the better one
        icon=":material/moving:",
        type="tertiary",
        on_click=_move,
        args=(there,),
    )


@callback
def _move(there: Alternative) -> None:
    session.go_to(there.bits, there.thresholds)
    st.rerun()  # redraws the sliders too, not only the fragment
