"""Choose: the lowest-energy operating point that meets your limits, with reasons."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from hybrid.choosing import (
    Answer,
    Decided,
    ParetoSet,
    Point,
    ProfileCheck,
    point_file,
    to_toml,
)
from hybrid.text import candidate, choice, decision, glossary
from hybrid.text.plain import plain
from hybrid.ui import app_frame, cache, session
from hybrid.ui.charts import PLOT, metrics
from hybrid.ui.choose import answers, certified, figures, form, tables
from hybrid.ui.choose.certified import CertifiedPoint
from hybrid.ui.choose.query import Query
from hybrid.ui.choose.tables import MarkedPoint
from hybrid.ui.view import DEFAULT_SPLIT, View

_RULED_OUT = 3  # points shown that only the certificate rules out


def main() -> None:
    """Everything on the page, top to bottom."""
    view = session.current()
    st.header("Choose")
    st.markdown(
        "Set your limits. Among all bit widths and thresholds, the static networks and the cloud "
        "alone, this finds the point with the lowest energy that meets them, and certifies it.",
        help=glossary.define("static network", "certificate", "split"),
    )
    query = form.query(view)
    place = st.empty()
    if query.problems:
        place.warning(form.refusal(query), icon=":material/block:")
        return
    answer = answers.answer(query, view, place)
    with place.container():
        show(answer, query, view)


def show(answer: Answer, query: Query, view: View) -> None:
    """The answer, and everything that explains it."""
    if change := answers.reference_change(answer, query, view):
        st.info(plain(change), icon=":material/sync_alt:")
    there = replace(view, split=f"{query.images}-tune" if query.images else DEFAULT_SPLIT)
    if warning := choice.apart(answer):
        st.warning(plain(warning), icon=":material/call_split:")
    with st.container(border=True, key="choose_answer"):
        show_answer(answer)
        take_along(answer, query, there)
    show_curve(answer, query, view)
    show_tables(answer)
    show_figures(answer, answers.pareto_sets(query, view), there)
    show_other_models(answer, answers.compared(query, view))
    show_method(answer)


def show_answer(answer: Answer) -> None:
    """The answer, beside it the one without the certificate, and what decided between them."""
    if answer.decided is Decided.CERTIFICATE and answer.without is not None:
        left, right = st.columns(2)
        with left:
            show_best(answer, columns=3)
        with right, st.container(border=True, key="choose_without"):
            show_without(answer, answer.without)
    else:
        show_best(answer, columns=6)
    if answer.best is not None:
        show_evidence(answer, answer.best)
    show_ruled_out(answer)


def show_best(answer: Answer, *, columns: int) -> None:
    """The answer in words and its figures."""
    best = answer.best
    if best is None:
        st.warning(plain(choice.headline(answer)), icon=":material/block:")
        return
    st.markdown(
        "**The lowest-energy point that meets your limits**",
        help=glossary.define("operating point", "hybrid", "candidate", "deployment mode"),
    )
    st.text(choice.headline(answer))
    st.caption(plain(candidate.how(best)))
    metrics(tables.boxes(best, answer.limits), columns=columns, width=120)
    st.caption(tables.about_boxes(best, answer.scope))


def show_without(answer: Answer, other: Point) -> None:
    """The answer without the certificate, and what the certificate costs."""
    st.markdown("**Without the certificate**")
    metrics(tables.boxes(other, answer.limits)[:3], columns=3, width=120)
    st.text(decision.without(answer))


def show_evidence(answer: Answer, best: Point) -> None:
    """How far the answer can be believed: its certificate, what decided, and the test images."""
    if answer.limits.uncertified:
        st.warning(plain(decision.decided(answer)), icon=":material/gpp_maybe:")
    else:
        if answer.proof is not None:
            words = choice.certificate(answer.proof, best, answer.limits)
            st.info(plain(words), icon=":material/verified:")
        elif answer.limits.confidence is not None:
            st.caption("Nothing can be certified: there is no trace of the certify split here.")
        st.text(decision.decided(answer))
    st.caption(plain(f"{choice.on_images(answer)} {choice.on_test(answer)}"))


def show_ruled_out(answer: Answer) -> None:
    """The points that only the certificate rules out, and what it would take to certify them."""
    ruled_out = answer.uncertifiable[:_RULED_OUT]
    if ruled_out:
        st.text("These meet every limit on the tuning images and cannot be certified:")
    for one in ruled_out:
        st.caption(plain(decision.uncertifiable(one)))


def take_along(answer: Answer, query: Query, view: View) -> None:
    """The point in Explore, as TOML, and as a report."""
    best = answer.best
    with st.container(horizontal=True):
        if best is not None:
            proof = tables.certified(answer)
            open_in_explore(view, marked(best, answer), key="choose_open", proof=proof)
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
            lambda: answers.report(query, view),
            file_name="operating-point.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
            key="choose_report",
        )


def marked(best: Point, answer: Answer) -> MarkedPoint:
    """The chosen point as a candidate."""
    return MarkedPoint(
        network=best.network,
        mode=best.mode,
        bits=best.bits,
        thresholds=best.thresholds,
        deployed=answer.deployed,
    )


def open_in_explore(
    view: View, one: MarkedPoint, *, key: str, proof: CertifiedPoint | None = None
) -> None:
    """A button that opens Explore at this point, where its certificate holds too."""
    if st.button(
        "Open in Explore",
        key=key,
        icon=":material/tune:",
        disabled=not one.early_exits,
        help=None if one.early_exits else "Explore shows networks with early exits; this has none.",
        on_click=certified.keep,
        args=(proof,),
    ):
        app_frame.open_page("explore", **tables.in_explore(one, view))


def show_curve(answer: Answer, query: Query, view: View) -> None:
    """The least energy for each loss allowed, with and without the certificate."""
    with st.container(border=True):
        st.markdown(
            f"**Least energy for the accuracy that may be lost** ({view.scope}). The other limits "
            "are kept. Click a point to make its loss your limit."
        )
        curve = answers.curve(query, view)
        st.plotly_chart(
            cache.derived(
                "loss curve",
                lambda: figures.loss_curve(curve, answer.limits.max_loss_points),
                curve,
                answer.limits.max_loss_points,
            ),
            key=form.CURVE,
            on_select=form.limit_loss,
            selection_mode="points",
            config=PLOT,
            alt="Least energy per image over the accuracy that may be lost, with and without the "
            "certificate; the table below has the numbers",
        )
        st.caption(decision.curve(answer.limits))
        with st.expander("As a table", icon=":material/list:"):
            table(tables.costs(curve), "Least energy for each loss allowed")


def show_tables(answer: Answer) -> None:
    """Runners-up, what was left out and why, and every candidate's place."""
    if answer.runners_up:
        st.subheader("Runners-up")
        named = {str(place): point for place, point in enumerate(answer.runners_up, start=1)}
        st.dataframe(
            pd.DataFrame(choice.rows(named, answer.scope)),
            hide_index=True,
            key="choose_runners_up",
            alt="The next best points, with their figures on tune",
        )
    if answer.left_out:
        st.subheader("Left out, and why")
        table(tables.left_out(answer), "The choice, the nearest misses, and the limits they exceed")
    with st.expander("Every candidate", icon=":material/list:"):
        table(tables.ranking(answer), "The best point of every candidate and its place")


