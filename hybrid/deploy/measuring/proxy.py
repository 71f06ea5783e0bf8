"""A TCP proxy whose line is as bad as its toxics make it.

    python -m hybrid.deploy.measuring.proxy '{"upstream": "127.0.0.1:8000", "toxics": […]}' …

listens on a free port of this machine for each description, prints the ports in one line of JSON,
and ends when its standard input does. Each toxic has a `stream`: `upstream` (to the cloud) or
`downstream`. `"link": {"mbit_per_s": 0.7, "round_trip_ms": 50}` makes both as slow as a radio;
`{"down": true}` gives a port on which no one listens.
"""

import asyncio
import json
import socket
import struct
import sys
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from hybrid.deploy.measuring.toxics import (
    Bandwidth,
    Latency,
    LineClosedError,
    Pieces,
    Toxic,
    toxic_of,
)

__all__ = ["Proxy", "RunningProxy", "link_toxics", "running"]

_READ_BYTES = 1 << 16
_ROUNDS = 30
_AT_ONCE = 64  # pieces that wait in one direction
_BITS = 8e-6  # of a byte, in mega


class Proxy:
    """A proxy in the event loop that starts it.

    Args:
        upstream: host and port of the cloud.
        to_cloud, to_edge: toxics of each direction, in their order. They may be changed while it
            runs, for the connections that come then.
    """

    def __init__(
        self,
        upstream: tuple[str, int],
        *,
        to_cloud: Sequence[Toxic] = (),
        to_edge: Sequence[Toxic] = (),
    ) -> None:
        self._upstream = upstream
        self.to_cloud, self.to_edge = tuple(to_cloud), tuple(to_edge)
        self.port = 0
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and end all connections."""
        assert self._server is not None
        self._server.close()
        # Connections that were just accepted become tasks, and those that were aborted close, in
        # the next rounds of the loop.
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._joined(reader, writer)
        except asyncio.CancelledError:
            pass  # stopped
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._upstream)
        except OSError:
            return
        ways = [
            asyncio.create_task(_pump(reader, back, self.to_cloud)),
            asyncio.create_task(_pump(there, writer, self.to_edge)),
        ]
        try:
            await asyncio.gather(*ways)
        except LineClosedError as end:
            if end.reset:
                _linger(writer)
        except OSError:
            pass  # one side went away
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back.transport.abort()
            if not writer.is_closing():
                writer.close()
                with suppress(OSError, asyncio.TimeoutError):
                    await asyncio.wait_for(writer.wait_closed(), 1)


class RunningProxy:
    """A proxy in a thread of its own, that can be changed from any other thread."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listens = False

    def __enter__(self) -> "RunningProxy":
        """Listen at `url`."""
        self._thread.start()
        self._wait(self.proxy.start())
        self._listens = True
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections, and the thread."""
        if self._listens:
            self._wait(self.proxy.stop())
        self._wait(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The address, the same for ever."""
        return f"http://127.0.0.1:{self.proxy.port}"

    def change(
        self, to_cloud: Sequence[Toxic], to_edge: Sequence[Toxic], *, down: bool = False
    ) -> None:
        """End all connections; the next ones have these toxics, or are refused."""
        if self._listens:
            self._wait(self.proxy.stop())
        self.proxy.to_cloud, self.proxy.to_edge = tuple(to_cloud), tuple(to_edge)
        self._listens = not down
        if self._listens:
            self._wait(self.proxy.start())

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """A proxy in a thread of its own; it listens at `proxy.port`."""
    with RunningProxy(proxy):
        yield proxy


def link_toxics(
    mbit_per_s: float, round_trip_ms: float
) -> tuple[tuple[Toxic, ...], tuple[Toxic, ...]]:
    """The toxics that make a line as slow as a radio: to the cloud, and back.

    Half of the round trip each way; the rate of the uplink holds in both directions.
    """
    rate = Bandwidth(bytes_per_s=mbit_per_s / _BITS)
    half = Latency(latency_ms=round_trip_ms / 2)
    return (rate, half), (rate, half)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toxics: Sequence[Toxic]
) -> None:
    """All bytes of one direction, until its end, which is passed on."""
    arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_AT_ONCE)
    reading = asyncio.create_task(_read(reader, arrived))
    try:
        pieces = _taken(arrived)
        for toxic in toxics:
            pieces = toxic(pieces)
        async for _, data in pieces:
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(
    reader: asyncio.StreamReader, arrived: "asyncio.Queue[tuple[float, bytes]]"
) -> None:
    """Note when each piece came, however slowly they go on; an empty one is the end."""
    loop = asyncio.get_running_loop()
    data = b" "
    while data:
        try:
            data = await reader.read(_READ_BYTES)
        except OSError:
            data = b""
        await arrived.put((loop.time(), data))


async def _taken(arrived: "asyncio.Queue[tuple[float, bytes]]") -> Pieces:
    while (one := await arrived.get())[1]:
        yield one


def _linger(writer: asyncio.StreamWriter) -> None:
    """Make the close of this side a reset."""
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _described(row: dict[str, Any]) -> Proxy:
    host, _, port = row["upstream"].rpartition(":")
    streams: dict[str, list[Toxic]] = {"upstream": [], "downstream": []}
    if "link" in row:
        there, back = link_toxics(**row["link"])
        streams = {"upstream": list(there), "downstream": list(back)}
    for one in row.get("toxics", ()):
        stream = one.pop("stream", "downstream")
        streams[stream].append(toxic_of(one))
    return Proxy((host, int(port)), to_cloud=streams["upstream"], to_edge=streams["downstream"])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def _run(rows: list[dict[str, Any]]) -> None:
    ports, proxies = [], []
    for row in rows:
        if row.get("down"):
            ports.append(_free_port())
            continue
        proxy = _described(row)
        await proxy.start()
        proxies.append(proxy)
        ports.append(proxy.port)
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for proxy in proxies:
        await proxy.stop()


if __name__ == "__main__":
    asyncio.run(_run([json.loads(word) for word in sys.argv[1:]]))
