"""Connections of uvicorn with bounds: how many there are, and how long a head may take."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Bounded"]


class Bounded(H11Protocol):
    """A connection that is closed at once where it is one too many, or its head takes too long.

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
            transport.abort()
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
