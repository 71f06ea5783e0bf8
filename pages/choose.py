"""Choose: limits in, the operating point that keeps them at least energy out, with reasons."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from hybrid.choosing import Answer, ParetoSet, Point, ProfileCheck, point_file, to_toml
from hybrid.data import user_splits
from hybrid.text import choice, numbers
from hybrid.ui import app_frame, cache, session
from hybrid.ui.choose import answers, figures, report
from hybrid.ui.choose.query import NUMBERS, Query
from hybrid.ui.session import DEFAULT_SPLIT, STEPS, View, on_grid

PLOT = {"displayModeBar": False, "responsive": True}
BATTERY = ("images_per_day", "battery_mah", "battery_volts", "min_days")
LISTS = ("among", "images", "under")


def main() -> None:
    """Everything on the page, top to bottom."""
    view = session.current()
    st.header("Choose")
    st.write(
        "State your limits. Of all bit widths and thresholds, the static networks and the plain "
        "cloud, this finds the point that keeps them at least energy, with a guarantee."
    )
    query = asked(view)
    answer = answers.answer(query, view, st.empty())
    seen, others = answers.pareto_sets(query, view), answers.compared(query, view)
    there = replace(view, split=f"{query.images}-tune" if query.images else DEFAULT_SPLIT)
    if warning := choice.apart(answer):
        st.warning(warning, icon=":material/call_split:")
    with st.container(border=True, key="choose_answer"):
        say(answer)
        take_along(answer, seen, others, there)
    tables(answer)
    pictures(answer, seen, there)
    under_other_models(answer, others)
    small_print(answer)


def asked(view: View) -> Query:
    """The limits as the user sets them, from the link at first; written into the address."""
    known = cache.offers()
    start_from_link(view)
    start_from_your_data()
    follow_sidebar(view)
    with st.container(border=True, key="choose_limits"):
        with st.grid(6, min_column_width=136):
            numbers_given = {key: number(key) for key in NUMBERS if key not in BATTERY}
        with st.grid(3, min_column_width=300):
            networks = st.multiselect(
                "Networks to choose among",
                list(known.early_exits),
                key="choose_among",
                persist_state="session",
                help="Each with all its bit widths and static networks.",
            )
            images = own_images(known)
            profiles = st.multiselect(
                "Compare under other energy models",
                [name for name in known.profiles if name != view.profile],
                key="choose_under",
                persist_state="session",
                help="Published models differ: does the choice survive?",
            )
        battery = st.expander("Battery", icon=":material/battery_full:")
        with battery, st.grid(4, min_column_width=136):
            numbers_given |= {key: number(key) for key in BATTERY}
    query = Query(
        networks=tuple(networks),
        numbers=numbers_given,
        profiles=tuple(profiles),
        images=images,
    )
    say_problems(query)
    if missing := query.missing:
        are = "is" if len(missing) == 1 else "are"
        st.info(
            f"The battery decides once {' and '.join(missing)} {are} given too.",
            icon=":material/battery_unknown:",
        )
    write_address(query)
    return query


def own_images(known: cache.Offers) -> str:
    """The images that decide: the data set's, or the user's own."""
    offered = ["", *divided(known)]
    if st.session_state.get("choose_images") not in offered:
        st.session_state["choose_images"] = ""  # deleted meanwhile
    chosen_images: str = st.selectbox(
        "Images",
        offered,
        key="choose_images",
        persist_state="session",
        format_func=lambda name: f"Yours: {name}" if name else "The data set's",
        help="Your own are offered here once Your data has recorded them in two halves, one to "
        "choose on and one to certify.",
    )
    return chosen_images


def divided(known: cache.Offers) -> list[str]:
    """The images of the user's own that some network has in two halves."""
    return sorted({name for network in known.early_exits for name in user_splits.halved(network)})


def number(key: str) -> float | None:
    """One limit; empty sets none."""
    wish = NUMBERS[key]
    value: float | None = st.number_input(
        wish.label,
        min_value=wish.least,
        max_value=wish.most,
        value=wish.default,
        step=wish.step,
        format="%.10g",
        key=f"choose_{key}",
        placeholder="no limit",
        help=wish.help,
        persist_state="session",
    )
    return value


