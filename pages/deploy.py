"""Deploy: the present point as two real processes on this machine, and a day of a fleet."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from hybrid import zoo
from hybrid.deploy.measuring.measure import Measured, measured
from hybrid.errors import DataMissingError, TraceError
from hybrid.text import glossary, numbers
from hybrid.text import measured as measured_text
from hybrid.text.plain import plain
from hybrid.ui import app_frame, cache, jobs, recording, session, uploads
from hybrid.ui.charts import STILL, Box, metrics
from hybrid.ui.deploy import figures, fleet, stream
from hybrid.ui.deploy.stream import Run
from hybrid.ui.explore import bundle
from hybrid.ui.guard import callback
from hybrid.ui.jobs import Job
from hybrid.ui.live import figures as counts
from hybrid.ui.view import View

RUN = "deploy_run"
SOURCES = {"split": "The split shown", "upload": "Upload"}
AS_IT_IS = ""
RATES = (0.0, 1.0, 10.0, 30.0, 100.0)  # images per second; 0: no limit
_LATEST = 12  # fallbacks that are listed


def main() -> None:
    """Start and stop, switches, what was measured, then commands, bundle and fleet."""
    view, run = session.current(), st.session_state.get(RUN)
    st.header("Deploy")
    st.markdown(
        "Starts the edge and the cloud of the present point as two processes on this machine, with "
        "a network line between them, and lets images pass through. What is measured stands beside "
        "what trace and profiles promise.",
        help=glossary.define("deployment form", "cloud segment", "link", "trace"),
    )
    if view.bits in zoo.bit_widths(view.network, deployed=True):
        controls(view, run)
    else:
        missing_form(view)
    if run is not None:
        jobs.watch(run.job, lambda job: show(run, job))
    st.subheader("On two machines")
    two_machines(view)
    fleet.panel(view, _cloud_ms(run))


def missing_form(view: View) -> None:
    """Why nothing can be started, and what to do."""
    there = zoo.bit_widths(view.network, deployed=True)
    words = ", ".join(map(str, there))
    st.info(
        f"{plain(view.network)} has no deployment form at {view.bits} bits. "
        + (f"It has them at {words}. " if there else "")
        + f"Make one with `hybrid freeze {plain(view.network)} --bits {view.bits}`.",
        title="Nothing to deploy",
        icon=":material/memory:",
    )


def controls(view: View, run: Run | None) -> None:
    """Deadline, start or stop, and the switches."""
    alive = run is not None and run.job.alive
    card = zoo.card(view.network)
    here = recording.on_this_machine(card.dataset)
    own = st.segmented_control(
        "Images", SOURCES, default="split" if here else "upload", required=True,
        key="deploy_source", format_func=SOURCES.__getitem__, disabled=alive,
    ) == "upload"  # fmt: skip
    if own:
        files = st.file_uploader(
            "Images, or a zip of images", accept_multiple_files=True, key="deploy_files"
        )
        ready = bool(files)
    else:
        ready = here
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "Deadline (ms)", 5, 60_000, 200, 5, key="deploy_deadline", disabled=alive, width=140,
            help="Every image is answered within this time: where the cloud is late, by the most "
            "confident exit.",
        )  # fmt: skip
        if run is not None and alive:
            st.button(
                "Stop", icon=":material/stop:", key="deploy_stop", on_click=callback(run.job.stop)
            )
        else:
            st.button(
                "Start" if run is None else "Start again",
                icon=":material/play_arrow:",
                type="primary",
                key="deploy_start",
                on_click=start,
                args=(view,),
                disabled=not ready,
            )
        switches(run)
    if not here and not own:
        recording.missing_data(card.dataset, "Uploads work without them.")


def switches(run: Run | None) -> None:
    """The line between edge and cloud; a change takes effect at the next image."""
    link = st.selectbox(
        "Line to the cloud",
        (AS_IT_IS, *cache.offers().links),
        key="deploy_link",
        format_func=lambda name: name or "As it is",
        width=220,
        help="A proxy makes the line as slow as this radio.",
    )
    per_s = st.selectbox(
        "Images per second",
        RATES,
        key="deploy_per_s",
        format_func=lambda rate: f"{rate:g}" if rate else "As many as pass",
        width=180,
        help="A camera gives so many; one after the other at once shows what the device can do.",
    )
    down = st.toggle("Cloud down", key="deploy_down", help="The proxy refuses every connection.")
    if run is not None:
        run.switches.link, run.switches.down, run.switches.per_s = link or "", down, per_s or 0.0


@callback
def start(view: View) -> None:
    """Begin a run in place of the previous one."""
    state = st.session_state
    if state.get("deploy_source") == "upload":
        names, pixels = _uploaded(zoo.card(view.network))
    else:
        names, pixels = (), stream.images_of(view)
    if not len(pixels):
        return
    run = stream.start(view, pixels, deadline_ms=float(state["deploy_deadline"]), names=names)
    run.switches.link = state.get("deploy_link") or AS_IT_IS
    run.switches.down = bool(state.get("deploy_down"))
    run.switches.per_s = state.get("deploy_per_s") or 0.0
    state[RUN] = run


def _uploaded(card: zoo.Card) -> tuple[tuple[str, ...], Sequence[stream.Images]]:
    """Names and pixels of the uploads, up to the most of one run."""
    files = st.session_state["deploy_files"]
    found = [
        one for file in files for one in stream.uploaded(file.name, uploads.content(file), card)
    ][: stream.MOST_IMAGES]
    return tuple(name for name, _ in found), [pixels for _, pixels in found]


def show(run: Run, job: Job) -> None:
    """The whole run at its current state."""
    lines = list(run.lines)
    show_state(run, job, len(lines))
    if not lines:
        return
    found = None if run.names else against(run, lines)
    show_boxes(lines, found)
    if found is None:
        show_answers(run, lines)
        return
    left, right = st.columns([2, 3])
    early = len(found.exits) - 1
    with left, st.container(border=True, height="stretch"):
        st.markdown("**Images by who answered**")
        st.plotly_chart(
            counts.counted(
                [one.images for one in found.exits], [one.in_trace for one in found.exits]
            ),
            key="deploy_counts",
            config=STILL,
            alt=f"Images answered by each of {early} exits and the cloud, and those expected",
        )
        st.caption(
            "Solid: answered. Faint: expected from the trace for these images. Fallbacks are in "
            "neither."
        )
    with right, st.container(border=True, height="stretch"):
        st.markdown("**Time until the answer**. Dotted: promised by the profiles")
        st.plotly_chart(
            figures.latencies(found.exits),
            key="deploy_latencies",
            config=STILL,
            alt="Histogram of the milliseconds until the answer, by exit",
        )
    st.dataframe(
        [dict(zip(measured_text.COLUMNS, row, strict=True)) for row in measured_text.table(found)],
        hide_index=True,
        alt="Per exit: images, milliseconds and bytes, beside what is promised",
    )
    show_fallbacks(lines)


def against(run: Run, lines: list[Any]) -> Measured | None:
    """The lines beside the trace and the profiles; None without a trace."""
    view = session.current()
    try:
        trace = cache.counted(run.view.network, run.view.variant, run.view.split)
        costs = stream.prices(run, view).costs
    except (DataMissingError, TraceError):
        return None
    seconds = max(1e-9, lines[-1].time_s - lines[0].time_s)
    return measured(lines, seconds, trace, run.view.thresholds, run.view.measure, costs)


def show_state(run: Run, job: Job, done: int) -> None:
    """Waiting, starting, running, finished, stopped or failed."""
    answered = f"{numbers.count(done)} of {numbers.count(run.total)}"
    if job.state == "failed":
        st.error(plain(str(job.error)), title="The run ended early", icon=":material/error:")
    elif job.state == "stopped":
        st.info(f"Stopped after {answered} images.", icon=":material/stop_circle:")
    elif job.state == "waiting":
        ahead = jobs.pool().before(job)
        st.progress(0.0, f"Waiting for a free worker, {numbers.count(ahead)} before this one")
    elif not done:
        st.progress(0.0, str(job.progress or "Writing the bundle"))
    else:
        words = "Stopping" if job.stopping else "Finished" if not job.alive else "Running"
        st.progress(done / run.total, f"{words}: {answered}")


def show_boxes(lines: list[Any], found: Measured | None) -> None:
    """The run in a few numbers."""
    done = len(lines)
    by = {
        name: sum(line.source == name for line in lines) for name in ("exit", "cloud", "fallback")
    }
    boxes = [
        Box(
            "At the edge", numbers.percent(by["exit"] / done), f"{numbers.count(by['exit'])} images"
        ),
        Box(
            "By the cloud",
            numbers.percent(by["cloud"] / done),
            f"{numbers.count(by['cloud'])} images",
        ),
        Box(
            "Fallbacks",
            numbers.percent(by["fallback"] / done),
            f"{numbers.count(by['fallback'])} images",
            "Answered by the most confident exit, because the cloud gave no answer in time.",
        ),
    ]
    if found is not None:
        other = len(set(found.other_exits) | set(found.other_classes))
        boxes += [
            Box(
                "Not as in the trace",
                numbers.count(other),
                "of the others",
                "A device gives the trace's exits and answers to the bit, or has a fault.",
            ),
            Box(
                "Images per second", numbers.significant(found.images_per_s), "one after the other"
            ),
        ]
    metrics(boxes)


def show_answers(run: Run, lines: list[Any]) -> None:
    """The answer to each image, where no trace promises one."""
    card = zoo.card(run.view.network)
    names = run.names or tuple(map(str, range(len(lines))))
    st.dataframe(
        [
            {"image": name, "class": card.classes[line.class_index], "answered by": line.source,
             "exit": line.exit_index + 1, "confidence": round(line.confidence, 4),
             "device (ms)": line.device_ms, "wire (ms)": line.wire_ms, "cloud (ms)": line.cloud_ms}
            for name, line in zip(names, lines, strict=False)
        ],
        hide_index=True,
        alt="Each image with its answer and what it took",
    )  # fmt: skip
    show_fallbacks(lines)


def show_fallbacks(lines: list[Any]) -> None:
    """The latest fallbacks, newest first."""
    fallbacks = [(place, line) for place, line in enumerate(lines) if line.source == "fallback"]
    if not fallbacks:
        return
    with st.expander(
        f"Fallbacks: the latest of {numbers.count(len(fallbacks))}", icon=":material/cloud_off:"
    ):
        st.dataframe(
            [
                {"image": place, "reason": line.reason, "exit": line.exit_index + 1,
                 "confidence": round(line.confidence, 4),
                 "waited (ms)": None if line.wire_ms is None else round(line.wire_ms, 1)}
                for place, line in reversed(fallbacks[-_LATEST:])
            ],
            hide_index=True,
            alt="The latest fallbacks with their reasons",
        )  # fmt: skip


def two_machines(view: View) -> None:
    """The commands that do the same on a device and a server, and the bundle."""
    options = {view.network: f"--bits {view.bits}"}
    if view.thresholds:
        options["--thresholds"] = ",".join(f"{one:g}" for one in view.thresholds)
    if view.measure != "max_probability":
        options["--measure"] = view.measure
    st.code(figures.commands("bundle", options), language="bash")
    bundle.button(view)


def _cloud_ms(run: Run | None) -> float | None:
    """The mean time in the cloud that a run measured; None if there is none."""
    times = [] if run is None else [one.cloud_ms for one in list(run.lines) if one.cloud_ms]
    return sum(times) / len(times) if times else None


app_frame.through_app(__file__)
main()
