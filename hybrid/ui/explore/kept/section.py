"""The section of Explore with the kept points: keep, list, rename, remove, compare, export.

The points are in the session. The address carries them as text, on every page.
"""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from hybrid.errors import HybridError, PointError
from hybrid.text import numbers
from hybrid.text.plain import plain
from hybrid.ui import cache, session
from hybrid.ui.charts import PLOT
from hybrid.ui.explore import load, shares
from hybrid.ui.explore.data import Frontier
from hybrid.ui.explore.kept import comparison, figures
from hybrid.ui.explore.kept.evaluated import Evaluated, as_csv, as_json, evaluate
from hybrid.ui.explore.kept.points import (
    MOST,
    NAME_CHARACTERS,
    KeptPoint,
    KeptReading,
    decode,
    encode,
    free_name,
    from_json,
    with_point,
)
from hybrid.ui.guard import callback, guarded

__all__ = ["draw"]

STATE, LINK = "explore_kept_points", "kept"
_IMPORT_BYTES = 1_000_000
_COLUMNS = {
    "Accuracy (%)": st.column_config.NumberColumn(format="%.2f"),
    "Energy (µJ)": st.column_config.NumberColumn(format="%.3g"),
    "At the edge (%)": st.column_config.NumberColumn(format="%.1f"),
    "Latency (ms)": st.column_config.NumberColumn(format="%.3g"),
    "Uplink (B)": st.column_config.NumberColumn(format="%.0f"),
}


@st.fragment
@guarded
def draw() -> None:
    """The whole section; it runs without the rest of the page when one of its widgets is used."""
    text = session.carried(LINK)
    if st.session_state.get(STATE, (None,))[0] != text:
        st.session_state[STATE] = text, decode(text, cache.offers())
    with st.container(border=True, key="explore_kept"):
        _head()
        _show_problems()
        points = _points()
        if not points:
            return
        found = [_evaluated(one) for one in points]
        _list(points, found)
        chosen = _choose(points)
        _actions(chosen, [one for one in found if one is not None])
        pair = [one for one in found if one is not None and one.kept in chosen]
        if len(pair) == 2:
            _compare(pair if pair[0].kept == chosen[0] else pair[::-1])


