"""For a page whose trace or data set is missing: record the trace, offer to download the data set.

    try:
        trace = cache.trace(network, variant, split)
    except (DataMissingError, TraceError) as error:
        recording.missing_trace(network, variant, error)
    if images is None:
        recording.missing_data(card.dataset, "With them, this page also shows a gallery.")

A missing trace is recorded at once, in a job that all sessions share; a damaged one only when
a user asks for it. The file gets its name when it is complete, and the page then runs again.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from hybrid import data, zoo
from hybrid.data import user_splits
from hybrid.errors import DataMissingError, HybridError, TraceError
from hybrid.text import numbers
from hybrid.text.plain import plain
from hybrid.traces import trace
from hybrid.traces.trace import Trace
from hybrid.ui import jobs, running
from hybrid.ui.guard import callback
from hybrid.ui.jobs import Job, Key, Report, Turns
from hybrid.ui.server import access
from hybrid.ui.view import DEFAULT_SPLIT

__all__ = ["missing_data", "missing_trace", "on_this_machine", "stop_button"]

ICON = ":material/database_off:"


def missing_trace(
    network: str, variant: str, error: HybridError, split: str = DEFAULT_SPLIT
) -> None:
    """Show that a trace cannot be used, and record it or show what is needed first.

    Args:
        error: DataMissingError if the trace is missing; any other if it is damaged.
    """
    dataset = zoo.card(network).dataset
    key = ("trace", network, variant, split)
    job = _known(key)
    own = split in user_splits.names(network)
    if not zoo.weights_path(network, variant).is_file():
        st.warning(plain(str(error)), title="No trace here", icon=ICON)
        st.caption("Its weights are not here either, so it cannot be recorded. Train it:")
        st.code(f"hybrid train {network}", language="bash")
    elif not own and not on_this_machine(dataset):
        st.warning(plain(str(error)), title="No trace here", icon=ICON)
        missing_data(dataset, "With them, the trace can be recorded here.")
    else:
        if job is None and isinstance(error, DataMissingError):
            _start_recording(network, variant, split)
            job = _known(key)
        if job is not None and job.alive:
            jobs.watch(job, _draw_recording)
        else:
            _offer_recording(network, variant, split, error, job)


def missing_data(dataset: str, purpose: str) -> None:
    """Say that a data set is not on this machine, and offer to download it.

    Args:
        purpose: a sentence that explains why the images are needed.
    """
    if dataset not in data.DATASETS:
        st.caption(f"The images of {plain(dataset)} are not on this machine. {purpose}")
        return
    key = ("data", dataset)
    job = _known(key)
    if job is not None and job.alive:
        jobs.watch(job, _draw_download)
        return
    info = data.DATASETS[dataset]
    with st.container(border=True, key=f"missing_{dataset}"):
        st.markdown(f"**The images of {info.title} are not on this machine.** {purpose}")
        if job is not None and job.error:
            st.error(plain(job.error), icon=":material/error:")
        st.button(
            f"Download {info.title} ({info.download_bytes / 1e6:.0f} MB)",
            icon=":material/download:",
            key=f"download_{dataset}",
            on_click=_start_download,
            args=(dataset,),
        )
        st.caption(
            f"{info.source}. Saved in {plain(str(data.data_folder()))}; set HYBRID_DATA to use "
            "another folder."
        )


def on_this_machine(dataset: str) -> bool:
    """Whether the images can be loaded: of a known data set, or of an image folder or zip."""
    return data.available(dataset) or Path(dataset).exists()


def record(network: str, variant: str, split: str, gate: Turns, report: Report) -> None:
    """Record a trace and save it under its name; reports (images done, images in all).

    Raises:
        HybridError: what `zoo.load` and `data.load` raise; a TraceError where the folder of the
            networks cannot be written.
    """
    from hybrid.deploy.network import load_variant
    from hybrid.inference import record  # torch: only where a network is really run

    jobs.spare_a_core()
    chosen = zoo.card(network).recorded[variant]
    loaded = load_variant(network, chosen)

    def step(done: int, total: int) -> None:
        with gate.paused():
            report((done, total))

    known: dict[str, Any] = {
        "variant": variant,
        "weights_sha256": chosen.files[zoo.WEIGHTS],
        "progress": step,
    }
    if split in user_splits.names(network):
        with gate:
            record.record_user_split(loaded, user_splits.split(network, split), **known)
        return
    images = zoo.images(network, split)
    with gate:
        recorded = record.record(loaded, images, name=network, **known)
    _save(recorded, zoo.trace_path(network, variant, split))


def _save(recorded: Trace, path: Path) -> None:
    try:
        trace.save(recorded, path)
    except OSError as error:
        raise TraceError(
            f"The trace cannot be saved as {path} ({error.strerror}); free some space or allow "
            "writing there, or copy the networks to another folder and set HYBRID_PRETRAINED to it."
        ) from error


def _known(key: Key) -> Job | None:
    """The running job of any session, else the one that this session saw last."""
    job = jobs.pool().find(key) or st.session_state.get(f"job {key}")
    st.session_state[f"job {key}"] = job
    return job


@callback
def _start_recording(network: str, variant: str, split: str) -> None:
    key = ("trace", network, variant, split)
    gate = running.gate()
    access.note_own(*key)
    st.session_state[f"job {key}"] = jobs.pool().start(
        lambda report: record(network, variant, split, gate, report), key=key
    )


def _offer_recording(
    network: str, variant: str, split: str, error: HybridError, job: Job | None
) -> None:
    st.warning(plain(str(error)), title="No trace here", icon=ICON)
    if job is not None and job.error:
        st.error(plain(job.error), icon=":material/error:")
    elif job is not None and job.state == "stopped":
        st.caption("Recording was stopped; nothing was saved.")
    st.button(
        f"Record the trace of {variant}",
        icon=":material/fiber_manual_record:",
        key="record_trace",
        on_click=_start_recording,
        args=(network, variant, split),
    )


@callback
def _start_download(dataset: str) -> None:
    key = ("data", dataset)
    access.note_own(*key)
    st.session_state[f"job {key}"] = jobs.pool().start(
        lambda report: data.download(dataset, progress=lambda done, total: report((done, total))),
        key=key,
    )


def _draw_recording(job: Job) -> None:
    _, network, variant, split = job.key
    done, total = job.progress or (0, 0)
    with st.container(border=True, key="recording"):
        st.markdown(f"**Recording the trace of {network} {variant}**")
        text = f"{numbers.count(done)} of {numbers.count(total)} {split} images"
        st.progress(done / total if total else 0.0, text if total else _before(job))
        st.caption("Recording every exit's predictions once. The page opens when this is done.")
        stop_button(job, "recording_stop")


def _draw_download(job: Job) -> None:
    _, dataset = job.key
    done, total = job.progress or (0, 0)
    with st.container(border=True, key=f"downloading_{dataset}"):
        st.markdown(f"**Downloading {data.DATASETS[dataset].title}**")
        text = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        st.progress(min(done / total, 1.0) if total else 0.0, text if total else _before(job))
        stop_button(job, f"stop_{dataset}")


def _before(job: Job) -> str:
    """The state of a job that has not reported yet."""
    if job.state == "running":
        return "Starting"
    return f"Waiting for a free worker, {jobs.pool().before(job)} before this one"


def stop_button(job: Job, key: str) -> None:
    """Stops a job, if this visitor may."""
    allowed = access.may_change(*job.key)
    st.button(
        "Stopping" if job.stopping else "Stop",
        icon=":material/stop:",
        key=key,
        on_click=callback(job.stop),
        disabled=job.stopping or not allowed,
        help=None if allowed else access.NOT_YOURS,
    )
