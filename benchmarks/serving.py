"""What a cloud adds to its model, and what it still answers at three times its capacity.

    python -m benchmarks.serving [bundle of hybrid export] [seconds of overload] [ray]

Without a bundle, one of the digits' network is made. Clients and cloud are processes on this
machine; requests are as `hybrid edge` sends them. Rows:

    gateway    round trip of one request after the other over the loopback, 2 kB each, to a cloud
               whose model gives zeros at once: all of it is what the gateway adds. `model_ms` and
               `request_ms` are the bundle's own model, called and asked in turn: median of each
    overload   requests at three times the rate that is answered at best, each with a deadline that
               counts from when it was due: `goodput` is what was answered in time, per second,
               beside the best; memory is that of the cloud's process. The model is the bundle's,
               and waits until it took 4 ms per image, as a larger one does: the limit is the model,
               and the clients have a core of their own
    replicas   with `ray`, in place of the others: the round trip to two replicas of Ray Serve, and
               the model called without them
"""

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import format_row, machine, median_ms
from hybrid.deploy import wire
from hybrid.deploy.cloud.app import CloudApp, Limits
from hybrid.deploy.cloud.bundle import CloudBundle, load_cloud
from hybrid.deploy.cloud.serving import listening, serve

PAYLOAD_BYTES = 2048  # of ResNet-32 on CIFAR at 4 bits
ASKED = 2_000
CLIENTS = 64
TIMES = 3  # the best rate
DEADLINE_MS = 200
IMAGE_MS = 4.0  # of the model under overload
QUEUE = 64
FRAMES = b"\r\n\r\n"
Row = dict[str, Any]


def main(bundle: str = "", seconds: str = "10", kind: str = "") -> None:
    """Print the rows."""
    about: Row = machine("numpy", "onnxruntime", "uvicorn")
    with tempfile.TemporaryDirectory(prefix="hybrid-serving-") as name:
        folder = Path(bundle) if bundle else digits(Path(name))
        for row in [replicas_row(folder)] if kind == "ray" else rows(folder, float(seconds)):
            print(format_row({"benchmark": row.pop("benchmark"), **about, **row}), flush=True)


def rows(folder: Path, seconds: float) -> Iterator[Row]:
    """The rows of one process."""
    yield gateway_row(folder)
    yield overload_row(folder, seconds)


