"""A cloud as a process has it, written for the tests: Open Inference Protocol v2, binary tensors.

It knows only the test vectors, so bytes that were changed on their way are found: they have no
answer. It shares no code with `hybrid`.
"""

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import numpy as np

__all__ = ["Served", "serving"]

Answer = tuple[int, dict[str, str], bytes]


class Served:
    """What a server was asked, and how its answers are changed.

    Args:
        logits: by the bytes of an image.
        weights: the version that it has.
        change: status, headers and body of an answer to others; the request's number first.
    """

    def __init__(
        self,
        logits: Mapping[bytes, np.ndarray],
        weights: str,
        *,
        token: str = "",
        change: Callable[[int, Answer], Answer] = lambda _, answer: answer,
    ) -> None:
        self.logits, self.weights, self.token, self.change = logits, weights, token, change
        self.requests: list[dict[str, Any]] = []
        self.connections = 0
        self.url = ""

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Status, headers and body."""
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {}, b"{}"
        if f"/versions/{self.weights}/infer" not in path:
            return 404, {}, b"{}"
        if headers.get("Content-Digest") != digest(body):
            return 400, {}, b"{}"
        length = int(headers["Inference-Header-Content-Length"])
        about = json.loads(body[:length])
        logits = self.logits[body[length:]].astype("<f4").tobytes()
        output = {
            "name": "logits",
            "shape": [1, len(logits) // 4],
            "datatype": "FP32",
            "parameters": {"binary_data_size": len(logits)},
        }
        described = {
            "model_name": "m", "model_version": self.weights, "id": about["id"],
            "outputs": [output],
        }  # fmt: skip
        text = json.dumps(described).encode()
        whole = text + logits
        told = {
            "Inference-Header-Content-Length": str(len(text)),
            "Content-Digest": digest(whole),
            "Server-Timing": "infer;dur=0.25",
        }
        return 200, told, whole


@contextmanager
def serving(served: Served, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run a server on a free port of this machine; its address."""

    class Handler(_Handler):
        of = served

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    running.start()
    try:
        scheme = "https" if tls else "http"
        served.url = f"{scheme}://localhost:{server.server_address[1]}"
        yield served.url
    finally:
        server.shutdown()
        running.join()
        server.server_close()


def digest(body: bytes) -> str:
    """As RFC 9530 has it."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


class _Handler(BaseHTTPRequestHandler):
    of: ClassVar[Served]
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.of.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.of.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
        number = len(self.of.requests)
        status, headers, out = self.of.change(number, self.of.answer(self.path, self.headers, body))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(out))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, *_: Any) -> None:
        pass
