"""Explore: thresholds in, accuracy, energy, latency and traffic out."""

import json
from collections.abc import Sequence

import streamlit as st

from hybrid.errors import DataMissingError, TraceError
from hybrid.text import glossary, intervals
from hybrid.text.plain import plain
from hybrid.text.point import headlines, honest, interval, reach
from hybrid.ui import app_frame, cache, session
from hybrid.ui.charts import PLOT, metrics
from hybrid.ui.explore import (
    bands,
    bundle,
    certification,
    drawing,
    figures,
    follower,
    load,
    verdict,
)
from hybrid.ui.explore.data import ExploreData
from hybrid.ui.explore.follower import place
from hybrid.ui.explore.kept import section as kept
from hybrid.ui.explore.kept.evaluated import record
from hybrid.ui.guard import callback, guarded
from hybrid.ui.images import contact_sheet, gallery
from hybrid.ui.view import View
from hybrid.zoo import exit_labels

BOX_PIXELS = 340
POINT, PICTURES = "explore_point", "explore_pictures"  # redrawn when a slider moves


def main() -> None:
    """Everything on the page, top to bottom."""
    view = session.current()
    try:
        data = load.explore_data(view)
    except (DataMissingError, TraceError) as error:
        app_frame.missing_trace(view, error)
        return
    st.session_state.setdefault("explore_point", {})
    st.session_state["explore_data"] = load.when_changed(view)
    top = st.container()
    trade, flow = st.columns([3, 2])
    # Sent first although they are shown below: the browser loads plotly.js while Python searches
    # the frontiers, which a server that was just started does not have.
    with flow:
        show_flow(view)
    details(view)
    with trade:
        show_trade(view, data)
    with top:
        st.markdown(
            f"**{data.card.title}** is cut in two: a small device runs the first part and answers "
            "each image whose confidence reaches an exit's threshold; the cloud runs the rest for "
            "the others. Set thresholds and bit width: lower ones save energy, and usually cost "
            "accuracy."
        )
        show_headlines()
    # Without a browser no follower starts, and there is no second run.
    if "explore_opened" in st.session_state or not st.context.headers:
        below(view)
    follower.mount(load.follower_settings(view), on_click=go_to_clicked)
    send_traces(view)
    if follower.is_alive():
        session.follow_with(POINT, PICTURES)


def below(view: View) -> None:
    """What is below the figures.

    In a browser the first run leaves it out, so that the figures do not wait for it. The follower
    asks for the next run as soon as it has started.
    """
    kept.draw()
    certification.explain(view)
    downloads()
    pictures()


def drawn(key: str, view: View) -> figures.Figure:
    """A figure: at the present point until the follower runs, then fixed.

    Streamlit mounts a figure again when its spec changes. So it is drawn again only if it changes
    in a way that the follower cannot follow.
    """
    state = st.session_state
    kept: dict[str, tuple[object, figures.Figure]] = state.setdefault("explore_figures", {})
    images = (state["explore_data"], view.network, view.split, view.measure, view.early_exits)
    depends = (images, view.form, *(getattr(view, name) for name in drawing.FOLLOWS[key]))
    if not follower.is_alive() or kept.get(key, (None,))[0] != depends:
        kept[key] = (depends, drawing.figure(key, view))
    return kept[key][1]


@st.fragment(key=POINT)
@guarded
def show_headlines() -> None:
    """The headline figures, and whether a static network does better."""
    view = session.current()
    if st.session_state["explore_data"] != load.when_changed(view):
        st.rerun()  # a trace was recorded in the meantime: redraw everything
    data = load.explore_data(view)
    point = drawing.operating_point(view)
    written = honest(point, labelled=data.labelled)
    st.session_state["explore_point"].update(view=view, point=written)
    shown = headlines(
        point,
        data.prices.costs,
        scope=view.scope,
        image_bytes=data.card.image_bytes,
        labelled=data.labelled,
    )
    with st.container(key="explore_now"):
        with st.container(key="explore_reach"), st.container(key=f"explore_reach_at_{place(view)}"):
            exits = exit_labels(view.early_exits)[:-1]
            st.caption(reach(point.outcome, exits, together=view.together))
        metrics(shown, columns=6)
        if words := interval(point, labelled=data.labelled):
            with st.container(key="explore_interval"):
                st.caption(words, help=intervals.HELP)
        verdict.show(view, data, point)
    certification.show(view)
    bundle.as_deployed(view)


def show_trade(view: View, data: ExploreData) -> None:
    """Accuracy against energy."""
    what = "Accuracy" if data.labelled else "Agreement with the cloud"
    chart(
        "tradeoff",
        drawn("tradeoff", view),
        title=f"**{what} against energy** ({view.scope}). Click a point to select it",
        about=glossary.define("frontier", "static network", "twin"),
        alt=f"{what} against energy per image, a line per bit width, static networks as points",
    )


def show_flow(view: View) -> None:
    """The flow of the images."""
    chart(
        "flow",
        drawn("flow", view),
        title="**Where images stop**",
        alt="Flow of the images to exits and cloud, then to correct or incorrect answers",
    )


