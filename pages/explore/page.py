"""Explore: thresholds in, the trade of accuracy, energy, latency and traffic out."""

import json

import streamlit as st

from hybrid import policy
from hybrid.errors import DataMissingError, TraceError
from hybrid.ui import cache, controls, follower, gallery, shell, state, tables, words
from hybrid.ui.cache import Scene
from hybrid.ui.figures import explore as figures
from hybrid.ui.state import View

PLOT = {"displayModeBar": False, "responsive": True}


def main() -> None:
    """Everything on the page, top to bottom."""
    view = state.current()
    try:
        scene = cache.scene(view)
    except (DataMissingError, TraceError) as error:
        shell.missing_trace(view, error)
        return
    point = operating_point(view, scene)
    headlines(view, scene, point)
    # What the follower draws must not be drawn again: figures stay as they were when it took over.
    anchor = anchored(view)
    trade(view, scene, operating_point(anchor, scene))
    details(anchor, scene, operating_point(anchor, scene))
    downloads(view, scene, point)
    pictures(view, scene)
    follower.mount(cache.follower_data(view), on_click=go_to_clicked)


def operating_point(view: View, scene: Scene) -> policy.OperatingPoint:
    """What the view's thresholds come to."""
    return policy.operating_point(
        scene.trace,
        view.thresholds,
        measure=view.measure,
        costs=scene.prices.costs,
        twin_energy_pj=scene.prices.twin_energy_pj,
        twin_accuracy=scene.prices.twin_accuracy,
    )


def anchored(view: View) -> View:
    """The view whose figures are drawn: the present one, until the follower moves them itself."""
    held: View | None = st.session_state.get("explore_anchor")
    if held is None or not follower.is_alive() or not state.same_scene(held, view):
        st.session_state["explore_anchor"] = held = view
    return held


def headlines(view: View, scene: Scene, point: policy.OperatingPoint) -> None:
    """The figures that matter, and whether a static network does better."""
    shown = words.headlines(
        point,
        scene.prices.costs,
        scope=view.scope,
        image_bytes=cache.card(view.network).image_bytes,
    )
    with st.grid(6, min_column_width=148):
        for headline in shown:
            with st.container(key=f"explore_{headline.key}"):
                st.metric(
                    headline.label,
                    headline.value,
                    headline.note,
                    delta_color="off",
                    delta_arrow="off",
                    border=True,
                )
    with st.container(key="explore_verdict"):
        st.caption(words.verdict(point, scene.statics, scope=view.scope))


def trade(view: View, scene: Scene, point: policy.OperatingPoint) -> None:
    """Accuracy against energy, and the flow of the images."""
    left, right = st.columns([3, 2])
    scale_pj, unit = scene.prices.energy_unit
    with left, st.container(border=True, height="stretch"):
        st.markdown(f"**Accuracy against energy** ({view.scope}), click a point to go there")
        st.plotly_chart(
            figures.tradeoff(
                scene.frontiers,
                scene.statics,
                bits=view.bits,
                energy_pj=point.energy_pj,
                accuracy=point.outcome.accuracy,
                scale_pj=scale_pj,
                unit=unit,
            ),
            key="explore_tradeoff",
            config=PLOT,
            alt="Accuracy against energy per image, by bit width, static networks as points",
        )
    with right, st.container(border=True, height="stretch"):
        st.markdown("**Where images leave**")
        st.plotly_chart(
            figures.flow(point.outcome),
            key="explore_flow",
            config=PLOT,
            alt="Flow of the images to the exits and the cloud, and on to right or wrong answers",
        )


