"""Live run: the network over the test split, shown while it runs, at the current thresholds."""

from functools import partial

import numpy as np
import streamlit as st

from hybrid import zoo
from hybrid.errors import DataMissingError, TraceError
from hybrid.inference import live
from hybrid.inference.live import Progress
from hybrid.text import glossary, intervals, numbers
from hybrid.text.plain import plain
from hybrid.traces.trace import Trace
from hybrid.ui import app_frame, cache, jobs, palette, recording, session
from hybrid.ui.charts import STILL, Box, metrics
from hybrid.ui.explore import load
from hybrid.ui.guard import callback
from hybrid.ui.images import contact_sheet
from hybrid.ui.jobs import Job
from hybrid.ui.live import figures, live_run
from hybrid.ui.live.live_run import LiveRun
from hybrid.ui.view import DEFAULT_SPLIT, View
from hybrid.zoo import exit_labels

DEFAULT_BATCH = 16
ENGINES = {"c": "C library", "torch": "PyTorch"}  # of a deployment form
RUN = "live_run"  # the session's run, while it is running and afterwards


def main() -> None:
    """Buttons, then the run: expected, running, stopped or finished."""
    view = session.current()
    run: LiveRun | None = st.session_state.get(RUN)
    st.header("Live run")
    st.markdown(
        f"Runs the edge segment with its exit heads over the {DEFAULT_SPLIT} split, and the cloud "
        "segment only for images that no exit answers. Both segments run on this machine.",
        help=glossary.define("cloud segment", "split"),
    )
    images_here = recording.on_this_machine(zoo.card(view.network).dataset)
    buttons(view, run, ready=images_here)
    trace = trace_of(view, record=images_here)
    if not images_here:
        recording.missing_data(
            zoo.card(view.network).dataset, "A live run needs them; other pages do not."
        )
    show_elsewhere(run)
    if run is None:
        show_expected(view, trace)
    else:
        show_run(run.priced_as(view), view)


def show_elsewhere(run: LiveRun | None) -> None:
    """The runs of other tabs and sessions, redrawn every second while there is one."""
    others = live_run.elsewhere(None if run is None else run.job)
    for settings, job in others:
        jobs.watch(job, partial(show_other, settings))


def show_other(settings: str, job: Job) -> None:
    """One run of another tab or session."""
    if job.alive:
        st.caption(f":material/sync: {plain(live_run.elsewhere_words(settings, job))}")


def buttons(view: View, run: LiveRun | None, *, ready: bool) -> None:
    """Batch size, and start or stop."""
    alive = run is not None and run.job.alive
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Images at a time",
            live.BATCHES,
            default=DEFAULT_BATCH,
            required=True,
            key="live_batch",
            disabled=alive,
            help="A device runs one at a time; larger batches use a processor better.",
        )
        if view.deployed:
            st.segmented_control(
                "Engine of the edge",
                ENGINES,
                default=next(iter(ENGINES)),
                required=True,
                key="live_engine",
                disabled=alive,
                format_func=ENGINES.__getitem__,
                help="Both give the same answers, to the bit. C needs a C compiler here.",
            )
        if run is not None and alive:
            st.button(
                "Stop", icon=":material/stop:", key="live_stop", on_click=callback(run.job.stop)
            )
        else:
            st.button(
                "Start" if run is None else "Start again",
                icon=":material/play_arrow:",
                type="primary",
                key="live_start",
                on_click=start,
                args=(view,),
                disabled=not ready,
            )


@callback
def start(view: View) -> None:
    """Begin a run in place of the previous one."""
    # Not passed as an argument: it would be of the last drawing, and may have changed since.
    state = st.session_state
    state[RUN] = live_run.start(view, state["live_batch"], state.get("live_engine") or "")


def trace_of(view: View, *, record: bool) -> Trace | None:
    """The view's trace; None if there is none, which is then recorded if possible."""
    try:
        return cache.trace(view.network, view.variant, DEFAULT_SPLIT)
    except (DataMissingError, TraceError) as error:
        if record:
            recording.missing_trace(view.network, view.variant, error)
        return None


def show_expected(view: View, trace: Trace | None) -> None:
    """Before the first run: the counts expected from the trace."""
    if trace is None:
        st.info("Start the run to see where images leave.", icon=":material/play_circle:")
        return
    counts = live.promised(trace, live_run.request_of(view))
    st.info(
        f"Expected from the recorded trace: {live_run.counts_words(counts)}. Start the run to "
        "count them.",
        title="Nothing has run yet",
        icon=":material/play_circle:",
    )
    with st.container(border=True):
        show_counts((0,) * len(counts), counts)


def show_run(run: LiveRun, view: View) -> None:
    """The session's run, redrawn every second while it is running."""
    if live_run.setting(run.view) != live_run.setting(view):
        st.caption(
            f"This run used {live_run.setting(run.view)}. The controls have changed since; start "
            "again to run with the current ones."
        )
    trace = trace_of(run.view, record=False)
    jobs.watch(run.job, lambda job: show_progress(run, job, trace))


