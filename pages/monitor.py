"""Monitor: whether a device keeps the promise of its certificate, from the lines that it wrote."""

import streamlit as st

from hybrid.data.corruptions import CORRUPTIONS, STRENGTHS
from hybrid.errors import DataMissingError, HybridError
from hybrid.monitor.plan import Plan, parse_plan
from hybrid.monitor.watch import Status
from hybrid.text import glossary, numbers
from hybrid.text import monitor as text
from hybrid.text.plain import plain
from hybrid.ui import app_frame, palette, session, uploads
from hybrid.ui.charts import STILL, Box, metrics
from hybrid.ui.monitor import devices, figures
from hybrid.ui.view import View
from hybrid.ui.your_data.figures import confidences

SOURCES = {"made_up": "Made-up device", "upload": "Lines of a device"}
State = tuple[Status, Plan]


def main() -> None:
    """The page: a device, whether it keeps its promise, and what else is to be seen."""
    st.header("Monitor")
    st.write(
        "A device sends a few of its early answers to the cloud as well. They show whether the "
        "promise of its certificate still holds."
    )
    source = st.segmented_control(
        "Device",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        default="made_up",
        required=True,
        key="monitor_source",
        help=glossary.define("certificate"),
    )
    try:
        found = uploaded() if source == "upload" else made_up(session.current())
    except HybridError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if found is None:
        return
    show_verdict(*found)
    show_evidence(*found)
    show_certified(*found)
    show_diagnostics(*found)
    show_lines(*found)


def uploaded() -> State | None:
    """The status from a plan and lines that were uploaded; None as long as one is missing."""
    left, right = st.columns(2)
    plan_file = left.file_uploader(
        "Plan, from `hybrid monitor --save-plan`", type="json", key="monitor_plan"
    )
    lines_file = right.file_uploader(
        "Lines of the device, from `hybrid edge`",
        type=["jsonl", "json", "txt", "log"],
        key="monitor_lines",
    )
    if plan_file is None or lines_file is None:
        st.caption("Upload both files. Nothing leaves this server.")
        return None
    read = plan_file.getvalue().decode("utf-8", errors="replace")
    plan = parse_plan(read, name=plan_file.name)
    key = (plan_file.file_id, lines_file.file_id)
    kept: tuple[tuple[str, str], Status] | None = st.session_state.get("monitor_status")
    if kept is None or kept[0] != key:
        with st.spinner("Reading the lines"):
            kept = (key, devices.watched(plan, uploads.content(lines_file)))
        st.session_state["monitor_status"] = kept
    return kept[1], plan


def made_up(view: View) -> State | None:
    """A device at the present point whose lens gets dirty after 10,000 images."""
    usual, default = devices.usual(view)
    left, middle, right = st.columns(3)
    promised = left.number_input(
        "Promise: at most so many answers differ (%)",
        min_value=0.1,
        max_value=99.0,
        value=default,
        step=0.5,
        key=f"monitor_promise_{view.network}_{view.bits}",
        help=glossary.explain(
            f"On tune, {numbers.percent(usual, 2)} of the answers at these thresholds differ from "
            "those of the final exit."
        ),
    )
    corruption = middle.selectbox(
        "What happens after 10,000 images", list(CORRUPTIONS), key="monitor_corruption"
    )
    strength = right.select_slider("How strongly", (0, *STRENGTHS), value=0, key="monitor_strength")
    plan = devices.plan_at(
        view.network, view.variant, view.thresholds, view.measure, promised / 100
    )
    try:
        with st.spinner("Running the network on corrupted images"):
            status = devices.made_up(plan, corruption, strength)
    except DataMissingError as error:
        st.warning(plain(str(error)), icon=":material/image_not_supported:")
        return None
    return status, plan


def show_verdict(status: Status, plan: Plan) -> None:
    """The alarm, and the figures that matter most."""
    words = text.alarm(status, plan)
    if status.alarm:
        st.error(words, icon=":material/notifications_active:")
    else:
        st.success(words, icon=":material/check_circle:")
    last = status.windows[-1] if status.windows else None
    audits = status.audits
    metrics(
        [
            Box(
                "Promised: at most", text.percent_up(plan.promise.epsilon), "of the answers differ"
            ),
            Box(
                "Certified now: at most",
                text.percent_up(last.bound) if last else "–",
                f"images {last.begin + 1:,} to {last.end:,}" if last else "no full window yet",
                glossary.explain(text.certified_now(status, plan)),
            ),
            Box(
                "Images",
                numbers.count(status.images),
                f"{numbers.count(status.waiting)} wait for an audit",
            ),
            Box(
                "Audits that differed",
                numbers.count(audits.differed),
                f"of {numbers.count(audits.agreed + audits.differed)} that were answered",
            ),
        ]
    )
    st.caption(text.promised(plan), help=glossary.define("certificate", "confidence"))


def show_evidence(status: Status, plan: Plan) -> None:
    """The evidence over time, with its alarm lines."""
    st.subheader("Evidence against the promise")
    st.plotly_chart(
        figures.evidence(status, plan),
        key="monitor_evidence",
        config=STILL,
        alt=f"Evidence over {status.images:,} images with its alarm lines. "
        + text.evidence(status, plan),
    )
    st.caption(
        "The wealth of a bet against the promise. While the promise holds, it reaches the upper "
        f"dashed line of the evidence with a chance of at most {100 * plan.alpha:g} %, however "
        "often one looks. The restarting test finds late changes sooner."
    )


def show_certified(status: Status, plan: Plan) -> None:
    """The bound of each window beside the promise."""
    st.subheader("Certified now", help=glossary.define("certificate"))
    if not status.windows:
        st.caption(text.certified_now(status, plan))
        return
    st.plotly_chart(
        figures.certified(status.windows, plan),
        key="monitor_certified",
        config=STILL,
        alt=f"Upper bounds of {len(status.windows)} windows of images beside the promise.",
    )
    st.caption(text.certified_now(status, plan), help=glossary.define("confidence"))


def show_diagnostics(status: Status, plan: Plan) -> None:
    """Exits and confidences beside the trace's; they raise no alarm."""
    st.subheader("Exits and confidences", help=glossary.define("confidence", "trace"))
    st.write("Other shares than in the trace may be harmless; they never raise an alarm.")
    seen, names = status.diagnostics, text.exit_names(plan.early)
    st.plotly_chart(
        figures.exits(status, names),
        key="monitor_exits",
        config=STILL,
        alt="Share of the images answered by each exit, on the device and in the trace.",
    )
    for number, column in enumerate(st.columns(plan.early)):
        with column:
            st.plotly_chart(
                confidences(
                    seen.histograms[number],
                    seen.trace_histograms[number],
                    colour=palette.exit_colour(number),
                    names=("Device", "Trace"),
                ),
                key=f"monitor_confidences_{number}",
                config=STILL,
                alt=f"Confidences of the answers of {names[number]}, device and trace.",
            )
            st.caption(
                f"{names[number].capitalize()}: the shares differ by "
                f"{numbers.percent(seen.confidences_apart[number])} in all."
            )


def show_lines(status: Status, plan: Plan) -> None:
    """Everything else, lines that were left out among it."""
    with st.expander("All figures", icon=":material/list:"):
        for name, value in text.rows(status, plan):
            st.text(f"{name}: {value}")


app_frame.through_app(__file__)
main()
