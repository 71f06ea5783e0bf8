"""Long work in the background: a bounded pool of threads, and the state of each job.

    job = jobs.pool().start(work)              # work(report): calls report(progress) now and then
    job.state, job.progress, job.error         # read at any time, from any session
    job.stop()                                 # the next report ends the work
    jobs.watch(job, draw)                      # draws every second; the whole page at the end

The work runs outside a session: it calls nothing of streamlit, and an error in it becomes the
sentence in `job.error`.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hybrid.errors import HybridError
from hybrid.ui.guard import guarded

__all__ = [
    "Job",
    "Key",
    "Report",
    "Turns",
    "Work",
    "Workers",
    "pool",
    "spare_a_core",
    "tab_is_open",
    "threads",
    "watch",
]

WORKERS = 2
WAITING = 6  # jobs that may wait for a free worker; one more is refused
_ALIVE = ("waiting", "running")
LAST_S = 10  # that jobs have to stop when the server ends
EVERY = "1s"
GONE_S = 30  # without a connection, and the tab counts as closed

Report = Callable[[Any], None]
Work = Callable[[Report], None]
Wanted = Callable[[], bool]  # whether the result is still wanted; asked at every report
Key = tuple[str, ...]  # what a job does, if another session may ask for the same

log = logging.getLogger(__name__)


class Job:
    """One piece of work as a page sees it.

    Attributes:
        state: waiting, running, finished, stopped or failed.
        progress: what the work reported last; None before its first report.
        error: the sentence to show if it failed.
    """

    def __init__(self, key: Key = (), wanted: Wanted = lambda: True) -> None:
        self.key = key
        self._wanted = wanted
        self.state = "waiting"
        self.progress: Any = None
        self.error: str | None = None
        self._stop = threading.Event()
        self._ended = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in _ALIVE

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop and has not ended yet."""
        return self.alive and self._stop.is_set()

    def stop(self) -> None:
        """Let the work end at its next report; a job that still waits never begins."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end; False if the time ran out first."""
        return self._ended.wait(timeout_s)

    def refuse(self, sentence: str) -> None:
        """End it before it begins."""
        self.error, self.state = sentence, "failed"
        self._ended.set()

    def run(self, work: Work) -> None:
        """Do the work in the calling thread and record how it ends."""
        try:
            self._check()
            self.state = "running"
            work(self._report)
            self.state = "finished"
        except _StoppedError:
            self.state = "stopped"
        except HybridError as error:
            self.error, self.state = str(error), "failed"
        except Exception as error:  # no caller waits for this thread: the error would be lost
            log.exception("A job failed")
            self.error = (
                f"This ended with an unexpected error ({type(error).__name__}); see the log of the "
                "server."
            )
            self.state = "failed"
        finally:
            self._ended.set()

    def _report(self, progress: Any) -> None:
        self.progress = progress
        self._check()

    def _check(self) -> None:
        if self._stop.is_set() or not self._wanted():
            raise _StoppedError