def show_progress(run: LiveRun, job: Job, trace: Trace | None) -> None:
    """The whole run at its current state."""
    progress: Progress | None = job.progress
    show_state(job, progress)
    if progress is None:
        return
    if trace is not None and trace.samples != progress.samples:
        trace = None  # recorded on other images than those here now
    show_figures(progress)
    left, right = st.columns([2, 3])
    with left, st.container(border=True, height="stretch"):
        st.markdown("**Images by the exit they took**")
        promised = None if trace is None else live.promised(trace, run.request)
        show_counts(progress.exit_counts, promised)
    with right, st.container(border=True, height="stretch"):
        show_recent(run.view, progress)
    if not job.alive:
        show_against_trace(run, progress, trace)
        show_against_everything(run, progress)


def show_state(job: Job, progress: Progress | None) -> None:
    """Waiting, loading, running, finished, stopped or failed."""
    done = "no image" if progress is None else f"{numbers.count(progress.done)} images"
    if job.state == "failed":
        st.error(plain(str(job.error)), title="The run ended early", icon=":material/error:")
    elif job.state == "stopped":
        st.info(
            f"Stopped after {done}; the figures below are for these.",
            icon=":material/stop_circle:",
        )
    elif job.state == "waiting":
        ahead = jobs.pool().before(job)
        st.progress(0.0, f"Waiting for a free worker, {numbers.count(ahead)} before this one")
    elif progress is None:
        st.progress(0.0, "Loading the network and the images")
    else:
        words = "Stopping" if job.stopping else "Finished" if not job.alive else "Running"
        total = numbers.count(progress.samples)
        st.progress(progress.done / progress.samples, f"{words}: {done} of {total}")


def show_figures(progress: Progress) -> None:
    """The run in four numbers."""
    at_edge = sum(progress.exit_counts[:-1])
    shown = (
        Box(
            "Images per second",
            numbers.significant(progress.images_per_second),
            f"{numbers.fixed(progress.seconds, 2)} s computing",
        ),
        Box(
            "At the edge",
            numbers.percent(progress.edge_fraction),
            f"{numbers.count(at_edge)} of {numbers.count(progress.done)}",
        ),
        Box(
            "In the cloud",
            numbers.percent(1 - progress.edge_fraction),
            f"{numbers.count(progress.exit_counts[-1])} of {numbers.count(progress.done)}",
        ),
        Box(
            "Accuracy",
            numbers.percent(progress.accuracy, 2),
            intervals.between(progress.correct, progress.done)
            or f"{numbers.count(progress.correct)} correct",
            intervals.HELP,
        ),
    )
    metrics(shown)


def show_counts(counts: tuple[int, ...], promised: tuple[int, ...] | None) -> None:
    """A bar per exit, with the expected one."""
    st.plotly_chart(
        figures.counted(counts, promised),
        key="live_counts",
        config=STILL,
        alt=f"Counted: {live_run.counts_words(counts)}.",
    )
    if promised is not None:
        st.caption(
            "Solid: counted. Faint: expected from the trace for the whole split.",
            help=glossary.define("trace"),
        )


def show_recent(view: View, progress: Progress) -> None:
    """The latest images at each exit."""
    classes = zoo.card(view.network).classes
    st.markdown("**Latest images by exit**, newest first")
    names = exit_labels(view.early_exits)
    for number, column in enumerate(st.columns(len(names))):
        seen = progress.recent[number]
        with column:
            colour = f":{palette.exit_markdown(number)}[●] " if number < view.early_exits else ""
            st.markdown(f"{colour}{names[number]}")
            if not seen:
                st.caption("No image yet.")
                continue
            contact_sheet.show(
                np.stack([one.image for one in seen]),
                live_run.recent_words(seen, classes),
                key=f"live_images_{number}",
                split=DEFAULT_SPLIT,
                positions=[one.position for one in seen],
            )


def show_against_trace(run: LiveRun, progress: Progress, trace: Trace | None) -> None:
    """Whether the run agrees with the trace."""
    st.subheader("Compared with the trace")
    if trace is None:
        st.caption("There is no trace of this bit width on these images to compare with.")
        return
    against = live.against_trace(progress, trace, run.request)
    words = f"Expected: {live_run.counts_words(against.counts)}. "
    words += f"Counted: {live_run.counts_words(progress.exit_counts)}. "
    words += live_run.agreement(against, progress.done)
    if against.moved:
        st.warning(words, icon=":material/difference:")
    else:
        st.success(words, icon=":material/check_circle:")


def show_against_everything(run: LiveRun, progress: Progress) -> None:
    """The savings of early exits."""
    st.subheader("Compared with running every image through the whole network")
    variant = zoo.card(run.view.network).recorded[run.view.variant]
    against = live.against_everything(progress, variant.layers, load.prices(run.view).costs)
    metrics(live_run.savings(against, scope=run.view.scope))
    st.caption(live_run.measurement(progress, run.request))


app_frame.through_app(__file__)
main()