def table(rows: Sequence[dict[str, str]], alt: str) -> None:
    """A table of words that wrap, so that a reason can be read on a phone."""
    cells = [{plain(name): plain(cell) for name, cell in row.items()} for row in rows]
    st.table(pd.DataFrame(cells), border="horizontal", hide_index=True, alt=alt)


def show_figures(answer: Answer, sets: Sequence[ParetoSet], view: View) -> None:
    """All candidates: accuracy against energy, and parallel axes to brush."""
    with st.container(border=True):
        st.markdown(
            f"**Accuracy lost against energy** ({view.scope}). Filled: meets every limit on the "
            f"tuning images{tables.ruled_out(answer, sets)}. Dotted lines: limits. Click a "
            "candidate to mark it."
        )
        event = st.plotly_chart(
            cache.derived("trade", lambda: figures.trade(sets, answer), sets, answer),
            key="choose_trade",
            on_select="rerun",
            selection_mode="points",
            config=PLOT,
            alt="Accuracy lost against energy per image of all candidates, the choice ringed",
        )
        points = event["selection"]["points"]
        show_marked(tables.marked(points, sets, deployed=answer.deployed), view)
    with st.container(border=True):
        st.markdown(
            f"**All candidates** ({view.scope}). Drag along an axis to filter; the choice is red."
        )
        st.plotly_chart(
            cache.derived("axes", lambda: figures.axes(sets, answer), sets, answer),
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
        open_in_explore(view, one, key="choose_open_marked")


def show_other_models(answer: Answer, others: Sequence[ProfileCheck]) -> None:
    """Whether the choice is the same under another energy model."""
    if answer.best is None or len(others) < 2:
        return
    st.subheader(
        f"Under other energy models ({answer.scope})", help=glossary.define("profile check")
    )
    st.markdown(plain(choice.survival(others, answer.best)))
    left, right = st.columns(2)
    with left:
        st.plotly_chart(
            cache.derived("profiles", lambda: figures.profiles(others), others),
            key="choose_profiles",
            config=PLOT,
            alt="Energy of the choice under each energy model, next to the best one there",
        )
    with right:
        table(tables.under_models(others), "The choice under each energy model")


def show_method(answer: Answer) -> None:
    """How the point was chosen, and which candidates could not take part."""
    st.caption(plain(choice.counted(answer)))
    for dataset, (network, variant) in answer.references.items():
        st.caption(f"Losses on {plain(dataset)} are counted against {variant} of {network}.")
    for note in choice.notes(answer):
        st.caption(plain(note))


app_frame.through_app(__file__)
main()
