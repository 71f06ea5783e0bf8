"""Two recordings of one name, splits deleted meanwhile, and a server that ends while recording."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from hybrid import zoo
from hybrid.data import ingest, sources, user_splits
from hybrid.data.ingest import IngestPlan
from hybrid.errors import SourceError, TraceError
from hybrid.inference import record
from hybrid.traces import trace
from hybrid.ui.jobs import Report, Workers
from tests.own_images import digits, pngs, write_folder, write_user_split

NETWORK = "digits-vgg"


def planned(where: Path) -> tuple[IngestPlan, sources.Source]:
    with sources.opened(where) as source:
        return ingest.plan_ingest(source, zoo.card(NETWORK), name="mine"), source


def test_the_second_of_two_equal_recordings_gets_the_split_of_the_first(tmp_path: Path) -> None:
    plan, source = planned(write_folder(tmp_path / "photos", pngs(digits(20))))
    made, errors = [], []
    inside = threading.Event()

    def progress(*_: int) -> None:
        inside.set()
        try:
            ingest.ingest(plan, source.read)
        except SourceError as error:
            errors.append(str(error))

    made.append(ingest.ingest(plan, source.read, progress=progress))
    made.append(ingest.ingest(plan, source.read))

    assert inside.is_set()
    assert errors == [
        "mine is being recorded at this moment by another process; wait until it is there."
    ]
    assert made[0] == made[1] == user_splits.split(NETWORK, "mine")


def test_a_recording_that_another_process_holds_is_waited_for_by_name(tmp_path: Path) -> None:
    locks = user_splits.folder() / ".locks"
    locks.mkdir(parents=True)
    plan, source = planned(write_folder(tmp_path / "photos", pngs(digits(20))))

    with (
        FileLock(locks / f"{NETWORK}.mine.lock"),
        pytest.raises(SourceError, match="recorded at this moment by another process"),
    ):
        ingest.ingest(plan, source.read)

    assert ingest.ingest(plan, source.read).samples == 20


def test_a_split_deleted_while_it_is_recorded_is_said_and_leaves_its_name_free(
    tmp_path: Path,
) -> None:
    plan, source = planned(write_folder(tmp_path / "photos", pngs(digits(20))))
    about = ingest.ingest(plan, source.read)
    chosen = zoo.variant(NETWORK, 4)
    network = zoo.load_variant(NETWORK, chosen)

    def delete(*_: int) -> None:
        if "mine" in user_splits.names(NETWORK):
            user_splits.delete(NETWORK, "mine")

    with pytest.raises(TraceError, match="mine was deleted while it was recorded"):
        record.record_user_split(
            network,
            about,
            variant=chosen.name,
            weights_sha256=chosen.files[zoo.WEIGHTS],
            progress=delete,
        )

    assert not user_splits.path_of(NETWORK, "mine").exists()
    assert ingest.ingest(plan, source.read).name == "mine"


def test_what_is_left_of_a_deleted_split_does_not_keep_its_name(tmp_path: Path) -> None:
    left = user_splits.path_of(NETWORK, "mine")
    left.mkdir(parents=True)
    (left / "trace-hybrid-4bit.parquet").write_bytes(b"left")
    plan, source = planned(write_folder(tmp_path / "photos", pngs(digits(20))))

    ingest.ingest(plan, source.read)

    assert user_splits.names(NETWORK) == ["mine"]
    assert not (left / "trace-hybrid-4bit.parquet").exists()


def test_a_trace_is_not_saved_into_a_folder_that_is_gone(tmp_path: Path) -> None:
    write_user_split(NETWORK, "mine")
    known = zoo.trace(NETWORK, "hybrid-4bit", "mine")

    with pytest.raises(FileNotFoundError):
        trace.save(known, tmp_path / "gone" / "trace.parquet", make_folder=False)

    assert not (tmp_path / "gone").exists()


def test_closing_the_pool_stops_a_job_at_its_next_report() -> None:
    pool, begun = Workers(workers=1), threading.Event()

    def endless(report: Report) -> None:
        while True:
            begun.set()
            report(None)

    job = pool.start(endless)
    begun.wait()
    pool.close(timeout_s=10)

    assert job.state == "stopped"


@pytest.mark.slow
def test_ctrl_c_of_a_process_with_a_running_job_ends_it_within_seconds() -> None:
    script = """
import sys, time
from hybrid.ui import jobs
def work(report):
    for _ in range(600):
        time.sleep(0.1)
        report(None)
job = jobs.pool.__wrapped__().start(work)
while job.state != "running":
    time.sleep(0.01)
print("running", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"

    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=20)

    assert "Stopping 1 job; what is recorded so far is kept." in words


@pytest.mark.slow
def test_of_two_equal_commands_at_once_one_records_and_no_one_is_told_to_delete(
    tmp_path: Path, traces: Path
) -> None:
    photos = write_folder(tmp_path / "photos", pngs(digits(200)))
    words = ["import-images", NETWORK, "--images", str(photos), "--name", "both", "--bits", "4"]
    command = [sys.executable, "-c", "from hybrid.cli.main import app; app()", *words]

    two = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in two]

    codes = sorted(process.returncode for process in two)
    assert codes in ([0, 0], [0, 2]), told
    assert not any("delete" in sentence for sentence in told)
    assert user_splits.split(NETWORK, "both").samples == 200
    assert zoo.trace(NETWORK, "hybrid-4bit", "both").samples == 200
