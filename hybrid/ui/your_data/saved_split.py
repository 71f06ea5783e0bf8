"""A saved split on Your data: its origin, its actions, and how it differs from the test split."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from hybrid.data import user_splits
from hybrid.data.images import Rejected
from hybrid.data.user_splits import UserSplit
from hybrid.errors import DataMissingError, TraceError
from hybrid.text import numbers
from hybrid.text.plain import plain
from hybrid.ui import app_frame, cache, palette, running
from hybrid.ui.charts import STILL, metrics
from hybrid.ui.choose import form
from hybrid.ui.explore import shares
from hybrid.ui.guard import callback
from hybrid.ui.jobs import Turns
from hybrid.ui.server import access
from hybrid.ui.view import DEFAULT_SPLIT, View
from hybrid.ui.your_data import figures, images, recorder, shifts
from hybrid.ui.your_data.shifts import Beside
from hybrid.zoo import WEIGHTS, Card, exit_labels

__all__ = ["draw", "show_refused"]

ROWS_SHOWN = 8  # of a table of files; more scroll inside it


def draw(about: UserSplit, view: View, card: Card) -> None:
    """A saved split: its origin, its actions, and how it differs from the test split."""
    show_about(about, card)
    actions(about, view, card)
    try:
        own = cache.trace(card.network, view.variant, about.name)
        test = cache.trace(card.network, view.variant, DEFAULT_SPLIT)
    except (DataMissingError, TraceError) as error:
        st.info(
            f"{plain(str(error))} Or choose another bit width on the left.",
            title="Not recorded at this bit width",
            icon=":material/database_off:",
        )
        return
    compared = shifts.beside(own, test, view, classes=len(card.classes))
    metrics(shifts.headlines(own, compared, view))
    show_shift(compared, view, card)


def show_about(about: UserSplit, card: Card) -> None:
    """Where the images came from and what was left out."""
    purposes = {
        "report": "",
        "tune": " One half, used to choose thresholds.",
        "certify": " The other half, used only for certificates.",
    }
    recorded = user_splits.recorded(
        about.network, about.name, {n: v.files[WEIGHTS] for n, v in card.variants.items()}
    )
    st.text(
        f"From {about.source}: {numbers.count(about.samples)} images "
        f"{'with' if about.labelled else 'without'} labels, {len(recorded)} of "
        f"{len(card.variants)} traces recorded.{purposes[about.purpose]}"
    )
    if about.left_out:
        words = ", ".join(f"{word or 'no label'} ({n})" for word, n in about.left_out.items())
        st.text(f"Left out, by label: {words}")
    if about.skipped:
        files = images.counted(about.skipped, "file", "files")
        show_refused(user_splits.skipped(about), f"{files} could not be read")


def actions(about: UserSplit, view: View, card: Card) -> None:
    """Open it in Explore, choose on it, record more of it, delete it."""
    with st.container(horizontal=True):
        if st.button(
            "Open in Explore",
            icon=":material/tune:",
            type="primary",
            key="your_explore",
        ):
            app_frame.open_page("explore", split=about.name)
        choose_on(about)
        missing = [
            name
            for name in images.variants(card, view.variant)
            if not user_splits.trace_path(
                about.network, about.name, name, card.recorded[name].files[WEIGHTS]
            ).is_file()
        ]
        if missing:
            st.button(
                f"Record {len(missing)} more traces" if len(missing) > 1 else "Record its trace",
                icon=":material/fiber_manual_record:",
                key="your_more",
                on_click=record_more,
                args=(about, card, missing, running.gate()),
            )
        with st.popover("Delete", icon=":material/delete:"):
            st.write("Deletes its images and traces here. The original files are not touched.")
            allowed = access.may_change(*recorder.split_key(about.network, about.name))
            st.button(
                f"Delete {about.name}",
                key="your_delete",
                on_click=delete,
                args=(about,),
                disabled=not allowed,
                help=None if allowed else access.NOT_YOURS,
            )


def choose_on(about: UserSplit) -> None:
    """The way to Choose, which needs both halves."""
    images = about.name.removesuffix(f"-{about.purpose}")
    halved = images in user_splits.halved(about.network)
    if st.button(
        "Choose on them",
        icon=":material/target:",
        key="your_choose",
        disabled=not halved,
        help=None
        if halved
        else "Choose needs the images in two halves: one to choose on and one to certify. Record "
        "them divided.",
    ):
        form.choose_on(about.network, images)
        app_frame.open_page("choose")


@callback
def record_more(about: UserSplit, card: Card, names: Sequence[str], gate: Turns) -> None:
    """Record the traces of these variants too."""
    recorder.record_more(about, card, names, gate)


@callback
def delete(about: UserSplit) -> None:
    """Delete a split."""
    user_splits.delete(about.network, about.name)


def show_shift(compared: Beside, view: View, card: Card) -> None:
    """Confidences, answers, confusions and classes, compared with the test split's."""
    st.subheader("How your images differ")
    names = exit_labels(view.early_exits)
    st.write(shifts.verdict(compared, names))
    left, right = st.columns(2)
    with left, st.container(border=True, height="stretch"):
        show_confidences(compared, names)
    with right, st.container(border=True, height="stretch"):
        show_answers(compared, card)
    if compared.confusion is None or compared.per_class is None:
        return
    left, right = st.columns(2)
    with left, st.container(border=True, height="stretch"):
        st.markdown("**Confusion matrix** at the current thresholds")
        st.plotly_chart(
            figures.confusion(compared.confusion, card.classes),
            key="your_confusion",
            config=STILL,
            alt="Labels against answers: a row for each class, its images counted by answer.",
        )
    with right, st.container(border=True, height="stretch"):
        st.markdown("**By class**: exits and accuracy")
        st.plotly_chart(
            shares.per_class(compared.per_class, card.classes),
            key="your_classes",
            config=STILL,
            alt="Share of each class that takes each exit, and its accuracy.",
        )


