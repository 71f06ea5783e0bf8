"""A cloud while thousands of connections are opened that say nothing.

    python -m benchmarks.connections [bundle of hybrid export] [connections]

Without a bundle, one of the digits' network is made. One client that is there already goes on
asking from a process of its own. A connection that the cloud has no room for gets 503 and is
closed; one that it took is closed after the 10 s that a head may take. The row has both numbers,
the round trips of the client that asks, and the memory of the cloud's process before and after.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.rows import format_row, machine
from benchmarks.serving import Connection, clouds, digits, memory_mb, request
from hybrid.deploy.cloud.bundle import load_cloud

PAUSE_S = 0.02  # of the client that asks
WARM = 50


def main(bundle: str = "", connections: str = "10000") -> None:
    """Print the row."""
    with tempfile.TemporaryDirectory(prefix="hybrid-connections-") as name:
        folder = Path(bundle) if bundle else digits(Path(name))
        found = row(folder, allowed(int(connections)))
        print(format_row({"benchmark": "connections", **machine("uvicorn"), **found}), flush=True)


def allowed(connections: int) -> int:
    """So many, or as many as this system lets a process open."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return connections if hard == resource.RLIM_INFINITY else min(connections, hard - 100)


def row(folder: Path, connections: int) -> dict[str, Any]:
    """What became of the connections and of the client that asks."""
    with clouds("model", folder) as (port, cloud):
        command = [sys.executable, "-m", "benchmarks.connections", "--ask", str(folder), str(port)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as asking:
            assert asking.stdout is not None
            asking.stdout.readline()  # it has its connection
            before = memory_mb(cloud)
            start = time.monotonic()
            ends = asyncio.run(flood(port, connections))
            took = time.monotonic() - start
            after = memory_mb(cloud)
            times = json.loads(asking.communicate()[0])
        assert cloud.poll() is None
    return {
        "connections": connections,
        "refused_503": ends["refused"],
        "closed_for_silence": ends["closed"],
        "not_connected": ends["not connected"],
        "seconds": took,
        "asked_meanwhile": len(times),
        "p50_ms": statistics.median(times),
        "worst_ms": max(times),
        "memory_before_mb": before,
        "memory_after_mb": after,
    }


async def flood(port: int, connections: int) -> Counter[str]:
    """Open all at once and say nothing, until each has ended."""

    async def one() -> str:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return "not connected"
        try:
            return "refused" if b" 503 " in await reader.read() else "closed"
        except OSError:
            return "closed"
        finally:
            writer.close()

    return Counter(await asyncio.gather(*(one() for _ in range(connections))))


def ask(folder: Path, port: int) -> None:
    """Ask until stdin ends; print the milliseconds of each answer."""
    import select

    cloud = load_cloud(folder)
    whole = request(cloud, cloud.payload_bytes)
    with Connection(port) as connection:
        connection.times_ms(whole, WARM)
        print("ready", flush=True)
        times = []
        while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
            times += connection.times_ms(whole, 1)
    print(json.dumps(times))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        ask(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(*sys.argv[1:])
