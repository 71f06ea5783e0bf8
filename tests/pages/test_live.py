"""The Live run page through AppTest, on the shipped digits network."""

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from hybrid import policy, zoo
from hybrid.inference import live
from hybrid.traces import trace
from hybrid.ui import jobs, running
from tests.pages.sheets import sheets
from tests.ui.waiting import SOON_S, ReportingJob, wait_for_jobs

NETWORK = "digits-vgg"
SAMPLES = 359

Open = Callable[..., AppTest]


@pytest.fixture
def folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shipped digits network; the pool ends with the test."""
    shutil.copytree(root / "pretrained" / NETWORK, tmp_path / NETWORK)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    monkeypatch.setattr(jobs, "Job", ReportingJob)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path
    jobs.pool().close()
    st.cache_resource.clear()


@pytest.fixture
def opened(folder: Path, root: Path) -> Open:
    """Open the page by a link; its query as keywords."""

    def run(**query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
        for key, value in ({"network": NETWORK, "bits": "1"} | query).items():
            app.query_params[key] = value
        app.switch_page("pages/live.py").run()
        assert not app.exception
        return app

    return run


def job_of(app: AppTest) -> ReportingJob:
    return app.session_state["live_run"].job


def finish(app: AppTest) -> None:
    assert job_of(app).wait(SOON_S)
    app.run()
    assert not app.exception


def start(app: AppTest, batch: int = 64) -> None:
    app.segmented_control(key="live_batch").set_value(batch).run()
    app.button(key="live_start").click().run()
    assert not app.exception


def until_it_reports(app: AppTest) -> None:
    assert job_of(app).reported.wait(SOON_S)


def metrics(app: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


def promise(bits: int, *thresholds: float) -> policy.Outcome:
    return policy.outcome(zoo.trace(NETWORK, zoo.variant_name(bits)), thresholds)


def test_before_the_first_run_the_page_says_what_the_trace_promises(opened: Open):
    app = opened(t1="0.9", t2="0.7")

    first, second, stayed = promise(1, 0.9, 0.7).exit_counts
    assert app.info[0].value == (
        f"Expected from the recorded trace: {first} images at exit 1, {second} at exit 2 and "
        f"{stayed} in the cloud. Start the run to count them."
    )
    assert not app.metric
    assert app.button(key="live_start").label == "Start"


def test_a_finished_run_counts_what_was_promised_and_compares(opened: Open):
    app = opened(t1="0.9", t2="0.7")

    start(app)
    finish(app)

    promised = promise(1, 0.9, 0.7)
    at_edge = sum(promised.exit_counts[:-1])
    shown = metrics(app)
    assert shown["At the edge"][1] == f"{at_edge} of {SAMPLES}"
    assert shown["Accuracy"] == (
        f"{100 * promised.accuracy:.2f} %",
        "94.6 % to 98.3 %",  # 348 of 359, by hand: the roots of Wilson's quadratic
    )
    assert f"Each of {SAMPLES} images took the exit expected from the trace" in app.success[0].value
    assert [heading.value for heading in app.subheader] == [
        "Compared with the trace",
        "Compared with running every image through the whole network",
    ]
    assert app.get("progress")[0].proto.value == 100
    assert app.button(key="live_start").label == "Start again"


def test_the_energy_is_that_of_the_exits_taken_in_the_scope_of_the_sidebar(opened: Open):
    app = opened()
    start(app)
    finish(app)
    in_compute = metrics(app)["Energy (compute)"]

    app.segmented_control(key="scope").set_value("device").run()

    assert "Energy (compute)" not in metrics(app)
    assert metrics(app)["Energy (device)"] != in_compute


def test_what_was_measured_is_said_exactly(opened: Open):
    app = opened()
    start(app, batch=16)
    finish(app)

    measured = next(c.value for c in app.caption if c.value.startswith("Measured on"))
    # 359 images in batches of 16 are 23 batches; the 1st, 5th, … 21st are run twice.
    assert f"Measured on {6 * 16} of the {SAMPLES} images" in measured
    assert f"16 at a time, on {jobs.threads()} thread" in measured


def test_a_run_shows_how_far_it_is_and_can_be_stopped(opened: Open):
    app = opened()
    start(app, batch=1)
    until_it_reports(app)
    with running.gate():
        app.run()
        done = job_of(app).progress.done
        assert app.get("progress")[0].proto.text == f"Running: {done} images of {SAMPLES}"
        assert app.segmented_control(key="live_batch").disabled
        app.button(key="live_stop").click().run()
        assert "Stopping" in app.get("progress")[0].proto.text
    finish(app)

    done = job_of(app).progress.done
    assert done < SAMPLES
    assert app.info[0].value == f"Stopped after {done} images; the figures below are for these."
    assert f"Each of {done} images took the exit expected from the trace" in app.success[0].value
    assert app.button(key="live_start").label == "Start again"


def test_a_run_that_goes_on_elsewhere_is_shown_to_others_until_it_ends(
    opened: Open, monkeypatch: pytest.MonkeyPatch
):
    go_on, run = threading.Event(), live.run

    def held(*args: object, **named: object) -> Iterator[object]:
        for progress in run(*args, **named):  # type: ignore[arg-type]
            yield progress
            assert go_on.wait(SOON_S)

    monkeypatch.setattr(live, "run", held)
    own, other = opened(), opened(bits="2")
    start(own, batch=16)
    until_it_reports(own)
    own.run()
    other.run()
    words = [
        [one.value for one in app.caption if "another tab" in one.value] for app in (own, other)
    ]
    go_on.set()
    finish(own)
    other.run()

    assert words[0] == []
    assert len(words[1]) == 1
    assert "A live run of digits-vgg at 1 bit" in words[1][0]
    assert f"16 of {SAMPLES} images" in words[1][0]
    assert not any("another tab" in one.value for one in other.caption)


def test_a_stopped_run_can_be_started_again_and_then_ends(opened: Open):
    app = opened()
    start(app, batch=1)
    until_it_reports(app)
    app.button(key="live_stop").click().run()
    finish(app)

    start(app)
    finish(app)

    assert job_of(app).state == "finished"
    assert job_of(app).progress.done == SAMPLES


def test_moved_sliders_do_not_change_a_run_and_are_said(opened: Open):
    app = opened(t1="0.9", t2="0.7")
    start(app)
    finish(app)
    before = metrics(app)

    app.slider(key="t1").set_value(0.2).run()

    assert metrics(app) == before
    assert any(
        c.value.startswith("This run used digits-vgg at 1 bit, thresholds 0.9000 and 0.7000")
        for c in app.caption
    )


def test_the_run_is_still_there_after_a_look_at_another_page(opened: Open):
    app = opened()
    start(app)
    app.switch_page("pages/networks.py").run()
    app.switch_page("pages/live.py").run()
    finish(app)

    assert metrics(app)["At the edge"][1].endswith(f"of {SAMPLES}")


def test_the_images_that_left_are_told_by_their_class(opened: Open):
    app = opened(t1="1", t2="1")
    start(app)
    finish(app)

    progress = job_of(app).progress
    seen = progress.recent[-1]
    words = [str(one.label) if one.label == one.answer else f"{one.label} taken for {one.answer}"
             for one in seen]  # fmt: skip
    drawn = sheets(app)
    assert len(drawn) == sum(bool(recent) for recent in progress.recent)
    assert drawn[-1]["captions"] == words
    assert drawn[-1]["positions"] == [one.position for one in seen]


def test_damaged_weights_are_one_sentence_and_the_page_goes_on(opened: Open, folder: Path):
    (folder / NETWORK / "hybrid-1bit" / "weights.safetensors").write_bytes(b"damaged")
    app = opened()

    start(app)
    finish(app)

    assert "is not the file its card describes" in app.error[0].value
    app.select_slider(key="bits").set_value(4).run()
    start(app)
    finish(app)
    assert app.success


def test_without_the_images_the_page_offers_them_and_still_tells_the_promise(
    opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    card = folder / NETWORK / "card.toml"
    card.write_text(card.read_text().replace('dataset = "digits"', 'dataset = "cifar100"'))
    monkeypatch.setenv("HYBRID_DATA", str(folder))

    app = opened()

    assert app.button(key="live_start").disabled
    assert app.button(key="download_cifar100").label == "Download CIFAR-100 (169 MB)"
    assert "Expected from the recorded trace" in app.info[0].value


def test_without_a_trace_the_page_records_it_and_can_run_meanwhile(opened: Open, folder: Path):
    path = folder / NETWORK / "hybrid-1bit" / "trace-test.parquet"
    path.unlink()

    with running.gate():
        app = opened()
        assert any("Recording the trace" in m.value for m in app.markdown)
        start(app)
    finish(app)
    wait_for_jobs()
    app.run()

    assert path.is_file()
    assert f"Each of {SAMPLES} images took the exit expected from the trace" in app.success[0].value


def test_a_trace_of_fewer_images_than_lie_here_is_not_compared_with(opened: Open, folder: Path):
    path = folder / NETWORK / "hybrid-1bit" / "trace-test.parquet"
    whole = trace.load(path)
    half = replace(
        whole,
        labels=whole.labels[:100],
        classes=whole.classes[:100],
        confidences={name: sure[:100] for name, sure in whole.confidences.items()},
    )
    trace.save(half, path)
    app = opened()

    start(app)
    finish(app)

    assert not app.success
    assert any("no trace of this bit width on these images" in c.value for c in app.caption)


def test_a_run_that_waits_says_for_how_many(opened: Open):
    app = opened()
    go_on = threading.Event()
    try:
        for _ in range(jobs.WORKERS):
            jobs.pool().start(lambda report: report(go_on.wait(SOON_S)))
        start(app)
        waiting = app.get("progress")[0].proto.text
        app.button(key="live_stop").click().run()
    finally:
        go_on.set()
    finish(app)

    assert waiting.startswith("Waiting for a free worker, 0 before")
    assert app.info[0].value == "Stopped after no image; the figures below are for these."


def test_every_batch_size_on_offer_can_be_run(opened: Open):
    app = opened(bits="2")

    for batch in live.BATCHES:
        start(app, batch=batch)
        finish(app)
        assert app.success, batch