class Workers:
    """A few workers; further jobs wait in turn, and too many are refused."""

    def __init__(self, *, workers: int = WORKERS, waiting: int = WAITING) -> None:
        self._queue: SimpleQueue[tuple[Job, Work] | None] = SimpleQueue()
        # Daemons, because at its end the interpreter waits for other threads before it calls what
        # could stop them.
        self._threads = [
            threading.Thread(target=self._take, name=f"hybrid-job-{n}", daemon=True)
            for n in range(workers)
        ]
        self._waiting = waiting
        self._lock = threading.Lock()
        self._alive: list[Job] = []
        for thread in self._threads:
            thread.start()

    def start(self, work: Work, *, key: Key = (), wanted: Wanted = lambda: True) -> Job:
        """Submit work; with a key, a job that already does the same is returned instead.

        The job stops at the first report at which it is no longer wanted. If too many jobs are
        waiting already, it is returned as failed, with the reason.
        """
        with self._lock:
            for other in self._alive:
                if key and other.key == key and other.alive and not other.stopping:
                    return other
            waiting = sum(other.state == "waiting" for other in self._alive)
            job = Job(key, wanted)
            if waiting >= self._waiting:
                job.refuse(f"{waiting} jobs are already waiting on this machine; try again later.")
                return job
            self._alive.append(job)
        self._queue.put((job, work))
        return job

    def find(self, key: Key) -> Job | None:
        """The job with this key that has not ended, if there is one."""
        with self._lock:
            return next((job for job in self._alive if job.alive and job.key == key), None)

    def alike(self, *start: str) -> list[Job]:
        """The jobs that have not ended, of those whose keys begin with these words; or all."""
        with self._lock:
            return [job for job in self._alive if job.alive and job.key[: len(start)] == start]

    def before(self, job: Job) -> int:
        """How many waiting jobs come before this one."""
        with self._lock:
            waiting = [other for other in self._alive if other.state == "waiting"]
        return waiting.index(job) if job in waiting else 0

    def close(self, timeout_s: float | None = None) -> None:
        """Stop every job and wait until all have ended, or until the time is over."""
        with self._lock:
            left = list(self._alive)
        for job in left:
            job.stop()
        for _ in self._threads:
            self._queue.put(None)
        end = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))

    def _take(self) -> None:
        """Do one job after another."""
        while (taken := self._queue.get()) is not None:
            job, work = taken
            job.run(work)
            with self._lock:
                self._alive.remove(job)


class Turns:
    """A lock that is granted in the order of the requests.

    With a plain lock, a loop that releases the lock and takes it again at once usually succeeds,
    so another session would wait for several of its rounds.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._drawn = self._called = 0

    def __enter__(self) -> None:
        with self._changed:
            mine = self._drawn
            self._drawn += 1
            self._changed.wait_for(lambda: self._called == mine)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._called += 1
            self._changed.notify_all()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the others go first during a block; only while holding the turn."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


class _StoppedError(Exception):
    """Raised by a report inside the work of a job that was told to stop."""


@st.cache_resource(max_entries=1, show_spinner=False)
def pool() -> Workers:
    """The pool of all sessions; when the server ends, its jobs are told to stop."""
    workers = Workers()
    atexit.register(_close, workers)
    return workers


def _close(workers: Workers) -> None:
    """Stop the jobs, each at its next report; what they have saved is kept."""
    if left := len(workers.alike()):
        noun = "job" if left == 1 else "jobs"
        log.warning("Stopping %d %s; what is recorded so far is kept.", left, noun)
    workers.close(timeout_s=LAST_S)


def tab_is_open(*, clock: Callable[[], float] = time.monotonic) -> Wanted:
    """A test of whether this session's tab is still open; a reload or a short loss is tolerated.

    Streamlit keeps a session for two minutes after its connection is lost, without reporting it.
    """
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return lambda: True
    server = runtime.get_instance()  # looked up here: a worker may ask when there is none any more
    return _Presence(lambda: server.is_active_session(context.session_id), clock).lasts


class _Presence:
    """Whether something was there within the last `GONE_S` seconds."""

    def __init__(self, here: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._here, self._clock = here, clock
        self._seen = clock()

    def lasts(self) -> bool:
        now = self._clock()
        if self._here():
            self._seen = now
        return now - self._seen <= GONE_S


def threads() -> int:
    """How many threads torch computes with here: one for each core but one."""
    return max(1, (os.cpu_count() or 1) - 1)


def spare_a_core() -> None:
    """Let torch compute on all cores but one, which is left to the pages.

    Measured on two cores, one of them busy: with two threads, which wait for each other at every
    layer, a small network runs at 19 images/s one by one; with one thread, at 775.
    """
    import torch

    torch.set_num_threads(threads())


def watch(job: Job, draw: Callable[[Job], None]) -> None:
    """Draw the job's state every second while it runs; when it ends, the whole page runs again.

    Only this part of the page is redrawn, so a slider above it is not disturbed.
    """
    polled = job.alive
    st.fragment(_watch, run_every=EVERY if polled else None)(job, draw, polled=polled)


@guarded
def _watch(job: Job, draw: Callable[[Job], None], *, polled: bool) -> None:
    if polled and not job.alive:
        st.rerun()
    draw(job)
