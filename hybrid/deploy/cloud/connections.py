"""Connections of uvicorn with bounds: how many there are, and how long a head may take."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["MOST_CONNECTIONS", "Bounded", "bounded_files"]

MOST_CONNECTIONS = 1000
# Files of the model, and connections that are counted nowhere yet: just accepted, or in a
# handshake of TLS.
_OTHER_FILES = 400
_SENTENCE = json.dumps({"error": "There are too many connections; try again later."}).encode()
_NO_ROOM = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_SENTENCE), _SENTENCE)
)


def bounded_files(most: int = MOST_CONNECTIONS) -> int:
    """Let this process open as many files as so many connections need, and no more.

    Beyond that the system refuses, and asyncio waits for a second before it accepts again.

    Returns:
        `most`, or fewer connections where the system allows fewer files.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return most
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + _OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - _OTHER_FILES)


class Bounded(H11Protocol):
    """A connection that is closed where it is one too many, with 503, or its head takes too long.

    Args:
        most: connections at a time.
        head_s: from the opening, or the first byte of a later head, to the end of the head.
    """

    def __init__(self, *, most: int, head_s: float, **given: Any) -> None:
        super().__init__(**given)
        self._most, self._head_s = most, head_s
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As in asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.write(_NO_ROOM)
            transport.close()
        else:
            self._watch_head()

    def data_received(self, data: bytes) -> None:
        """As in asyncio."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """As in asyncio."""
        self._stop_timer()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        """Let a timer run while a head is awaited, but none while a request is answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._head_s, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