def _head() -> None:
    """The field for a name, the button that keeps, and the import."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "**Keep and compare points**",
            key="explore_kept_name",
            max_chars=NAME_CHARACTERS,
            placeholder="Name of the present point",
            width=280,
        )
        st.button(
            "Keep this point",
            key="explore_kept_keep",
            icon=":material/bookmark_add:",
            on_click=_keep,
            help=f"Keeps up to {MOST} points in this session and in the link.",
        )
        with st.popover("Import", icon=":material/upload:"):
            file = st.file_uploader(
                "Kept points or one point, as Explore exports them (JSON)",
                type="json",
                key="explore_kept_import",
            )
            st.button(
                "Add its points",
                key="explore_kept_add",
                disabled=file is None,
                on_click=_import,
            )


def _show_problems() -> None:
    """Every error of a link or file, as plain text: it may quote anything."""
    problems = st.session_state[STATE][1].problems
    if problems:
        st.warning("Some kept points could not be read.", icon=":material/bookmark_remove:")
    for problem in problems:
        st.text(problem)


def _list(points: Sequence[KeptPoint], found: Sequence[Evaluated | None]) -> None:
    rows = [comparison.listed(one, some) for one, some in zip(points, found, strict=True)]
    st.dataframe(
        rows,
        hide_index=True,
        key="explore_kept_table",
        column_config=_COLUMNS,
        alt="The kept points, each with its settings and figures",
    )
    if None in found:
        st.caption("A point without figures has no trace on this machine.")


def _choose(points: Sequence[KeptPoint]) -> list[KeptPoint]:
    """The point that the buttons act on, and the one it is compared with, if any."""
    names = [one.name for one in points]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _valid("explore_kept_first", names)
        first = st.selectbox("Point", names, key="explore_kept_first", width=220)
        others = [name for name in names if name != first]
        _valid("explore_kept_second", others)
        second = st.selectbox(
            "Compare with",
            others,
            index=None,
            placeholder="No other point" if not others else "Choose a point",
            key="explore_kept_second",
            disabled=not others,
            width=220,
        )
    by_name = {one.name: one for one in points}
    return [by_name[name] for name in (first, second) if name is not None]


def _valid(key: str, names: Sequence[str]) -> None:
    """A name that is no longer there is no choice any more."""
    if st.session_state.get(key) not in names:
        st.session_state.pop(key, None)


def _actions(chosen: Sequence[KeptPoint], found: Sequence[Evaluated]) -> None:
    """Open, rename, update, remove; and all points as files."""
    first = chosen[0]
    with st.container(horizontal=True):
        if st.button("Open", key="explore_kept_open", icon=":material/open_in_full:",
                     on_click=callback(session.change), kwargs=vars(first.view)):  # fmt: skip
            st.rerun()  # redraws the controls too, not only the fragment
        with st.popover("Rename", icon=":material/edit:"):
            st.text_input(
                "New name",
                key="explore_kept_rename",
                max_chars=NAME_CHARACTERS,
                placeholder=first.name,
            )
            st.button("Rename it", key="explore_kept_renamed", on_click=_rename, args=(first,))
        st.button("Remove", key="explore_kept_remove", icon=":material/delete:",
                  on_click=_remove, args=(first,))  # fmt: skip
        st.download_button(
            "All (JSON)",
            lambda: as_json(found),
            file_name="kept-points.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key="explore_kept_json",
        )
        st.download_button(
            "All (CSV)",
            lambda: as_csv(found),
            file_name="kept-points.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="explore_kept_csv",
        )


def _compare(pair: Sequence[Evaluated]) -> None:
    """Two points side by side: figures, curves, by class."""
    one, other = pair
    rows = comparison.compared(one, other)
    table = {
        "": [row.label for row in rows],
        one.kept.name: [row.first for row in rows],
        other.kept.name: [row.second for row in rows],
        "Difference": [row.difference for row in rows],
    }
    left, right = st.columns(2)
    with left:
        scopes = dict.fromkeys(found.view.scope for found in pair)
        st.markdown(f"**Figures** ({', '.join(scopes)}). Differences: the second minus the first")
        st.dataframe(table, hide_index=True, key="explore_kept_figures",
                     alt="Headline figures of both points and their differences")  # fmt: skip
        for sentence in comparison.apart(one, other):
            st.caption(plain(sentence))
    with right:
        st.markdown("**Each on the frontier of its own network and bit width**")
        dearest_pj = max(max(found.prices.costs.energy_pj) for found in pair)
        scale_pj, unit = numbers.energy_unit(dearest_pj)
        st.plotly_chart(
            figures.curves(pair, list(map(_frontier, pair)), scale_pj=scale_pj, unit=unit),
            key="explore_kept_curves",
            config=PLOT,
            alt="Accuracy against energy per image of both points, each with its frontier",
        )
    _compare_classes(pair)


def _compare_classes(pair: Sequence[Evaluated]) -> None:
    """Exits and accuracy by class of each; and both accuracies together if the classes agree."""
    for number, (found, column) in enumerate(zip(pair, st.columns(2), strict=True)):
        with column:
            st.markdown("**By class**: exits and accuracy of")
            st.text(found.kept.name)
            st.plotly_chart(
                shares.per_class(found.by_class, found.card.classes, labelled=found.labelled),
                key=f"explore_kept_classes_{number}",
                config=PLOT,
                alt=f"Exits and accuracy by class of {found.kept.name}",
            )
    if pair[0].card.classes == pair[1].card.classes:
        st.markdown("**By class**: accuracy of both")
        st.plotly_chart(
            figures.accuracies(pair),
            key="explore_kept_accuracies",
            config=PLOT,
            alt="Accuracy by class of both points",
        )


def _frontier(found: Evaluated) -> Frontier | None:
    frontiers = load.frontiers(found.view)
    return next((one for one in frontiers if one.bits == found.view.bits), None)


def _evaluated(kept: KeptPoint) -> Evaluated | None:
    try:
        return evaluate(kept)
    except HybridError:
        return None


# ---- what the buttons do -----------------------------------------------------------------------


def _points() -> tuple[KeptPoint, ...]:
    reading: KeptReading = st.session_state[STATE][1]
    return reading.points


def _set(points: Sequence[KeptPoint], problems: Sequence[str] = ()) -> None:
    """Keep exactly these, in the session and in the address."""
    text = encode(points)
    st.session_state[STATE] = text, KeptReading(points=tuple(points), problems=tuple(problems))
    session.carry(LINK, text)


@callback
def _keep() -> None:
    name = st.session_state["explore_kept_name"]
    try:
        _set(with_point(_points(), name, session.current()))
    except PointError as error:
        _set(_points(), [str(error)])
    st.session_state["explore_kept_name"] = ""


@callback
def _rename(kept: KeptPoint) -> None:
    others = [one.name for one in _points() if one != kept]
    name = free_name(st.session_state["explore_kept_rename"] or kept.name, others)
    _set([replace(one, name=name) if one == kept else one for one in _points()])
    for key in ("explore_kept_first", "explore_kept_second"):
        if st.session_state.get(key) == kept.name:
            st.session_state[key] = name
    st.session_state["explore_kept_rename"] = ""


@callback
def _remove(kept: KeptPoint) -> None:
    _set([one for one in _points() if one != kept])


@callback
def _import() -> None:
    file = st.session_state["explore_kept_import"]
    if file.size > _IMPORT_BYTES:
        _set(_points(), ["The file is larger than 1 MB; export kept points from Explore."])
        return
    reading = from_json(file.getvalue().decode("utf-8", "replace"), cache.offers())
    points, problems = _points(), list(reading.problems)
    for one in reading.points:
        try:
            points = with_point(points, one.name, one.view)
        except PointError as error:
            problems.append(f"Point {one.name!r} was not added. {error}")
    _set(points, problems)
