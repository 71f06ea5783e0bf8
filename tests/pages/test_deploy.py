"""The page Deploy through AppTest, with a real edge process and a cloud that knows the split."""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from hybrid import policy, zoo
from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.measuring import streaming
from hybrid.ui import jobs
from tests.deploy.edge.conftest import PORTABLE, bundle, bundle_folder, cache
from tests.deploy.edge.servers import Served
from tests.deploy.frozen import frozen, frozen_once
from tests.deploy.measuring.conftest import answers, demanding, demanding_folder, served
from tests.ui.waiting import SOON_S, ReportingJob

__all__ = [
    "answers",
    "bundle",
    "bundle_folder",
    "cache",
    "demanding",
    "demanding_folder",
    "frozen",
    "frozen_once",
    "served",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here"),
]
THRESHOLDS = (1.0, 0.9999)  # the sliders' grid has ten thousandths
IMAGES = 359

Open = Callable[..., AppTest]


@pytest.fixture
def opened(
    root: Path,
    frozen: Path,
    served: Served,
    demanding: EdgeBundle,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Open]:
    """Open the page by a link; its query as keywords."""
    flags = f"import hybrid.deploy.edge.device as device; device.FLAGS = {PORTABLE!r}"
    monkeypatch.setattr(streaming, "COMMAND", f"{flags}; {streaming.COMMAND}")
    monkeypatch.setattr(streaming, "cloud_of", lambda _: nullcontext(served.url))
    monkeypatch.setattr(jobs, "Job", ReportingJob)
    st.cache_resource.clear()
    st.cache_data.clear()

    def run(**query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
        limits = {f"t{n}": str(one) for n, one in enumerate(THRESHOLDS, 1)}
        for key, value in ({"network": "digits-vgg", "bits": "4"} | limits | query).items():
            app.query_params[key] = value
        app.switch_page("pages/deploy.py").run()
        assert not app.exception
        return app

    yield run
    jobs.pool().close()
    st.cache_resource.clear()


def png(position: int) -> bytes:
    """An image of the test split as a file."""
    written = io.BytesIO()
    pixels = zoo.images("digits-vgg", "test").images[position]
    Image.fromarray(pixels.squeeze(-1)).save(written, "PNG")
    return written.getvalue()


def values(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def finish(app: AppTest) -> None:
    assert app.session_state["deploy_run"].job.wait(SOON_S)
    app.run()
    assert not app.exception


def test_a_split_passes_as_its_trace_promises(opened: Open) -> None:
    app = opened()

    app.number_input(key="deploy_deadline").set_value(5000).run()
    app.button(key="deploy_start").click().run()
    finish(app)

    run = app.session_state["deploy_run"]
    trace = zoo.trace("digits-vgg", "deployed-4bit", "test")
    outcome = policy.outcome(trace, run.view.thresholds)
    assert run.view.thresholds == THRESHOLDS
    assert run.job.state == "finished", run.job.error
    assert len(run.lines) == IMAGES == trace.samples
    shown = values(app)
    assert shown["Not as in the trace"] == "0"
    assert shown["Fallbacks"] == "0.0 %"
    assert shown["At the edge"] == f"{100 * outcome.edge_fraction:.1f} %"
    correct = sum(
        line.class_index == label for line, label in zip(run.lines, trace.labels, strict=True)
    )
    assert correct == outcome.correct


def test_with_the_cloud_down_every_image_is_answered_and_marked(opened: Open) -> None:
    app = opened()

    app.toggle(key="deploy_down").set_value(True).run()
    app.button(key="deploy_start").click().run()
    finish(app)

    lines = app.session_state["deploy_run"].lines
    fallbacks = [line for line in lines if line.source == "fallback"]
    trace = zoo.trace("digits-vgg", "deployed-4bit", "test")
    assert len(lines) == IMAGES
    assert len(fallbacks) == policy.outcome(trace, THRESHOLDS).exit_counts[-1] > 0
    assert {line.reason for line in fallbacks} <= {"refused", "reset", "breaker"}
    assert any("Fallbacks" in one.label for one in app.expander)


def test_uploads_are_answered_by_name(opened: Open) -> None:
    app = opened()
    app.segmented_control(key="deploy_source").set_value("upload").run()
    assert app.button(key="deploy_start").disabled

    app.file_uploader(key="deploy_files").upload("seven.png", png(0), "image/png").run()
    app.button(key="deploy_start").click().run()
    finish(app)

    run = app.session_state["deploy_run"]
    trace = zoo.trace("digits-vgg", "deployed-4bit", "test")
    assert (run.names, len(run.lines)) == (("seven.png",), 1)
    (line,) = run.lines
    assert line.class_index == trace.classes[0, line.exit_index]


def test_stop_ends_both_processes(opened: Open) -> None:
    app = opened()
    app.button(key="deploy_start").click().run()
    job = app.session_state["deploy_run"].job
    assert job.reported.wait(SOON_S)

    app.button(key="deploy_stop").click().run()
    finish(app)

    assert job.state in {"stopped", "finished"}
    assert app.button(key="deploy_start").label == "Start again"


def test_without_a_form_the_page_says_how_to_make_one(opened: Open) -> None:
    app = opened(bits="2")

    assert any("hybrid freeze digits-vgg --bits 2" in one.value for one in app.info)
    assert "deploy_start" not in {one.key for one in app.button}


def test_a_fleet_is_simulated(opened: Open) -> None:
    app = opened()

    app.number_input(key="deploy_devices").set_value(100).run()
    app.button(key="deploy_simulate").click().run()
    assert app.session_state["deploy_fleet_job"].wait(SOON_S)
    app.run()

    sent = app.session_state["deploy_fleet_job"].progress.requests
    assert values(app)["To the cloud"] == f"{sent:,}"
    assert values(app)["Replicas needed"] == "1"
