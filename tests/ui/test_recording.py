"""A missing trace is recorded where it is missed; a missing data set is offered."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from hybrid import data, zoo
from hybrid.errors import DataMissingError, TraceError
from hybrid.traces import trace
from hybrid.ui import jobs, recording, running
from hybrid.ui.jobs import Job, Turns
from tests.ui.waiting import SOON_S, ReportingJob, wait_for_jobs

NETWORK, VARIANT = "digits-vgg", "hybrid-4bit"


@pytest.fixture
def folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shipped digits network without the 4-bit test trace; the pool ends with the test."""
    shutil.copytree(root / "pretrained" / NETWORK, tmp_path / NETWORK)
    missing(tmp_path).unlink()
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    st.cache_resource.clear()
    st.cache_data.clear()
    yield tmp_path
    jobs.pool().close()
    st.cache_resource.clear()


@pytest.fixture
def opened(folder: Path, root: Path) -> Callable[[], AppTest]:
    """Open Explore at the bit width without a trace."""

    def run() -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
        app.query_params["network"] = NETWORK
        app.query_params["bits"] = "4"
        app.run()
        assert not app.exception
        return app

    return run


def missing(folder: Path) -> Path:
    return folder / NETWORK / VARIANT / "trace-test.parquet"


@contextmanager
def jobs_held_up() -> Iterator[Callable[[], list[Job]]]:
    """Nothing computes inside the block: it holds the gate; gives what the pool has to do."""
    with running.gate():
        yield jobs.pool().alike


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_the_recorded_trace_is_the_shipped_one(folder: Path, root: Path):
    seen: list[tuple[int, int]] = []

    recording.record(NETWORK, VARIANT, "test", Turns(), seen.append)

    shipped = trace.load(root / "pretrained" / NETWORK / VARIANT / "trace-test.parquet")
    recorded = zoo.trace(NETWORK, VARIANT, "test")
    assert np.array_equal(recorded.classes, shipped.classes)
    for measure, values in shipped.confidences.items():
        np.testing.assert_allclose(recorded.confidences[measure], values, atol=1e-5)
    assert seen[-1] == (shipped.samples, shipped.samples)


def test_a_recording_that_is_stopped_leaves_no_file_and_the_gate_open(folder: Path):
    def report(progress: object) -> None:
        raise InterruptedError("stopped")

    gate = Turns()
    before = sorted(folder.rglob("*"))

    with pytest.raises(InterruptedError, match="stopped"):
        recording.record(NETWORK, VARIANT, "test", gate, report)

    assert sorted(folder.rglob("*")) == before
    with gate:
        pass  # would wait for ever, were it still held


def test_a_trace_that_cannot_be_written_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trace, "save", full)

    with pytest.raises(TraceError, match=r"No space left on device.*HYBRID_PRETRAINED"):
        recording.record(NETWORK, VARIANT, "test", Turns(), [].append)


def test_explore_records_what_it_misses_and_then_opens(opened: Callable[[], AppTest], folder: Path):
    app = opened()
    assert not app.metric
    assert any("Recording the trace of digits-vgg hybrid-4bit" in m.value for m in app.markdown)

    wait_for_jobs()
    app.run()

    assert missing(folder).is_file()
    assert not app.exception
    assert len(app.metric) == 6


def test_two_sessions_that_miss_the_same_trace_share_one_recording(
    opened: Callable[[], AppTest],
):
    with jobs_held_up() as started:
        opened()
        opened()

        assert len(started()) == 1


def test_a_stopped_recording_waits_until_it_is_asked_for(
    opened: Callable[[], AppTest], folder: Path
):
    with jobs_held_up():
        app = opened()
        app.button(key="recording_stop").click().run()
    wait_for_jobs()
    app.run()

    assert not missing(folder).exists()
    assert any("Recording was stopped" in caption.value for caption in app.caption)
    app.button(key="record_trace").click().run()
    wait_for_jobs()
    app.run()
    assert len(app.metric) == 6