def show_confidences(compared: Beside, names: list[str]) -> None:
    """One exit's confidence on both splits."""
    st.markdown("**Confidence by exit**")
    number = names.index(
        st.segmented_control(
            "Exit", names, default=names[0], required=True, key=f"your_exit_{len(names)}"
        )
        or names[0]
    )
    colour = palette.CLOUD if number == len(names) - 1 else palette.exit_colour(number)
    st.plotly_chart(
        figures.confidences(
            compared.confidences[0, number],
            compared.confidences[1, number],
            colour=colour,
            names=("Your images", "Test images"),
        ),
        key="your_confidences",
        config=STILL,
        alt=f"Confidence of {names[number]} on your images and on the test images.",
    )
    st.caption(
        f"Mean {numbers.fixed(compared.means[0, number], 3)} on yours and "
        f"{numbers.fixed(compared.means[1, number], 3)} on the test images; largest gap of the "
        f"cumulative curves {numbers.fixed(compared.gaps[number], 3)} (0: equal, 1: no overlap)."
    )


def show_answers(compared: Beside, card: Card) -> None:
    """Answers on both splits, and the labels."""
    st.markdown("**Answers by class** at the current thresholds")
    rows = [
        ("Your images", compared.answers[0], palette.exit_colour(0)),
        ("Test images", compared.answers[1], palette.TWIN_COLOUR),
    ]
    if compared.labels is not None:
        rows.insert(1, ("Your labels", compared.labels, palette.LINE))
    st.plotly_chart(
        figures.shares(rows, card.classes),
        key="your_answers",
        config=STILL,
        alt="Share of the images that each class is the answer for, on yours and on the test's.",
    )
    st.caption(f"The class shares differ by {numbers.percent(compared.variation)} in all.")


def show_refused(refused: Sequence[Rejected], what: str) -> None:
    """Why files are left out, in cells that show a file's name as it is."""
    if not refused:
        return
    table = pd.DataFrame({"File": one.name, "Why": one.sentence} for one in refused)
    with st.expander(what, icon=":material/broken_image:", expanded=len(refused) <= ROWS_SHOWN):
        st.dataframe(
            table,
            hide_index=True,
            height="content" if len(table) <= ROWS_SHOWN else 280,
            key="your_refused",
            alt=f"{what}, each with the reason.",
        )
