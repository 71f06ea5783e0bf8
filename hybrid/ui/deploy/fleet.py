"""A panel that simulates a day of many devices at the present point."""

from dataclasses import replace

import streamlit as st

from hybrid import zoo
from hybrid.deploy.fleet import plan as plans
from hybrid.deploy.fleet.day import PATTERNS
from hybrid.deploy.fleet.queueing import Cloud
from hybrid.errors import DataMissingError
from hybrid.evaluation import Prices
from hybrid.text import numbers
from hybrid.text.plain import plain
from hybrid.ui import cache, jobs
from hybrid.ui.charts import Box, metrics
from hybrid.ui.guard import callback
from hybrid.ui.jobs import Job, Report
from hybrid.ui.view import View

__all__ = ["panel"]

JOB, ASKED = "deploy_fleet_job", "deploy_fleet_asked"
MOST_IMAGES = 20_000_000  # of a day; a minute of this machine
_USUAL_MS = 3.0


def panel(view: View, cloud_ms: float | None) -> None:
    """Devices and images, and what their day takes.

    Args:
        cloud_ms: time of an image in the cloud, as measured on this page; None if it was not.
    """
    st.subheader("A fleet")
    st.markdown(
        "A day of many devices at this point that share one cloud, by simulation. Devices take "
        "their images independently of each other.",
        help="`hybrid fleet` does the same with more options; docs/fleet.md has the model.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        devices = st.number_input("Devices", 1, 1_000_000, 1000, key="deploy_devices", width=150)
        images = st.number_input(
            "Images per day, of each", 1, 1_000_000, 1000, key="deploy_images", width=180
        )
        pattern = st.selectbox("Over the day", tuple(PATTERNS), index=1, key="deploy_pattern",
                               format_func={"flat": "Evenly", "day": "Most at noon"}.__getitem__,
                               width=160)  # fmt: skip
        time_ms = st.number_input(
            "One image in the cloud (ms)", 0.01, 60_000.0, cloud_ms or _USUAL_MS,
            key=f"deploy_cloud_ms_{cloud_ms}", width=210,
            help="Measured by the last run on this page, once there is one.",
        )  # fmt: skip
        fleet = plans.Fleet(devices=int(devices), images_per_day=float(images), pattern=pattern)
        asked = (view, fleet, time_ms)
        st.button(
            "Simulate a day", key="deploy_simulate", icon=":material/timeline:",
            on_click=_start, args=asked, disabled=fleet.images > MOST_IMAGES,
        )  # fmt: skip
    if fleet.images > MOST_IMAGES:
        st.caption(f"More than {numbers.count(MOST_IMAGES)} images a day: use `hybrid fleet`.")
    job: Job | None = st.session_state.get(JOB)
    if job is not None:
        jobs.watch(job, lambda one: _show(one, changed=st.session_state[ASKED] != asked))


@callback
def _start(view: View, fleet: plans.Fleet, time_ms: float) -> None:
    """Simulate in the background, in place of the previous one."""
    prices = cache.prices_at(view.profile, view.link, "device", view.cloud)
    variant = zoo.card(view.network).recorded[view.variant]
    cloud = Cloud(replicas=1, image_ms=time_ms)

    def work(report: Report) -> None:
        report(_plan(view, variant, fleet, cloud, prices))

    st.session_state[JOB] = jobs.pool().start(work, wanted=jobs.tab_is_open())
    st.session_state[ASKED] = (view, fleet, time_ms)


def _plan(
    view: View, variant: zoo.Variant, fleet: plans.Fleet, cloud: Cloud, prices: Prices
) -> plans.Plan:
    try:
        return plans.plan(
            view.network, variant, view.thresholds, fleet, cloud,
            as_needed=True, measure=view.measure, split=view.split, prices=prices,
        )  # fmt: skip
    except DataMissingError:
        return plans.plan(
            view.network, variant, view.thresholds, replace(fleet), cloud,
            as_needed=True, measure=view.measure, prices=prices,
        )  # fmt: skip


def _show(job: Job, *, changed: bool) -> None:
    if job.state == "failed":
        st.error(plain(str(job.error)), icon=":material/error:")
    elif job.alive:
        st.progress(0.0, "Simulating")
    if job.progress is None:
        return
    if changed:
        st.caption("The point or the fleet changed since; simulate again.")
    row = job.progress.as_row()
    needed = row["replicas_needed"]
    metrics(
        [
            Box("To the cloud", numbers.count(row["requests"]), "images per day"),
            Box("Busiest hour", f"{row['peak_requests_per_s']:.3g}", "requests/s"),
            Box("Replicas needed", "none keeps it" if needed is None else str(needed),
                f"99 % within {job.progress.within_ms:g} ms"),
            Box("In the cloud, 99 %", numbers.latency(row["in_cloud_ms"]["p99"]), "with waiting"),
            Box("Uplink per day", f"{row['uplink_bytes'] / 1e6:,.1f} MB", "all devices"),
            Box("Energy per day", f"{row['device_energy_j']:,.1f} J", "all devices"),
        ]
    )  # fmt: skip
