"""Sockets whose every call ends by a deadline: names, connections, TLS, sending and reading."""

import io
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Resolver", "TimedSocket", "connected"]

_Address = tuple[socket.AddressFamily, tuple[Any, ...]]


class Resolver:
    """The addresses of one host, looked up in a thread, since a look-up has no time limit."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._lock = threading.Lock()
        self._known: list[_Address] = []
        self._running: threading.Thread | None = None

    def addresses(self, remaining_s: float) -> list[_Address]:
        """The addresses, or none if that took too long or there are none."""
        with self._lock:
            if self._known:
                return self._known
            if self._running is None or not self._running.is_alive():
                self._running = threading.Thread(target=self._look_up, daemon=True)
                self._running.start()
            running = self._running
        running.join(max(0.0, remaining_s))
        with self._lock:
            return self._known

    def forget(self) -> None:
        """Look the name up again next time: none of its addresses answered."""
        with self._lock:
            self._known = []

    def _look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        with self._lock:
            self._known = [(family, address) for family, _, _, _, address in found]


class TimedSocket:
    """As much of a socket as `http.client` uses; `deadline` bounds each of its calls.

    Args:
        deadline: by `clock`; may be set again for the next request.
    """

    def __init__(
        self,
        plain: socket.socket,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket, self._clock = plain, clock
        self._readers, self._closing = 0, False
        self._held: list[bytes] | None = None
        self.deadline = deadline
        self.sent_bytes = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what is given in this block at its end, in as few packets as it fits into."""
        held: list[bytes] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
        self.sendall(b"".join(held))

    def sendall(self, data: bytes) -> None:
        """Send all bytes; TimeoutError at the deadline."""
        if self._held is not None:
            self._held.append(data)
            return
        view = memoryview(data)
        while view:
            sent = self._ready().send(view)
            self.sent_bytes += sent
            view = view[sent:]

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """What is received, as a file; TimeoutError at the deadline."""
        self._readers += 1
        return io.BufferedReader(_Received(self))

    def receive_into(self, buffer: Any) -> int:
        """Some bytes, 0 at the end."""
        return self._ready().recv_into(buffer)

    def is_stale(self) -> bool:
        """Whether an idle connection has bytes or an end: then it is no use for a request."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                return bool(selector.select(0))
        except (OSError, ValueError):
            return True

    def close(self) -> None:
        """Close the connection once the last file of it is closed, as sockets do."""
        self._closing = True
        if not self._readers:
            self._socket.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._socket.close()

    def file_closed(self) -> None:
        """A file of `makefile` was closed."""
        self._readers -= 1
        if self._closing:
            self.close()

    def _ready(self) -> socket.socket:
        remaining = self.deadline - self._clock()
        if remaining <= 0:
            raise TimeoutError
        self._socket.settimeout(remaining)
        return self._socket


class _Received(io.RawIOBase):
    def __init__(self, timed: TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._timed.file_closed()


def connected(
    addresses: list[_Address], *, deadline: float, tls: ssl.SSLContext | None, host: str
) -> TimedSocket:
    """A connection to the first address that takes one.

    Args:
        tls: None for plain HTTP.
        host: that the certificate must be for.

    Raises:
        OSError: none does; TimeoutError at the deadline; ssl.SSLError if TLS fails.
    """
    last: OSError = TimeoutError()
    for family, address in addresses:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(remaining)
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            plain.close()
            last = error
            continue
        return TimedSocket(_secured(plain, tls, host, deadline), deadline)
    raise last


def _secured(
    plain: socket.socket, tls: ssl.SSLContext | None, host: str, deadline: float
) -> socket.socket:
    if tls is None:
        return plain
    try:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        plain.settimeout(remaining)  # of the whole handshake
        return tls.wrap_socket(plain, server_hostname=host)
    except (OSError, ValueError):
        plain.close()
        raise
