"""Waiting for jobs of the pool: for their ends and reports, never for a time."""

import threading
from typing import Any

from hybrid.ui import jobs

__all__ = ["SOON_S", "ReportingJob", "wait_for_jobs"]

SOON_S = 60  # far more than anything takes, also on a busy machine


def wait_for_jobs() -> None:
    """Wait until the pool has nothing left to do."""
    while alive := jobs.pool().alike():
        for job in alive:
            assert job.wait(SOON_S)


class ReportingJob(jobs.Job):
    """A job whose first report can be waited for; a test puts it in the place of `jobs.Job`."""

    def __init__(self, *arguments: Any) -> None:
        self.reported = threading.Event()
        super().__init__(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "progress" and value is not None:
            self.reported.set()