def start_from_link(view: View) -> None:
    """On a session's first visit, set the widgets to what the link says."""
    state = st.session_state
    if "choose_problems" in state:
        return
    known = cache.offers()
    query, state["choose_problems"] = Query.read(
        st.query_params.to_dict(),
        network=view.network,
        networks=tuple(known.early_exits),
        profiles=known.profiles,
        images=divided(known),
    )
    state["choose_link"] = None
    for key, value in query.numbers.items():
        state[f"choose_{key}"] = value
    state["choose_among"] = list(query.networks)
    state["choose_images"] = query.images
    state["choose_under"] = [name for name in query.profiles if name != view.profile]


def start_from_your_data() -> None:
    """Where Your data sent the user here: its network, on its images."""
    state = st.session_state
    if "choose_on" in state:
        network, state["choose_images"] = state.pop("choose_on")
        state["choose_among"] = [network]


def follow_sidebar(view: View) -> None:
    """Where one network was chosen among, that of the sidebar takes its place when it changes."""
    state = st.session_state
    before = state.get("choose_network", view.network)
    if before != view.network and state["choose_among"] == [before]:
        state["choose_among"] = [view.network]
    state["choose_network"] = view.network


def say_problems(query: Query) -> None:
    """What the link had wrong stays said until a limit moves."""
    state = st.session_state
    if state["choose_link"] is None:
        state["choose_link"] = query
    if state["choose_link"] != query:
        state["choose_problems"] = ()
    for problem in state["choose_problems"]:
        st.warning(problem, icon=":material/link_off:")


def write_address(query: Query) -> None:
    """The limits beside the view that the shell has written."""
    wanted = query.write()
    for key in (*NUMBERS, *LISTS):
        if key in wanted and st.query_params.get(key) != wanted[key]:
            st.query_params[key] = wanted[key]
        elif key not in wanted and key in st.query_params:
            del st.query_params[key]


def say(answer: Answer) -> None:
    """The answer in words, its figures, and what is promised of it."""
    best = answer.best
    if best is None:
        st.warning(choice.headline(answer), icon=":material/block:")
        return
    st.markdown("**The best point that keeps your limits**")
    st.text(choice.headline(answer))
    st.caption(choice.how(best))
    figures_of(best)
    if answer.proof is not None:
        words = choice.certificate(answer.proof, best, answer.limits)
        st.info(words, icon=":material/verified:")
    elif answer.limits.confidence is not None:
        st.caption("There is no trace of certify here, so nothing can be promised.")
    st.caption(choice.on_images(answer))
    st.caption(choice.on_test(answer))


def figures_of(best: Point) -> None:
    """The figures it was chosen by, those of test below."""
    with st.grid(6, min_column_width=136):
        st.metric(
            "Accuracy",
            numbers.percent(best.tune.accuracy, 2),
            best.test and f"test {numbers.percent(best.test.accuracy, 2)}",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
        for key, value in best.tune.by_limit.items():
            st.metric(
                choice.FIGURES[key],
                short_figure(key, value),
                best.test and f"test {short_figure(key, best.test.by_limit[key])}",
                delta_color="off",
                delta_arrow="off",
                border=True,
            )


def short_figure(key: str, value: float) -> str:
    """A figure that fits a tile."""
    return f"{numbers.fixed(value, 2)} pp" if key == "loss_points" else choice.figure(key, value)


def take_along(
    answer: Answer, seen: Sequence[ParetoSet], others: Sequence[ProfileCheck], view: View
) -> None:
    """The point in Explore, as TOML, and as a report."""
    best = answer.best
    with st.container(horizontal=True):
        if best is not None:
            open_in_explore(view, best.network, best.mode, best.bits, best.thresholds)
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
            lambda: report.to_html(answer, seen, others),
            file_name="operating-point.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
            key="choose_report",
        )
    if best is not None and any(on_grid(t) != t for t in best.thresholds):
        there = choice.thresholds([on_grid(t) for t in best.thresholds])
        st.caption(f"Explore's sliders move in steps of {1 / STEPS:g}: there it stands at {there}.")