def test_a_damaged_trace_is_only_replaced_when_asked(opened: Callable[[], AppTest], folder: Path):
    missing(folder).write_bytes(b"no Parquet")

    app = opened()

    assert "is not a readable Parquet file" in app.warning[0].value
    assert missing(folder).read_bytes() == b"no Parquet"
    app.button(key="record_trace").click().run()
    wait_for_jobs()
    app.run()
    assert len(app.metric) == 6


def test_a_recording_that_fails_says_why_and_can_be_tried_again(
    opened: Callable[[], AppTest], folder: Path
):
    (folder / NETWORK / VARIANT / "weights.safetensors").write_bytes(b"damaged")

    app = opened()
    wait_for_jobs()
    app.run()

    assert "is not the file its card describes" in app.error[0].value
    assert "Record the trace of hybrid-4bit" in labels(app)


def test_without_weights_the_page_says_that_nothing_can_record_it(
    opened: Callable[[], AppTest], folder: Path
):
    (folder / NETWORK / VARIANT / "weights.safetensors").unlink()

    app = opened()

    assert "There is no trace of digits-vgg hybrid-4bit on test" in app.warning[0].value
    assert app.code[0].value == "hybrid train digits-vgg"


def missing_cifar() -> None:
    from hybrid.ui import recording as page

    page.missing_data("cifar10", "With them this works.")


@pytest.fixture
def without_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HYBRID_DATA", str(tmp_path))
    st.cache_resource.clear()
    yield
    jobs.pool().close()
    st.cache_resource.clear()


def test_a_missing_data_set_is_offered_with_its_size(without_cifar: None, tmp_path: Path):
    app = AppTest.from_function(missing_cifar, default_timeout=60).run()

    assert labels(app) == ["Download CIFAR-10 (170 MB)"]
    assert "With them this works." in app.markdown[0].value
    assert str(tmp_path) in app.caption[0].value


def test_a_download_shows_its_progress_and_can_be_stopped(
    without_cifar: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jobs, "Job", ReportingJob)
    go_on = threading.Event()

    def endless(name: str, *, progress: Callable[[int, int], None]) -> None:
        while True:
            progress(34_100_000, 170_498_071)
            assert go_on.wait(SOON_S)

    monkeypatch.setattr(data, "download", endless)
    app = AppTest.from_function(missing_cifar, default_timeout=60).run()

    app.button(key="download_cifar10").click().run()
    assert jobs.pool().find(("data", "cifar10")).reported.wait(SOON_S)
    app.run()
    assert app.get("progress")[0].proto.text == "34.1 of 170.5 MB"
    assert app.get("progress")[0].proto.value == 20
    app.button(key="stop_cifar10").click().run()
    go_on.set()
    wait_for_jobs()
    app.run()

    assert labels(app) == ["Download CIFAR-10 (170 MB)"]


def test_a_download_that_fails_says_why_and_can_be_tried_again(
    without_cifar: None, monkeypatch: pytest.MonkeyPatch
):
    def fails(name: str, *, progress: Callable[[int, int], None]) -> None:
        raise DataMissingError("cifar10 could not be downloaded; check the connection.")

    monkeypatch.setattr(data, "download", fails)
    app = AppTest.from_function(missing_cifar, default_timeout=60).run()

    app.button(key="download_cifar10").click().run()
    wait_for_jobs()
    app.run()

    assert app.error[0].value == "cifar10 could not be downloaded; check the connection."
    assert labels(app) == ["Download CIFAR-10 (170 MB)"]


def test_an_unknown_data_set_is_said_without_an_offer(without_cifar: None):
    def missing_trees() -> None:
        from hybrid.ui import recording as page

        page.missing_data("trees", "With them this works.")

    app = AppTest.from_function(missing_trees, default_timeout=60).run()

    assert app.caption[0].value == (
        "The images of trees are not on this machine. With them this works."
    )
    assert not app.button


def test_a_data_set_is_here_if_it_is_known_or_a_folder(without_cifar: None, tmp_path: Path):
    assert recording.on_this_machine("digits")
    assert recording.on_this_machine(str(tmp_path))
    assert not recording.on_this_machine("cifar10")
    assert not recording.on_this_machine("trees")
