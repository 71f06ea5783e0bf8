"""What a proxy does to the bytes of one direction of a connection, in toxiproxy's words.

A toxic takes pieces of bytes with the time at which they came, and gives pieces.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any, Protocol

from hybrid.errors import SettingError

__all__ = [
    "TOXICS",
    "Bandwidth",
    "Flip",
    "Latency",
    "LimitData",
    "LineClosedError",
    "Pieces",
    "Replace",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "Timeout",
    "Toxic",
    "toxic_of",
]

Pieces = AsyncIterator[tuple[float, bytes]]
_FOR_EVER_S = 3600.0
_AT_ONCE_S = 0.02  # of a slow line, so that it flows evenly


class LineClosedError(Exception):
    """The proxy closes both sides; with a reset if it says so."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("closed by a toxic")
        self.reset = reset


class Toxic(Protocol):
    """One thing that is wrong with a line."""

    def __call__(self, pieces: Pieces) -> Pieces:
        """The pieces as they leave; raises `LineClosedError` to close."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Each piece comes so much later, up to `jitter_ms` earlier or later at random."""

    latency_ms: float
    jitter_ms: float = 0.0

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        async for came, data in pieces:
            moved_ms = random.uniform(-1, 1) * self.jitter_ms  # noqa: S311  # no secret
            due = came + (self.latency_ms + moved_ms) / 1000
            await _until(due)
            yield due, data


@dataclass(frozen=True, kw_only=True)
class Bandwidth:
    """A line of so many bytes a second."""

    bytes_per_s: float

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        part = max(1, int(self.bytes_per_s * _AT_ONCE_S))
        free = 0.0  # when the line is free again
        async for came, data in pieces:
            for start in range(0, len(data), part):
                one = data[start : start + part]
                free = max(free, came) + len(one) / self.bytes_per_s
                await _until(free)
                yield free, one  # when it was due: a pause of what comes after does not add up


@dataclass(frozen=True, kw_only=True)
class Slicer:
    """Small pieces with a pause after each."""

    average_size: int
    delay_us: float = 0.0

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        async for _, data in pieces:
            for start in range(0, len(data), self.average_size):
                await asyncio.sleep(self.delay_us / 1e6)
                yield _now(), data[start : start + self.average_size]


@dataclass(frozen=True, kw_only=True)
class LimitData:
    """Closes after so many bytes."""

    bytes: int

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        left = self.bytes
        async for came, data in pieces:
            if data[:left]:
                yield came, data[:left]
            left -= len(data)
            if left <= 0:
                raise LineClosedError


@dataclass(frozen=True, kw_only=True)
class Timeout:
    """Nothing passes; closes after so long, or never if 0."""

    timeout_ms: float = 0.0

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        async for came, data in pieces:
            await asyncio.sleep(self.timeout_ms / 1000 or _FOR_EVER_S)
            if data:
                raise LineClosedError
            yield came, data  # never: a piece is not empty


@dataclass(frozen=True, kw_only=True)
class ResetPeer:
    """Resets the connection after so many bytes and so long."""

    timeout_ms: float = 0.0
    bytes: int = 0

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        left = self.bytes
        async for came, data in pieces:
            if data[:left]:
                yield came, data[:left]
            left -= len(data)
            if left <= 0:
                await asyncio.sleep(self.timeout_ms / 1000)
                raise LineClosedError(reset=True)


@dataclass(frozen=True, kw_only=True)
class SlowClose:
    """The end comes so much later."""

    delay_ms: float

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        async for one in pieces:
            yield one
        await asyncio.sleep(self.delay_ms / 1000)


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One bit is turned over; counted from the first byte, or from the last if below 0.

    Of a connection's pieces, each is a message of its own.
    """

    byte: int
    bit: int = 0

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        async for came, data in pieces:
            changed = bytearray(data)
            changed[self.byte % len(data)] ^= 1 << self.bit
            yield came, bytes(changed)


@dataclass(frozen=True, kw_only=True)
class Replace:
    """Some bytes are others, in each piece that has them."""

    old: str
    new: str

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        async for came, data in pieces:
            yield came, data.replace(self.old.encode(), self.new.encode())


TOXICS: dict[str, type[Any]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slicer": Slicer,
    "limit_data": LimitData,
    "timeout": Timeout,
    "reset_peer": ResetPeer,
    "slow_close": SlowClose,
    "flip": Flip,
    "replace": Replace,
}


def toxic_of(row: dict[str, Any]) -> Toxic:
    """A toxic from its JSON: `{"type": "latency", "latency_ms": 100}`.

    Raises:
        SettingError: there is none like that.
    """
    kind = str(row.get("type"))
    if kind not in TOXICS:
        raise SettingError("The type of a toxic", kind, TOXICS)
    given = {name: value for name, value in row.items() if name != "type"}
    known = [one.name for one in fields(TOXICS[kind])]
    try:
        found: Toxic = TOXICS[kind](**given)
    except TypeError:
        raise SettingError(f"A field of the toxic {kind}", str(sorted(given)), known) from None
    return found


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _until(due: float) -> None:
    wait = due - _now()
    if wait > 0:
        await asyncio.sleep(wait)
