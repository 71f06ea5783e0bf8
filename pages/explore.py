"""Explore: thresholds in, accuracy, energy, latency and traffic out."""

import json

import streamlit as st

from hybrid import policy
from hybrid.errors import DataMissingError, TraceError
from hybrid.text import intervals
from hybrid.text.point import against, headlines, honest, interval
from hybrid.ui import app_frame, contact_sheet, gallery, session
from hybrid.ui.charts import PLOT, metrics
from hybrid.ui.explore import certification, figures, follower, load, verdict
from hybrid.ui.explore.data import ExploreData
from hybrid.ui.explore.kept import section as kept
from hybrid.ui.explore.kept.evaluated import record
from hybrid.ui.view import View, same_data

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
    # Streamlit mounts a figure again when its spec changes: once the follower runs, specs stay.
    drawn = drawn_figures(view, data)
    # Sent first although it is shown below: the browser loads plotly.js while Python continues.
    top = st.container()
    trade(view, drawn, labelled=data.labelled)
    with top:
        st.markdown(
            f"**{data.card.title}**: An image stops at the first exit whose confidence reaches "
            "that exit's threshold; the rest go to the cloud."
        )
        show_headlines()
    details(view, drawn)
    kept.draw()
    downloads(view)
    pictures()
    follower.mount(load.follower_data(view), on_click=go_to_clicked)
    if follower.is_alive():
        session.follow_with(POINT, PICTURES)


def operating_point(view: View, data: ExploreData) -> policy.OperatingPoint:
    """The operating point at the view's thresholds."""
    return policy.operating_point(
        data.trace,
        view.thresholds,
        measure=view.measure,
        costs=data.prices.costs,
        twin_energy_pj=data.prices.twin_energy_pj,
        twin_accuracy=data.prices.twin_accuracy,
    )


def drawn_figures(view: View, data: ExploreData) -> figures.Figures:
    """The figures by key: at the present point until the follower runs, then fixed."""
    state = st.session_state
    state.setdefault("explore_point", {})
    held: View | None = state.get("explore_anchor")
    if held is None or not follower.is_alive() or not same_data(held, view):
        state["explore_anchor"] = view
        state["explore_figures"] = draw(view, data, operating_point(view, data))
    elif state["explore_data"] != load.when_changed(view):
        state["explore_figures"] = draw(held, data, operating_point(held, data))
    state["explore_data"] = load.when_changed(view)
    figures_by_key: figures.Figures = state["explore_figures"]
    return figures_by_key


def draw(view: View, data: ExploreData, point: policy.OperatingPoint) -> figures.Figures:
    """Every figure of the page at a point."""
    scale_pj, unit = data.prices.energy_unit
    classes = data.card.classes
    counted = policy.per_class(data.trace, view.thresholds, view.measure, classes=len(classes))
    return {
        "tradeoff": figures.tradeoff(
            data.frontiers,
            data.statics,
            bits=view.bits,
            energy_pj=point.energy_pj,
            accuracy=point.outcome.accuracy,
            scale_pj=scale_pj,
            unit=unit,
            labelled=data.labelled,
        ),
        "flow": figures.flow(point.outcome, labelled=data.labelled),
        "threshold": threshold_figure(view, data, point),
        "parts": figures.by_part(
            data.prices.mean_parts(point.outcome),
            data.prices.twin_parts,
            scale_pj=scale_pj,
            unit=unit,
            beside=against(view.scope).capitalize(),
        ),
        "classes": figures.per_class(counted, classes, labelled=data.labelled),
    }


@st.fragment(key=POINT)
def show_headlines() -> None:
    """The headline figures, and whether a static network does better."""
    view = session.current()
    if st.session_state["explore_data"] != load.when_changed(view):
        st.rerun()  # a trace was recorded in the meantime: redraw everything
    data = load.explore_data(view)
    point = operating_point(view, data)
    written = honest(point, labelled=data.labelled)
    st.session_state["explore_point"].update(view=view, point=written)
    shown = headlines(
        point,
        data.prices.costs,
        scope=view.scope,
        image_bytes=data.card.image_bytes,
        labelled=data.labelled,
    )
    metrics(shown, columns=6)
    if words := interval(point, labelled=data.labelled):
        with st.container(key="explore_interval"):
            st.caption(words, help=intervals.HELP)
    verdict.show(view, data, point)
    certification.show(view)