def gateway_row(folder: Path) -> Row:
    """What the gateway adds."""
    with clouds("zeros", folder) as (port, _), Connection(port) as connection:
        known = replace(load_cloud(folder), payload_bytes=PAYLOAD_BYTES)
        added = connection.times_ms(request(known, PAYLOAD_BYTES), ASKED)
    with clouds("model", folder) as (port, _), Connection(port) as connection:
        cloud = load_cloud(folder)
        one = request(cloud, cloud.payload_bytes)
        packed = np.zeros((1, cloud.payload_bytes), np.uint8)
        asked, called = [], []
        for _ in range(ASKED // 4):  # in turn, so that both meet the same machine
            asked += connection.times_ms(one, 1)
            start = time.perf_counter()
            cloud.run(packed)
            called.append((time.perf_counter() - start) * 1e3)
    return {
        "benchmark": "gateway",
        "payload_bytes": PAYLOAD_BYTES,
        "asked": ASKED,
        "p50_ms": statistics.median(added),
        "p99_ms": float(np.percentile(added, 99)),
        "model": cloud.model,
        "model_ms": statistics.median(called),
        "request_ms": statistics.median(asked),
    }


def overload_row(folder: Path, seconds: float) -> Row:
    """The best rate, and what is left of it when three times as many ask."""
    with clouds("slow", folder) as (port, process):
        cloud = load_cloud(folder)
        packed = request(cloud, cloud.payload_bytes, left_ms=DEADLINE_MS)
        best = asyncio.run(closed_loop(port, packed, min(seconds, 8.0)))
        before = memory_mb(process)
        load = asyncio.run(open_loop(port, packed, seconds, TIMES * best))
        after = memory_mb(process)
        told = counters(port)
    return {
        "benchmark": "overload",
        "model": cloud.model,
        "image_ms": IMAGE_MS,
        "seconds": seconds,
        "deadline_ms": DEADLINE_MS,
        "best_per_s": best,
        "offered_per_s": load.sent / seconds,
        "goodput_per_s": load.in_time / seconds,
        "kept": load.in_time / seconds / best,
        "refused": load.statuses[503],
        "late": load.statuses[408] + load.late,
        "other": sum(n for status, n in load.statuses.items() if status not in {200, 408, 503}),
        "most_waiting": load.most_waiting,
        "queue_limit": int(told["hybrid_cloud_queue_limit"]),
        "memory_before_mb": before,
        "memory_after_mb": after,
    }


def replicas_row(folder: Path) -> Row:
    """What two replicas behind Ray's HAProxy add."""
    words = [sys.executable, "-c", "from hybrid.cli.main import app; app()", "cloud", str(folder)]
    command = [*words, "--ray", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = next(one for one in iter(process.stderr.readline, "") if "answer at" in one)
            cloud = load_cloud(folder)
            one = request(cloud, cloud.payload_bytes)
            with Connection(int(said.rstrip(".\n").rpartition(":")[2])) as connection:
                connection.times_ms(one, 100)
                asked = connection.times_ms(one, ASKED)
        finally:
            process.terminate()
    packed = np.zeros((1, cloud.payload_bytes), np.uint8)
    return {
        "benchmark": "replicas",
        "model": cloud.model,
        "payload_bytes": cloud.payload_bytes,
        "asked": ASKED,
        "p50_ms": statistics.median(asked),
        "p99_ms": float(np.percentile(asked, 99)),
        "model_ms": median_ms(lambda: cloud.run(packed), runs=ASKED // 4),
    }


def digits(folder: Path) -> Path:
    """A bundle of the digits' network, frozen and exported beside a copy of its card."""
    from hybrid import zoo
    from hybrid.deploy.bundles.writing import Point, write_bundle
    from hybrid.deploy.freezing import freeze

    shutil.copytree(zoo.pretrained_folder() / "digits-vgg", folder / "networks" / "digits-vgg")
    os.environ["HYBRID_PRETRAINED"] = str(folder / "networks")
    freeze("digits-vgg", 4)
    write_bundle("digits-vgg", 4, folder / "bundle", Point(thresholds=(0.9, 0.8)))
    return folder / "bundle"


# ---- the clouds, in processes of their own ----


@contextmanager
def clouds(kind: str, folder: Path) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """A cloud with the bundle's model, or one that gives zeros; its port and process."""
    command = [sys.executable, "-m", "benchmarks.serving", "--serve", kind, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.terminate()


def serve_one(kind: str, folder: Path) -> None:
    """Run a cloud until it is ended."""
    cloud = load_cloud(folder)
    if kind == "zeros":
        cloud = zeros(cloud)
    if kind == "slow":
        cloud = slow(cloud)
    sock = listening("127.0.0.1", 0)
    port = sock.getsockname()[1]
    app = CloudApp(cloud, Limits(queue=QUEUE, max_batch=8))
    serve(app, sock, tls=None, timeout_s=10, started=lambda: print(port, flush=True))


def zeros(cloud: CloudBundle) -> CloudBundle:
    """A model that costs nothing."""

    def run(packed: np.ndarray) -> np.ndarray:
        return np.zeros((len(packed), cloud.classes), np.float32)

    return replace(cloud, payload_bytes=PAYLOAD_BYTES, run=run)


def slow(cloud: CloudBundle) -> CloudBundle:
    """The same answers, 4 ms per image."""

    def run(packed: np.ndarray) -> np.ndarray:
        until = time.perf_counter() + len(packed) * IMAGE_MS / 1e3
        logits = cloud.run(packed)
        time.sleep(max(0.0, until - time.perf_counter()))
        return logits

    return replace(cloud, run=run)


def memory_mb(process: "subprocess.Popen[str]") -> float:
    """What a process has in memory, in 10^6 bytes."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def counters(port: int) -> dict[str, float]:
    """The samples of `/metrics` that have no labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        lines = response.read().decode().splitlines()
    plain = (line.split() for line in lines if "{" not in line and not line.startswith("#"))
    return {name: float(value) for name, value in plain}


# ---- the clients ----


def request(cloud: CloudBundle, payload_bytes: int, *, left_ms: int = 10_000) -> bytes:
    """What an edge sends for one image."""
    header = wire.request_header("0" * 32, payload_bytes, left_ms)
    body = header + bytes(payload_bytes)
    head = (
        f"POST {wire.infer_path(cloud.model, cloud.weights)} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: application/octet-stream\r\n"
        f"{wire.LENGTH}: {len(header)}\r\n{wire.DIGEST}: {wire.digest(body)}\r\n"
        f"{wire.DEADLINE}: {left_ms}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """A kept connection, asked one request after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def times_ms(self, whole: bytes, count: int) -> list[float]:
        """Milliseconds from the first byte sent to the last one received."""
        times = []
        for _ in range(count):
            start = time.perf_counter()
            self._socket.sendall(whole)
            status = self._receive()
            times.append((time.perf_counter() - start) * 1e3)
            assert status == 200
        return times

    def _receive(self) -> int:
        data = b""
        while FRAMES not in data:
            data += self._socket.recv(65536)
        head, _, rest = data.partition(FRAMES)
        status, length = parsed(head)
        while len(rest) < length:
            rest += self._socket.recv(65536)
        return status


def parsed(head: bytes) -> tuple[int, int]:
    """Status and length of an answer."""
    lines = head.lower().split(b"\r\n")
    (length,) = [int(one[15:]) for one in lines if one.startswith(b"content-length:")]
    return int(lines[0].split()[1]), length


@dataclass
class Load:
    """What came of many requests."""

    sent: int = 0
    in_time: int = 0
    late: int = 0
    most_waiting: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


async def closed_loop(port: int, whole: bytes, seconds: float) -> float:
    """Answers a second, where as many ask as fill two batches, each after its answer."""
    load = Load()
    until = time.monotonic() + seconds
    await asyncio.gather(*(_ask_until(port, whole, until, load) for _ in range(16)))
    return load.in_time / seconds


async def _ask_until(port: int, whole: bytes, until: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        await _ask(reader, writer, whole, load, time.monotonic())
    writer.close()


async def open_loop(port: int, whole: bytes, seconds: float, per_s: float) -> Load:
    """Send at a rate, whatever is answered, from kept connections; each waits for its answer."""
    load, due = Load(), time.monotonic()
    end = due + seconds
    idle: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(CLIENTS * 4):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    running: set[asyncio.Task[None]] = set()
    watching = asyncio.create_task(_watch(port, load))
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(_from(idle, whole, load, due))
        running.add(task)
        task.add_done_callback(running.discard)
        due += 1 / per_s
    await asyncio.gather(*running)
    watching.cancel()
    while not idle.empty():
        idle.get_nowait()[1].close()
    return load


async def _from(idle: "asyncio.Queue[Any]", whole: bytes, load: Load, due: float) -> None:
    reader, writer = await idle.get()
    await _ask(reader, writer, whole, load, due)
    idle.put_nowait((reader, writer))


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    whole: bytes,
    load: Load,
    due: float,
) -> None:
    load.sent += 1
    writer.write(whole)
    status, length = parsed(await reader.readuntil(FRAMES))
    await reader.readexactly(length)
    load.statuses[status] += 1
    if status == 200:
        in_time = (time.monotonic() - due) * 1e3 <= DEADLINE_MS
        load.in_time += in_time
        load.late += not in_time


async def _watch(port: int, load: Load) -> None:
    """Look at the queue's length every tenth of a second."""
    while True:
        told = await asyncio.to_thread(counters, port)
        load.most_waiting = max(load.most_waiting, int(told["hybrid_cloud_queue_images"]))
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_one(sys.argv[2], Path(sys.argv[3]))
    else:
        main(*sys.argv[1:])
