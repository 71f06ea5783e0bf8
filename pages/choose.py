"""Choose: the lowest-energy operating point that meets your limits, with reasons."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from hybrid.choosing import Answer, ParetoSet, Point, ProfileCheck, point_file, to_toml
from hybrid.errors import CertificateError
from hybrid.text import choice
from hybrid.ui import app_frame, session
from hybrid.ui.charts import PLOT, metrics
from hybrid.ui.choose import answers, certificates, figures, form, report, tables
from hybrid.ui.choose.tables import MarkedPoint
from hybrid.ui.view import DEFAULT_SPLIT, View


def main() -> None:
    """Everything on the page, top to bottom."""
    view = session.current()
    st.header("Choose")
    st.write(
        "Set your limits. Among all bit widths and thresholds, the static networks and the cloud "
        "alone, this finds the point with the lowest energy that meets them, and certifies it."
    )
    query = form.query(view)
    answer = answers.answer(query, view, st.empty())
    sets, others = answers.pareto_sets(query, view), answers.compared(query, view)
    there = replace(view, split=f"{query.images}-tune" if query.images else DEFAULT_SPLIT)
    if warning := choice.apart(answer):
        st.warning(warning, icon=":material/call_split:")
    with st.container(border=True, key="choose_answer"):
        show_answer(answer)
        take_along(answer, sets, others, there)
    show_tables(answer)
    show_figures(answer, sets, there)
    show_other_models(answer, others)
    show_method(answer)


def show_answer(answer: Answer) -> None:
    """The answer in words, its figures, and its certificate."""
    best = answer.best
    if best is None:
        st.warning(choice.headline(answer), icon=":material/block:")
        return
    st.markdown("**The lowest-energy point that meets your limits**")
    st.text(choice.headline(answer))
    st.caption(choice.how(best))
    metrics(tables.boxes(best), columns=6, width=136)
    if answer.proof is not None:
        words = choice.certificate(answer.proof, best, answer.limits)
        st.info(words, icon=":material/verified:")
        keep_certificate(answer, words)
    elif answer.limits.confidence is not None:
        st.caption("Nothing can be certified: there is no trace of the certify split here.")
    st.caption(choice.on_images(answer))
    st.caption(choice.on_test(answer))


def keep_certificate(answer: Answer, words: str) -> None:
    """Let Explore show the certificate when the point is opened there."""
    try:
        certificates.keep(answer, words)
    except CertificateError as error:
        st.caption(f"Explore cannot show this certificate. {error}")


def take_along(
    answer: Answer, sets: Sequence[ParetoSet], others: Sequence[ProfileCheck], view: View
) -> None:
    """The point in Explore, as TOML, and as a report."""
    best = answer.best
    with st.container(horizontal=True):
        if best is not None:
            open_in_explore(view, candidate(best))
            st.download_button(
                "operating-point.toml",
                to_toml(point_file(answer)),
                file_name="operating-point.toml",
                mime="application/toml",
                icon=":material/download:",
                on_click="ignore",
                key="choose_toml",
            )
        st.download_button(
            "Report (HTML)",
            lambda: report.to_html(answer, sets, others),
            file_name="operating-point.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
            key="choose_report",
        )
    if best is not None and (words := tables.rounded(best.thresholds)):
        st.caption(words)


def candidate(best: Point) -> MarkedPoint:
    """The chosen point as a candidate."""
    return MarkedPoint(
        network=best.network, mode=best.mode, bits=best.bits, thresholds=best.thresholds
    )


def open_in_explore(view: View, one: MarkedPoint) -> None:
    """A link that opens Explore in a new tab, with the sliders at this point."""
    st.link_button(
        "Open in Explore",
        tables.explore_link(view, one),
        icon=":material/tune:",
        disabled=not one.early_exits,
        help=None if one.early_exits else "Explore shows networks with early exits; this has none.",
    )


def show_tables(answer: Answer) -> None:
    """Runners-up, what was left out and why, and every candidate's place."""
    if answer.runners_up:
        st.subheader("Runners-up")
        named = {str(place): point for place, point in enumerate(answer.runners_up, start=1)}
        st.dataframe(
            pd.DataFrame(choice.rows(named)),
            hide_index=True,
            key="choose_runners_up",
            alt="The next best points, with their figures on tune",
        )
    if answer.left_out:
        st.subheader("Left out, and why")
        table(tables.left_out(answer), "The nearest miss of each kind and the limits it exceeds")
    with st.expander("Every candidate", icon=":material/list:"):
        table(tables.ranking(answer), "The best point of every candidate and its place")


def table(rows: Sequence[dict[str, str]], alt: str) -> None:
    """A table of words that wrap, so that a reason can be read on a phone."""
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True, alt=alt)


def show_figures(answer: Answer, sets: Sequence[ParetoSet], view: View) -> None:
    """All candidates: accuracy against energy, and parallel axes to brush."""
    with st.container(border=True):
        st.markdown(
            f"**Accuracy lost against energy** ({view.scope}). Filled: meets every limit on the "
            "tuning images. Dotted lines: limits. Click a candidate to mark it."
        )
        event = st.plotly_chart(
            figures.trade(sets, answer),
            key="choose_trade",
            on_select="rerun",
            selection_mode="points",
            config=PLOT,
            alt="Accuracy lost against energy per image of all candidates, the choice ringed",
        )
        show_marked(tables.marked(event["selection"]["points"], sets), view)
    with st.container(border=True):
        st.markdown("**All candidates**. Drag along an axis to filter; the choice is red.")
        st.plotly_chart(
            figures.axes(sets, answer),
            key="choose_axes",
            config=PLOT,
            alt="All candidates as lines over parallel axes, those that meet the limits in blue",
        )


def show_marked(one: MarkedPoint | None, view: View) -> None:
    """The candidate that was clicked, with a link to it."""
    if one is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="choose_marked"):
        st.text(f"Marked: {one.words}")
        open_in_explore(view, one)


def show_other_models(answer: Answer, others: Sequence[ProfileCheck]) -> None:
    """Whether the choice is the same under another energy model."""
    if answer.best is None or len(others) < 2:
        return
    st.subheader("Under other energy models")
    st.write(choice.survival(others, answer.best))
    left, right = st.columns(2)
    with left:
        st.plotly_chart(
            figures.profiles(others),
            key="choose_profiles",
            config=PLOT,
            alt="Energy of the choice under each energy model, next to the best one there",
        )
    with right:
        table(tables.under_models(others), "The choice under each energy model")


def show_method(answer: Answer) -> None:
    """How the point was chosen, and which candidates could not take part."""
    st.caption(choice.counted(answer))
    for dataset, (network, variant) in answer.references.items():
        st.caption(f"Losses on {dataset} are counted against {variant} of {network}.")
    for note in choice.notes(answer):
        st.caption(note)


app_frame.through_app(__file__)
main()
