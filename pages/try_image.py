"""Try an image: where it stops in the network, the answer of each exit, and what that cost."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from hybrid import zoo
from hybrid.errors import HybridError
from hybrid.inference.single import ImageRun
from hybrid.text import glossary, numbers
from hybrid.text.plain import plain
from hybrid.ui import app_frame, palette, running, session
from hybrid.ui.charts import STILL, metrics
from hybrid.ui.explore import load
from hybrid.ui.try_image import figures, linked, results, sources
from hybrid.ui.try_image.sources import PickedImage
from hybrid.ui.view import View
from hybrid.zoo import Card

SHOWN_PIXELS = 256  # per side of the enlarged network input
ROWS_SHOWN = 7  # of the table; more scroll inside it


def main() -> None:
    """The page: choose images, run them, show the chosen one."""
    view = session.current()
    card = zoo.card(view.network)
    st.header("Try an image")
    one = linked.picked(view, card)
    given = sources.choose(card) if one is None else [one]
    if not given:
        return
    runs = run_all(given, view)
    index = choose_one(given, runs, view) if len(given) > 1 else 0
    show(given[index], runs[index], card, view)


def run_all(given: Sequence[PickedImage], view: View) -> list[ImageRun]:
    """Every image through the network, one after the other."""
    with st.spinner(f"Running {len(given)} images …" if len(given) > 1 else "Running …"):
        return [
            running.image_run(one.pixels, view.network, view.variant, view.thresholds, view.measure)
            for one in given
        ]


def choose_one(given: Sequence[PickedImage], runs: Sequence[ImageRun], view: View) -> int:
    """A row per image; the row that is clicked is shown below."""
    energy, prices = f"Energy, {view.scope} (µJ)", load.prices(view)
    rows = [
        results.row(one, image_run, prices, energy=energy)
        for one, image_run in zip(given, runs, strict=True)
    ]
    st.caption(results.how_many_stop(runs))
    if words := results.how_many_right(given, runs):
        st.caption(words)
    chosen = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content" if len(given) <= ROWS_SHOWN else 280,
        key="try_table",
        on_select="rerun",
        selection_mode="single-row",
        alt=f"The network's answers for {len(given)} images and the exit at which each stops.",
        column_config={
            "Input": st.column_config.ImageColumn(width="small"),
            "Probability": st.column_config.NumberColumn(format="%.3f"),
            energy: st.column_config.NumberColumn(format="%.3f"),
            "Measured (ms)": st.column_config.NumberColumn(format="%.2f"),
        },
    )
    picked = chosen.selection.rows
    return picked[0] if picked and picked[0] < len(given) else 0


def show(one: PickedImage, image_run: ImageRun, card: Card, view: View) -> None:
    """One image in detail: the input, where it stops, the answer of each exit, what was run."""
    seen, facts = st.columns([1, 3], gap="medium")
    with seen:
        st.image(
            results.enlarged(one.pixels, SHOWN_PIXELS),
            caption=f"The network's input: {card.size}×{card.size} pixels",
            width=SHOWN_PIXELS,
        )
        st.text(one.name)
        if one.original is not None:
            st.image(one.original, caption="The whole picture; framed: what the network gets")
    with facts:
        show_facts(one, image_run, card, view)
        show_confidences(image_run)
    show_exits(image_run)
    show_ran(image_run)


def show_facts(one: PickedImage, image_run: ImageRun, card: Card, view: View) -> None:
    """Answer, exit taken, energy, uplink and time, each with the baseline's."""
    twin = ask_twin(one, card, view)
    boxes = results.boxes(
        one, image_run, twin, prices=load.prices(view), card=card, scope=view.scope
    )
    with st.container(key="try_facts"):
        metrics(boxes, columns=3)


def ask_twin(one: PickedImage, card: Card, view: View) -> ImageRun | None:
    """The full-precision baseline's run; None if it is not here or cannot be read."""
    if zoo.TWIN not in card.variants:
        return None
    try:
        return running.image_run(one.pixels, view.network, zoo.TWIN, (), view.measure)
    except HybridError as error:
        st.warning(plain(str(error)), icon=":material/error:")
        return None


def show_confidences(image_run: ImageRun) -> None:
    """Each exit's confidence against its threshold."""
    colours = [results.exit_colour(image_run, number) for number in range(len(image_run.said))]
    st.plotly_chart(
        figures.confidences(image_run.said, colours=colours),
        key="try_confidences",
        config=STILL,
        alt="Confidence of each exit against its threshold: "
        + "; ".join(f"{said.name} {results.verdict(said)}" for said in image_run.said),
    )
    st.caption(
        "Bar: confidence. Mark: threshold. The image stops at the first exit whose bar reaches "
        "its mark."
    )


def show_exits(image_run: ImageRun) -> None:
    """Every exit's most likely classes, or a note that it was not run."""
    st.subheader("Predictions by exit")
    for number, (said, column) in enumerate(
        zip(image_run.said, st.columns(len(image_run.said), border=True), strict=True)
    ):
        with column:
            early = number < len(image_run.said) - 1
            dot = f":{palette.exit_markdown(number)}[●] " if early else ""
            st.markdown(f"{dot}**{said.name}**")
            st.caption(plain(results.verdict(said)))
            if said.top:
                st.plotly_chart(
                    figures.probabilities(said, colour=results.exit_colour(image_run, number)),
                    key=f"try_exit_{number}",
                    config=STILL,
                    alt=f"{said.name}: "
                    + ", ".join(f"{name} {numbers.percent(p)}" for name, p in said.top),
                )


def show_ran(image_run: ImageRun) -> None:
    """The layers that were called, counted by the layers themselves."""
    st.subheader("Layers that were run", help=glossary.define("stage", "MAC"))
    st.markdown(plain(results.ran(image_run)))
    rest = image_run.not_called
    st.plotly_chart(
        figures.parts_run(image_run.ran),
        key="try_ran",
        config=STILL,
        alt="Parts that were run: "
        + ", ".join(part.name for part in image_run.ran if part.called)
        + (f". Not run: {', '.join(rest)}." if rest else "."),
    )
    st.caption("Filled: run. Hollow: never called. Counted by the layers themselves in this run.")


app_frame.through_app(__file__)
main()