def trade(view: View, drawn: figures.Figures, *, labelled: bool) -> None:
    """Accuracy against energy, and the flow of the images."""
    what = "Accuracy" if labelled else "Agreement with the cloud"
    left, right = st.columns([3, 2])
    with left:
        chart(
            "tradeoff",
            drawn,
            title=f"**{what} against energy** ({view.scope}). Click a point to select it",
            alt=f"{what} against energy per image, a line per bit width, static networks as points",
        )
    with right:
        chart(
            "flow",
            drawn,
            title="**Where images stop**",
            alt="Flow of the images to exits and cloud, then to correct or incorrect answers",
        )


def details(view: View, drawn: figures.Figures) -> None:
    """Accuracy by threshold, energy by part, and both exits and accuracy by class."""
    over, parts, classes = st.columns(3)
    with over:
        chart(
            "threshold",
            drawn,
            title="**Accuracy and edge share** as one threshold moves, others fixed",
            alt="Accuracy and share answered at the edge, by threshold, the present point marked",
        )
    with parts:
        chart(
            "parts",
            drawn,
            title=f"**Energy by part** ({view.scope})",
            alt="Energy per image by part of the network, compared with the full-precision twin",
        )
    with classes:
        chart(
            "classes",
            drawn,
            title="**By class**: exits and accuracy",
            alt="Share of each class that takes each exit, and its accuracy",
        )


def chart(key: str, drawn: figures.Figures, *, title: str, alt: str) -> None:
    """A figure with its title in a frame."""
    with st.container(border=True, height="stretch"):
        st.markdown(title)
        # With a hundred classes the figure scrolls inside a box as tall as the others.
        tall = drawn[key].layout.height > BOX_PIXELS
        with st.container(height=BOX_PIXELS if tall else "content", border=False):
            st.plotly_chart(drawn[key], key=f"explore_{key}", config=PLOT, alt=alt)


def threshold_figure(view: View, data: ExploreData, point: policy.OperatingPoint) -> figures.Figure:
    """Accuracy and edge fraction as each exit's threshold moves, the others fixed."""
    exits = [] if view.together else range(view.early_exits)
    alone = [
        policy.sweep(
            data.trace,
            measure=view.measure,
            exit=number,
            others=view.thresholds,
            grid=data.together.grid,
        )
        for number in exits
    ]
    return figures.over_threshold(
        data.together,
        alone,
        thresholds=view.thresholds[: len(alone) or 1],
        accuracy=point.outcome.accuracy,
        edge_fraction=point.outcome.edge_fraction,
        twin_accuracy=data.prices.twin_accuracy,
        labelled=data.labelled,
    )


def downloads(view: View) -> None:
    """The frontier as a table, and the point as JSON."""
    now = st.session_state["explore_point"]
    with st.expander("The frontier as a table, and downloads", icon=":material/table:"):
        table = load.frontier_table(view)
        st.caption(
            f"The best thresholds of each bit width, found on {load.searched_split(view)} and "
            f"evaluated on {view.split}."
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
                file_name=f"{view.network}-{view.variant}-point.json",
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


@st.fragment(key=PICTURES)
def pictures() -> None:
    """The images that leave earliest, are least confident, or are confidently wrong."""
    view = session.current()
    data = load.explore_data(view)
    card = data.card
    if load.pictures(view, [0]) is None:
        st.caption(
            f"The images of {card.dataset} are not on this machine. With them, this page also "
            "shows which leave earliest, which are least confident and which are confidently wrong."
        )
        return
    found = gallery.groups(data.trace, view.thresholds, view.measure, card.classes)
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


def go_to_clicked() -> None:
    """Set bit width and sliders to the frontier point that was clicked."""
    view = session.current()
    clicked = follower.clicked_point(view.early_exits)
    if clicked is not None:
        session.go_to(*clicked)


app_frame.through_app(__file__)
main()