def open_in_explore(
    view: View, network: str, mode: str, bits: int, thresholds: Sequence[float]
) -> None:
    """A link to Explore with the sliders at this point; in a tab of its own, this page stays."""
    cut = mode in {"hybrid", "edge"}
    there = replace(
        view,
        network=network,
        bits=bits,
        thresholds=tuple(on_grid(threshold) for threshold in thresholds),
        together=False,
    )
    st.link_button(
        "Open in Explore",
        f"./?{urlencode(there.write())}",  # relative, as the server may stand below a path
        icon=":material/tune:",
        disabled=not cut,
        help=None if cut else "Explore shows cut networks; this one has no early exit.",
    )


def tables(answer: Answer) -> None:
    """Runners-up, what was left out and why, and where everybody stands."""
    if answer.runners_up:
        st.subheader("Runners-up")
        named = {str(place): point for place, point in enumerate(answer.runners_up, start=1)}
        st.dataframe(
            pd.DataFrame(choice.rows(named)),
            hide_index=True,
            key="choose_runners_up",
            alt="The points that come after the choice, with their figures on tune",
        )
    if answer.left_out:
        st.subheader("What was left out, and why")
        reasons = [
            {"Left out": choice.name(one.point), "Why": choice.reason(one)}
            for one in answer.left_out
        ]
        table(reasons, "The nearest miss of each kind and the limits it breaks")
    with st.expander("Every candidate", icon=":material/list:"):
        stand = [
            {
                "Candidate": choice.name(one.point),
                "Thresholds": choice.thresholds(one.point.thresholds) or "none",
                "Stands": choice.place(one, answer),
            }
            for one in answer.ranking
        ]
        table(stand, "The best of every candidate and where it stands")


def table(rows: Sequence[dict[str, str]], alt: str) -> None:
    """A table of words that wrap, so that a reason can be read on a phone."""
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True, alt=alt)


def pictures(answer: Answer, seen: Sequence[ParetoSet], view: View) -> None:
    """All candidates: the trade, and parallel axes to brush."""
    with st.container(border=True):
        st.markdown(
            f"**Accuracy lost against energy** ({view.scope}): filled keeps every limit that tune "
            "can see, dotted lines are limits, a click marks a candidate"
        )
        event = st.plotly_chart(
            figures.trade(seen, answer),
            key="choose_trade",
            on_select="rerun",
            selection_mode="points",
            config=PLOT,
            alt="Accuracy lost against energy per image of all candidates, the choice ringed",
        )
        marked(event["selection"]["points"], seen, view)
    with st.container(border=True):
        st.markdown("**All candidates**: drag along an axis to keep what is inside; red is chosen")
        st.plotly_chart(
            figures.axes(seen, answer),
            key="choose_axes",
            config=PLOT,
            alt="All candidates as lines over parallel axes, those that keep the limits in blue",
        )


def marked(points: Sequence[dict[str, list[float]]], seen: Sequence[ParetoSet], view: View) -> None:
    """The candidate that was clicked, and the way to it."""
    if not points or "customdata" not in points[0]:
        return
    number_, row = (int(value) for value in list(points[0]["customdata"])[:2])
    if number_ >= len(seen) or row >= len(seen[number_].over):
        return
    one = seen[number_]
    thresholds = one.thresholds[row].tolist()
    at = choice.thresholds(thresholds) or "no threshold"
    with st.container(horizontal=True, vertical_alignment="center", key="choose_marked"):
        st.text(f"Marked: {one.network}, {one.mode} {one.bits} bit at {at}")
        open_in_explore(view, one.network, one.mode, one.bits, thresholds)


def under_other_models(answer: Answer, others: Sequence[ProfileCheck]) -> None:
    """Whether the choice stays the same under other energy models."""
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
            alt="Energy of the choice under each energy model, beside the best one there",
        )
    with right:
        rows = [{"Energy model": one.profile, "There": choice.verdict(one)} for one in others]
        table(rows, "What would be chosen under each energy model")


def small_print(answer: Answer) -> None:
    """How it was chosen, and what could not compete."""
    st.caption(choice.counted(answer))
    for dataset, (network, variant) in answer.references.items():
        st.caption(f"Losses on {dataset} are counted against {variant} of {network}.")
    for note in choice.notes(answer):
        st.caption(note)


app_frame.through_app(__file__)
main()
