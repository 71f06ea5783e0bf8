"""The address of an edge: its metrics, and its lines as they are written."""

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hybrid.deploy.exposition import CONTENT_TYPE
from hybrid.errors import AddressError

__all__ = ["LineLog", "Server"]

_KEPT = 10_000  # lines that a late reader still gets
_AT_ONCE = 500
_PAUSE_S = 1.0
_MOST_READERS = 16
_POLL_S = 0.1
_TIMEOUT_S = 30.0  # of one read or write of a connection


class LineLog:
    """The last lines of an edge, for any number of readers."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._added, self._closed = 0, False
        self._changed = threading.Condition()

    def add(self, line: str) -> None:
        """Add a line; readers that are more than 10,000 lines late miss some."""
        with self._changed:
            self._kept.append(line)
            self._added += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End all readers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def follow(self) -> Iterator[list[str]]:
        """The lines that are kept, then more as they come; an empty list each idle second."""
        read = 0
        while True:
            with self._changed:
                if not self._closed and read >= self._added:
                    self._changed.wait(_PAUSE_S)
                if self._closed and read >= self._added:
                    return
                read = max(read, self._added - len(self._kept))
                skip = read - (self._added - len(self._kept))
                found = list(self._kept)[skip : skip + _AT_ONCE]
                read += len(found)
            yield found


class Server:
    """Serves `/metrics` and `/lines` from threads of its own.

    Args:
        metrics: the text of `/metrics`.

    Raises:
        AddressError: the port is in use or not allowed, or the address is not of this machine.
    """

    def __init__(
        self, address: str, port: int, *, metrics: Callable[[], str], log: LineLog
    ) -> None:
        readers = threading.BoundedSemaphore(_MOST_READERS)

        class Handler(_Handler):
            given = (metrics, log, readers)

        try:
            self._server = ThreadingHTTPServer((address, port), Handler)
        except OverflowError:
            raise AddressError(address, port, option="--metrics-port") from None
        except OSError as error:
            raise AddressError(
                address,
                port,
                in_use=error.errno == errno.EADDRINUSE,
                unknown=error.errno not in {errno.EADDRINUSE, errno.EACCES},
                option="--metrics-port",
            ) from None
        self._log = log
        self.port = int(self._server.server_address[1])
        self._server.daemon_threads = True
        serve = partial(self._server.serve_forever, poll_interval=_POLL_S)
        threading.Thread(target=serve, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._log.close()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    given: tuple[Callable[[], str], LineLog, threading.BoundedSemaphore]
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        metrics, log, readers = self.given
        if self.path == "/metrics":
            self._send(200, metrics(), CONTENT_TYPE)
        elif self.path != "/lines":
            self._send(404, "There are /metrics and /lines.\n", "text/plain; charset=utf-8")
        elif not readers.acquire(blocking=False):
            self._send(503, "Too many readers.\n", "text/plain; charset=utf-8")
        else:
            try:
                self._stream(log)
            finally:
                readers.release()

    def log_message(self, *_: Any) -> None:
        """Nothing: the lines are the log."""

    def _send(self, status: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, log: LineLog) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/jsonl")
        self.end_headers()
        try:
            for lines in log.follow():
                self.wfile.write("".join(f"{line}\n" for line in lines).encode())
                self.wfile.flush()
        except OSError:
            self.close_connection = True  # the reader went away
