"""The other processes of a measurement: started, waited for, and ended."""

import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from hybrid.energy import Link
from hybrid.errors import CloudError

__all__ = ["COMMAND", "child", "cloud_of", "cloud_process", "slowed"]

_START_S, _END_S, _POLL_S = 60.0, 10.0, 0.05
COMMAND = "from hybrid.cli.main import app; app()"


@contextmanager
def child(words: Sequence[str], *, quiet: bool = False) -> Iterator["subprocess.Popen[str]"]:
    """A Python process with these arguments, which ends with the block.

    Args:
        quiet: nothing that it says is shown.
    """
    process = subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


@contextmanager
def slowed(url: str, link: Link | None) -> Iterator[str]:
    """The address of a proxy to a cloud that is as slow as a radio; without one, the cloud's own.

    Raises:
        CloudError: a cloud with TLS, whose certificate is not for the proxy's address.
    """
    if link is None:
        yield url
        return
    parts = urlsplit(url)
    if parts.scheme == "https":
        raise CloudError(
            "A link profile is put before a cloud without TLS; give its http address, or leave out "
            "--link."
        )
    row = {
        "upstream": f"{parts.hostname}:{parts.port or 80}",
        "link": {"mbit_per_s": link.uplink_mbit_per_s, "round_trip_ms": link.round_trip_ms},
    }
    with child(["-m", "hybrid.deploy.measuring.proxy", json.dumps(row)]) as proxy:
        assert proxy.stdout is not None
        (port,) = json.loads(proxy.stdout.readline())
        yield f"http://127.0.0.1:{port}"


@contextmanager
def cloud_process(bundle: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A cloud of this bundle in a process of its own on this machine: its address, and the process.

    Raises:
        CloudError: it does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = ["-c", COMMAND, "cloud", str(bundle), "--port", str(port)]
    with child(command, quiet=True) as cloud:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, cloud)
        yield url, cloud


@contextmanager
def cloud_of(bundle: Path) -> Iterator[str]:
    """The address of such a cloud; errors as `cloud_process`."""
    with cloud_process(bundle) as (url, _):
        yield url


def _wait_until_ready(url: str, cloud: "subprocess.Popen[str]") -> None:
    """Ask until the cloud says that it is ready, or has ended."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until and cloud.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=1):  # noqa: S310
                return
        except (OSError, http.client.HTTPException):
            time.sleep(_POLL_S)
    raise CloudError("The cloud did not start on this machine; `hybrid cloud` on its own says why.")