def details(view: View, scene: Scene, point: policy.OperatingPoint) -> None:
    """Over the threshold, by part and by class."""
    over, parts, classes = st.columns(3)
    with over, st.container(border=True, height="stretch"):
        st.markdown("**Over the threshold**, the others held")
        st.plotly_chart(
            threshold_figure(view, scene, point),
            key="explore_threshold",
            config=PLOT,
            alt="Accuracy and edge exit fraction over each threshold, the present point marked",
        )
    with parts, st.container(border=True, height="stretch"):
        st.markdown(f"**Energy by part** ({view.scope})")
        scale_pj, unit = scene.prices.energy_unit
        st.plotly_chart(
            figures.by_part(
                scene.prices.mean_parts(point.outcome),
                scene.prices.twin_parts,
                scale_pj=scale_pj,
                unit=unit,
                beside=words.against(view.scope).capitalize(),
            ),
            key="explore_parts",
            config=PLOT,
            alt="Energy per image by part of the network, beside the full-precision twin",
        )
    with classes, st.container(border=True, height="stretch"):
        st.markdown("**By class**: exits and accuracy")
        names = cache.card(view.network).classes
        counted = policy.per_class(scene.trace, view.thresholds, view.measure, classes=len(names))
        st.plotly_chart(
            figures.per_class(counted, names),
            key="explore_classes",
            config=PLOT,
            alt="Share of each class that takes each exit, and its accuracy",
        )


def threshold_figure(view: View, scene: Scene, point: policy.OperatingPoint) -> object:
    """Accuracy and edge fraction, each exit's threshold moved while the others are held."""
    exits = [] if view.together else range(view.exits)
    alone = [
        policy.sweep(
            scene.trace,
            measure=view.measure,
            costs=scene.prices.costs,
            exit=number,
            others=view.thresholds,
            grid=scene.together.grid,
        )
        for number in exits
    ]
    return figures.over_threshold(
        scene.together,
        alone,
        thresholds=view.thresholds[: len(alone) or 1],
        accuracy=point.outcome.accuracy,
        edge_fraction=point.outcome.edge_fraction,
        twin_accuracy=scene.prices.twin_accuracy,
    )


def downloads(view: View, scene: Scene, point: policy.OperatingPoint) -> None:
    """The frontier as a table, and the point as JSON."""
    with st.expander("The frontier as a table, and downloads", icon=":material/table:"):
        table = tables.frontier(scene.frontiers, scene.statics)
        st.dataframe(
            table,
            hide_index=True,
            height=280,
            alt="Every point of every bit width's frontier, and the static networks",
        )
        with st.container(horizontal=True):
            st.download_button(
                "This point (JSON)",
                json.dumps(view.write() | point.to_dict(), indent=2),
                file_name=f"{view.network}-{view.variant}-point.json",
                mime="application/json",
                icon=":material/download:",
                on_click="ignore",
                key="explore_json",
            )
            st.download_button(
                "This table (CSV)",
                table.to_csv(index=False),
                file_name=f"{view.network}-frontier.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key="explore_csv",
            )


def pictures(view: View, scene: Scene) -> None:
    """Images that leave earliest, go furthest, or leave wrongly sure."""
    card = cache.card(view.network)
    images = cache.images(card.dataset, size=card.size, channels=card.channels)
    if images is None or len(images) != scene.trace.samples:
        st.caption(
            f"The images of {card.dataset} are not on this machine; with them, this page also "
            "shows which leave earliest, which go furthest and which leave wrongly sure."
        )
        return
    found = gallery.groups(scene.trace, view.thresholds, view.measure, card.classes)
    for column, group in zip(st.columns(len(found)), found, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.markdown(f"**{group.title}**")
            if not group.positions:
                st.caption("No image at these thresholds.")
                continue
            st.image(
                gallery.sprites(images, group.positions),
                width="stretch",
                alt=f"{group.title}: {', '.join(group.captions)}",
            )
            st.caption(f"{group.about} Row by row: {', '.join(group.captions)}.")


def go_to_clicked() -> None:
    """Move the controls to the frontier's point that was clicked."""
    view = state.current()
    clicked = follower.clicked_point(view.exits)
    if clicked is not None:
        controls.go_to(*clicked)


main()
