"""Long work in the pool: how it ends, how it is stopped, who waits for whom."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit import runtime

from hybrid.errors import DataMissingError
from hybrid.ui import jobs
from hybrid.ui.jobs import Job, Report, Turns, Workers

SOON_S = 20  # far more than anything here takes, also on a busy machine


@pytest.fixture
def pool() -> Iterator[Workers]:
    made = Workers(workers=1, waiting=2)
    yield made
    made.close()


def until_stopped(begun: threading.Event) -> Callable[[Report], None]:
    """Work that reports without end."""

    def work(report: Report) -> None:
        for number in itertools.count():
            begun.set()
            report(number)

    return work


def begin_endless(pool: Workers, **options: tuple[str, ...]) -> Job:
    begun = threading.Event()
    job = pool.start(until_stopped(begun), **options)
    assert begun.wait(SOON_S)
    return job


def test_work_that_ends_has_finished_and_keeps_its_last_report(pool: Workers):
    def work(report: Report) -> None:
        report("half")
        report("all")

    job = pool.start(work)

    assert job.wait(SOON_S)
    assert (job.state, job.progress, job.error) == ("finished", "all", None)
    assert not job.alive


def test_a_stopped_job_ends_at_its_next_report_and_keeps_what_it_reported(pool: Workers):
    job = begin_endless(pool)
    assert job.alive
    assert not job.stopping

    job.stop()

    assert job.wait(SOON_S)
    assert job.state == "stopped"
    assert job.progress >= 0
    assert job.error is None


def test_stopping_cleans_up_inside_the_work(pool: Workers):
    begun, cleaned = threading.Event(), threading.Event()

    def work(report: Report) -> None:
        try:
            until_stopped(begun)(report)
        finally:
            cleaned.set()

    job = pool.start(work)
    assert begun.wait(SOON_S)
    job.stop()

    assert cleaned.wait(SOON_S)


def test_a_job_stopped_while_it_waits_never_begins(pool: Workers):
    first = begin_endless(pool)
    ran = []
    second = pool.start(ran.append)
    assert second.state == "waiting"

    second.stop()
    first.stop()

    assert second.wait(SOON_S)
    assert second.state == "stopped"
    assert ran == []


def test_an_error_of_ours_becomes_its_sentence(pool: Workers):
    def work(report: Report) -> None:
        raise DataMissingError("cifar10 is not here; download it.")

    job = pool.start(work)

    assert job.wait(SOON_S)
    assert (job.state, job.error) == ("failed", "cifar10 is not here; download it.")


def test_any_other_error_becomes_a_sentence_too_and_goes_to_the_log(
    pool: Workers, caplog: pytest.LogCaptureFixture
):
    def work(report: Report) -> None:
        raise ZeroDivisionError("secret detail")

    with caplog.at_level(logging.ERROR, logger="hybrid.ui.jobs"):
        job = pool.start(work)
        assert job.wait(SOON_S)

    assert job.state == "failed"
    assert "unexpected error (ZeroDivisionError)" in str(job.error)
    assert "secret detail" not in str(job.error)
    assert "secret detail" in caplog.text


def test_a_job_that_failed_leaves_its_worker_to_the_next(pool: Workers):
    def work(report: Report) -> None:
        raise ZeroDivisionError

    pool.start(work)
    job = pool.start(lambda report: report(1))

    assert job.wait(SOON_S)
    assert job.state == "finished"


def test_two_that_ask_for_the_same_share_one_job(pool: Workers):
    first = begin_endless(pool, key=("trace", "a"))

    second = pool.start(lambda report: report("not done twice"), key=("trace", "a"))
    other = pool.start(lambda report: report("other"), key=("trace", "b"))

    assert second is first is pool.find(("trace", "a"))
    assert other is not first
    first.stop()
    assert other.wait(SOON_S)
    assert pool.find(("trace", "a")) is None


def test_jobs_without_a_key_are_never_shared(pool: Workers):
    first = begin_endless(pool)

    assert pool.start([].append) is not first


def test_waiting_jobs_keep_their_order_and_too_many_are_refused_with_a_sentence(pool: Workers):
    running = begin_endless(pool)
    waiting = [pool.start(lambda report: report(1)) for _ in range(2)]

    refused = pool.start(lambda report: report(1))

    assert [pool.before(job) for job in waiting] == [0, 1]
    assert refused.state == "failed"
    assert refused.error == "2 jobs are already waiting on this machine; try again later."
    running.stop()
    assert all(job.wait(SOON_S) for job in waiting)
    assert [job.state for job in waiting] == ["finished", "finished"]


def test_no_more_jobs_run_at_once_than_there_are_workers():
    pool = Workers(workers=2, waiting=9)
    begun, go_on = threading.Semaphore(0), threading.Event()

    def work(report: Report) -> None:
        begun.release()
        assert go_on.wait(SOON_S)

    jobs = [pool.start(work) for _ in range(6)]

    assert begun.acquire(timeout=SOON_S)
    assert begun.acquire(timeout=SOON_S)
    assert not begun.acquire(timeout=0.1), "a third has begun"
    assert [job.state for job in jobs] == ["running"] * 2 + ["waiting"] * 4
    go_on.set()
    assert [job.wait(SOON_S) for job in jobs] == [True] * 6
    pool.close()


def test_turns_are_given_in_the_order_in_which_they_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
):
    asked, order = threading.Semaphore(0), []

    class Condition(threading.Condition):
        def wait_for(self, *arguments: Any) -> bool:
            asked.release()
            return super().wait_for(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(threading, "Condition", Condition)
        turns = Turns()

    def take(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    with turns:
        assert asked.acquire(timeout=SOON_S)  # by this block
        for thread in threads:
            thread.start()
            assert asked.acquire(timeout=SOON_S)
    for thread in threads:
        thread.join(SOON_S)

    assert order == [0, 1, 2, 3]


def test_a_paused_turn_comes_back_also_after_an_error():
    turns = Turns()

    with pytest.raises(ZeroDivisionError, match="inside"), turns, turns.paused():
        raise ZeroDivisionError("inside")

    with turns:
        entered = True
    assert entered


def test_jobs_are_found_by_how_their_keys_begin_until_they_end():
    pool, gate = Workers(workers=1), threading.Event()
    one = pool.start(lambda _: gate.wait(10), key=("own split", "a", "1"))
    pool.start(lambda _: None, key=("own split", "b", "1"))

    assert pool.alike("own split", "a") == [one]
    assert len(pool.alike("own split")) == 2
    gate.set()
    pool.close()

    assert pool.alike("own split") == []


def test_work_that_nobody_waits_for_any_more_stops_at_its_next_report(pool: Workers) -> None:
    begun, wanted = threading.Event(), [True]
    job = pool.start(until_stopped(begun), wanted=lambda: wanted[0])
    assert begun.wait(SOON_S)

    wanted[0] = False

    assert job.wait(SOON_S)
    assert job.state == "stopped"


def test_a_tab_counts_as_closed_only_when_it_has_been_gone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, connected = [100.0], [True]

    class Context:
        session_id = "a session"

    class Runtime:
        @staticmethod
        def is_active_session(session_id: str) -> bool:
            return connected[0] and session_id == "a session"

    monkeypatch.setattr(jobs, "get_script_run_ctx", Context)
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", Runtime)
    is_open = jobs.tab_is_open(clock=lambda: now[0])
    said = []

    for at, there in ((200, True), (210, False), (230, False), (231, False), (232, True)):
        now[0], connected[0] = float(at), there
        said.append(is_open())

    assert said == [True, True, True, False, True]  # gone since 200, more than 30 s at 231
