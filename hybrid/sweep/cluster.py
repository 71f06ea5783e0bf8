"""Call a function on many items through Ray, with results as they come. Independent of networks.

Ray is an extra and is imported late. It sends no usage statistics, opens no dashboard and keeps its
logs off the console; a Ray that is started here is stopped here.
"""

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeVar

from hybrid.errors import ClusterError

__all__ = ["Pool", "check_installed", "connected"]

OBJECT_STORE_BYTES = 80 * 2**20  # nearly Ray's minimum: results are a few words
ANSWER_S = 5.0  # how long to wait for an answer
_LONGEST_FOLDER = 24
# The first bytes of a gRPC client (RFC 9113, section 3.4), and the type of a server's first frame.
_HTTP2, _SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"\4"
RETRIES = 2  # of work whose process or machine died

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """A connected Ray, with a limit on calls at once.

    Args:
        at_once: calls given to Ray at a time; None gives it all, and it runs as many as it has
            processors.
    """

    def __init__(self, at_once: int | None) -> None:
        self.at_once = at_once

    def __call__(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        lost: Callable[[Item, str], Result],
    ) -> Iterator[Result]:
        """Results in the order in which they finish; calls that still run at the end are stopped.

        Args:
            lost: makes the result for an item whose process died, from a line with the reason.
        """
        import ray

        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(work)
        waiting, running = list(reversed(items)), dict[Any, Item]()
        try:
            while waiting or running:
                while waiting and (self.at_once is None or len(running) < self.at_once):
                    item = waiting.pop()
                    running[remote.remote(item)] = item
                done, _ = ray.wait(list(running), num_returns=1)
                item = running.pop(done[0])
                try:
                    yield ray.get(done[0])
                except ray.exceptions.RayError as error:
                    yield lost(item, _one_line(error))
        finally:
            for call in running:
                ray.cancel(call, force=True)


@contextmanager
def connected(*, address: str = "", workers: int | None = None) -> Iterator[Pool]:
    """A Ray that runs on this machine inside the block, or a cluster's.

    Args:
        address: "auto" or "host:port" of a cluster; empty for this machine.
        workers: calls at once; by default the number of processors.

    Raises:
        ClusterError: Ray is not installed, or does not answer.
    """
    check_installed()
    with ExitStack() as stack:
        stack.enter_context(_environment(RAY_USAGE_STATS_ENABLED="0"))
        stack.enter_context(_signals_kept())
        if address:
            _check_answers(address)
            _join(address)
        else:
            _start(stack, workers or _processors())
        import ray

        stack.callback(ray.shutdown)
        # Ray reports dead workers on stdout, where JSON belongs; its debugger sets this.
        worker = ray._private.worker  # noqa: SLF001
        stack.enter_context(_attribute(worker, "_worker_logs_enabled", False))
        yield Pool(workers)


def check_installed() -> None:
    """Refuse to run without Ray.

    Raises:
        ClusterError: Ray is not installed; the sentence tells how to install it.
    """
    if find_spec("ray") is None:
        raise ClusterError(
            "A sweep runs through Ray, which is not installed; pip install 'hybrid[sweep]' "
            "installs it."
        )


def _start(stack: ExitStack, processors: int) -> None:
    # Without a token, other users of this machine could run code in this Ray; a token in the
    # environment is not written to the home folder.
    stack.enter_context(_environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=_token()))
    # A socket's path has at most 107 bytes, and Ray appends 65 to its folder.
    short = len(tempfile.gettempdir()) < _LONGEST_FOLDER
    folder = tempfile.mkdtemp(prefix="hybrid-", dir=None if short else "/tmp")  # noqa: S108
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    _init(
        address="local",
        num_cpus=processors,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=folder,
    )


def _join(address: str) -> None:
    _init(address=address)


def _init(**options: Any) -> None:
    import ray

    if ray.is_initialized():
        raise ClusterError("Ray is already running in this program; stop it first.")
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        where = options["address"]
        what = "Ray could not be started" if where == "local" else f"Ray at {where} refused"
        raise ClusterError(f"{what}: {_one_line(error)}.") from error


def _check_answers(address: str) -> None:
    """Check the address first: Ray itself tries for minutes before it gives up."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ClusterError(
            f"{address!r} is not the address of a Ray cluster; write auto, or host:port of its "
            "head, such as 10.0.0.5:6379."
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as there:
            there.sendall(_HTTP2)
            said = there.recv(9)
    except OSError as error:
        raise ClusterError(
            f"Nothing answers at {address} ({error.strerror or error}); start Ray there with "
            "`ray start --head`, or leave --address out to use this machine."
        ) from error
    if said[3:4] != _SETTINGS and not os.environ.get("RAY_USE_TLS"):
        raise ClusterError(
            f"{address} is not a Ray cluster; give the port that `ray start --head` was given, "
            "6379 by default."
        )


@cache  # Ray reads a process's token once
def _token() -> str:
    return secrets.token_hex(32)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _attribute(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name, None)
    try:
        setattr(owner, name, value)
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the SIGTERM handler, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(error: BaseException) -> str:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {said[0].rstrip('.')}" if said else type(error).__name__