def details(view: View) -> None:
    """Accuracy by threshold, energy by part, and both exits and accuracy by class."""
    over, parts, classes = st.columns(3)
    with over:
        chart(
            "threshold",
            drawn("threshold", view),
            title="**Accuracy and edge share** as one threshold moves, others fixed. Shaded: bound "
            "for all settings at once",
            alt="Accuracy and share answered at the edge, by threshold, the present point marked",
        )
    with parts:
        chart(
            "parts",
            drawn("parts", view),
            title=f"**Energy by part** ({view.scope})",
            about=glossary.define("stage", "twin"),
            alt="Energy per image by part of the network, compared with the full-precision twin",
        )
    with classes:
        chart(
            "classes",
            drawn("classes", view),
            title="**By class**: exits and accuracy",
            alt="Share of each class that takes each exit, and its accuracy",
        )


def chart(
    key: str, figure: figures.Figure, *, title: str, alt: str, about: str | None = None
) -> None:
    """A figure with its title in a frame."""
    with st.container(border=True, height="stretch"):
        st.markdown(title, help=about)
        # With a hundred classes the figure scrolls inside a box as tall as the others.
        tall = figure.layout.height > BOX_PIXELS
        with st.container(height=BOX_PIXELS if tall else "content", border=False):
            st.plotly_chart(figure, key=f"explore_{key}", config=PLOT, alt=alt)


@st.fragment
@guarded
def downloads() -> None:
    """The frontier as a table, and the point as JSON, once the expander is open.

    A table needs 1.2 MB of the browser's scripts, for which no figure should wait.
    """
    opened = st.expander(
        "The frontier as a table, and downloads",
        icon=":material/table:",
        key="explore_downloads",
        on_change="rerun",
    )
    if opened.open:
        with opened:
            show_downloads(session.current())


def show_downloads(view: View) -> None:
    """A table of all frontiers, and the buttons that export it, the present point and a bundle."""
    now = st.session_state["explore_point"]
    table = load.frontier_table(view)
    st.caption(
        f"The best thresholds of each bit width, found on {load.searched_split(view)} and "
        f"evaluated on {view.split}. Energy: {view.scope}.",
        help=glossary.define("frontier", "split"),
    )
    st.dataframe(
        table,
        hide_index=True,
        height=280,
        alt="All points of all frontiers, and the static networks",
    )
    with st.container(horizontal=True):
        st.download_button(
            "This point (JSON)",
            lambda: json.dumps(
                record(now["view"], now["point"]) | certification.export(now["view"]),
                indent=2,
            ),
            file_name=f"{view.network}-point.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key="explore_json",
        )
        st.download_button(
            "This table (CSV)",
            lambda: table.to_csv(index=False),
            file_name=f"{view.network}-frontier.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="explore_csv",
        )
        bundle.button(view)


@st.fragment(key=PICTURES)
@guarded
def pictures() -> None:
    """The images that leave earliest, are least confident, or are confidently wrong."""
    view = session.current()
    data = load.explore_data(view)
    card = data.card
    if load.pictures(view, [0]) is None:
        st.caption(
            f"The images of {plain(card.dataset)} are not on this machine. With them, this page "
            "also shows which leave earliest, which are least confident and which are confidently "
            "wrong."
        )
        return
    found = gallery.groups(data.trace, view.thresholds, view.measure, card.classes)
    there = f"explore_pictures_at_{place(view)}"
    with st.container(key="explore_pictures"), st.container(key=there):
        show_groups(view, found)


def show_groups(view: View, found: Sequence[gallery.Group]) -> None:
    """The groups of images side by side."""
    for number, (column, group) in enumerate(zip(st.columns(len(found)), found, strict=True)):
        with column, st.container(border=True, height="stretch"):
            st.markdown(f"**{group.title}**")
            if not group.positions:
                st.caption("No image at these thresholds.")
                continue
            images = load.pictures(view, group.positions)
            if images is None:
                continue
            st.caption(f"{group.about} Click an image to try it.")
            contact_sheet.show(
                images,
                group.captions,
                key=f"explore_images_{number}",
                split=view.split,
                positions=group.positions,
            )


def send_traces(view: View) -> None:
    """Send the trace of the bit width at which this network opened, then all others and the bounds.

    The first run of the page sends only that trace, with which the follower starts and asks for the
    next run. So the first figures wait for nothing else.
    """
    state, opened = st.session_state, (view.network, view.form, view.split, view.measure)
    first_run = "explore_opened" not in state
    if state.get("explore_opened") != opened:
        state["explore_opened"] = opened
        state["explore_first"] = view.bits
    sent, first = load.follower_traces(view), state["explore_first"]
    follower.send_traces({first: sent[first]} if first_run and first in sent else sent, first=first)
    if not first_run:
        follower.send_bounds(view, bands.payload(view))


@callback
def go_to_clicked() -> None:
    """Set bit width and sliders to the frontier point that was clicked."""
    view = session.current()
    clicked = follower.clicked_point(cache.offers().widths(view.network, view.form))
    if clicked is not None:
        session.go_to(*clicked)


app_frame.through_app(__file__)
main()
