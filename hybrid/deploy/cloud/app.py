"""The cloud as an ASGI application: Open Inference Protocol v2, HYB1 frames, metrics.

    GET  /v2/health/live, /v2/health/ready        without a token
    GET  /v2                                      about the server
    GET  /v2/models/MODEL[/versions/VERSION]      about the model; with /ready, whether it answers
    POST /v2/models/MODEL[/versions/VERSION]/infer
    POST /v2/models/MODEL/versions/VERSION/hyb1   one image as a HYB1 frame
    GET  /metrics

VERSION is the SHA-256 of the weights. It knows neither sockets nor TLS, so any ASGI server runs it.
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import hybrid
from hybrid.deploy import wire
from hybrid.deploy.cloud import requests
from hybrid.deploy.cloud.batching import Batcher
from hybrid.deploy.cloud.bundle import CloudBundle
from hybrid.deploy.cloud.metrics import Metrics
from hybrid.deploy.cloud.refusals import Refusal, busy, closing
from hybrid.deploy.exposition import CONTENT_TYPE
from hybrid.errors import PayloadError
from hybrid.quant.payload import read_frame

__all__ = ["CloudApp", "Limits"]

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = tuple[int, dict[str, str], bytes]

_OK, _BAD, _NOT_FOUND, _METHOD, _TOO_LARGE = 200, 400, 404, 405, 413
_JSON, _BINARY = "application/json", "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a cloud takes.

    Args:
        max_batch: images of one call of the model, and of one request.
        max_wait_s: that an image waits for others while the model is idle.
        queue: images that wait.
        max_body_bytes: of a request.
        timeout_s: for a body to arrive, and then for its answer where the request has no deadline.
    """

    max_batch: int = 32
    max_wait_s: float = 0.0
    queue: int = 256
    max_body_bytes: int = 1 << 20
    timeout_s: float = 10.0


class CloudApp:
    """Answers for one bundle.

    Args:
        token: that requests must have; everyone may ask without one.
    """

    def __init__(self, bundle: CloudBundle, limits: Limits, *, token: str = "") -> None:
        self._bundle, self._limits, self._token = bundle, limits, token
        self._metrics = Metrics(bundle.weights)
        self._batcher: Batcher | None = None

    async def __call__(self, scope: Scope, receive: requests.Receive, send: Send) -> None:
        """One event of ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _live(self, receive: requests.Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._batcher = self._new_batcher()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._batcher is not None:
                    await self._batcher.close()
                self._batcher = None
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _new_batcher(self) -> Batcher:
        return Batcher(
            self._bundle.run,
            self._metrics,
            max_batch=self._limits.max_batch,
            max_wait_s=self._limits.max_wait_s,
            most_waiting=self._limits.queue,
        )

    async def _answer(self, scope: Scope, receive: requests.Receive, send: Send) -> None:
        try:
            status, headers, body = await self._routed(scope, receive)
        except Refusal as refusal:
            status, body = refusal.status, _json({"error": refusal.sentence})
            headers = {"Content-Type": _JSON, **refusal.headers}
        self._metrics.count(status)
        headers["Content-Length"] = str(len(body))
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _routed(self, scope: Scope, receive: requests.Receive) -> Answer:
        parts = scope["path"].strip("/").split("/")
        headers = requests.headers_of(scope)
        if parts[:2] == ["v2", "health"]:
            _check_method(scope, "GET")
            return self._health(parts[2:])
        requests.check_token(headers, self._token)
        if parts[:2] == ["v2", "models"] and parts[-1] in {"infer", "hyb1"}:
            _check_method(scope, "POST")
            version = self._version(parts[2:-1])
            if parts[-1] == "infer":
                return await self._infer(headers, receive)
            if not version:
                raise closing(_NOT_FOUND, "A HYB1 frame names no weights, so its address must.")
            return await self._infer_frame(headers, receive)
        _check_method(scope, "GET")
        return self._told(parts)

    def _health(self, parts: list[str]) -> Answer:
        if parts == ["live"]:
            return _told({"live": True})
        if parts == ["ready"]:
            self._ready()
            return _told({"ready": True})
        raise closing(_NOT_FOUND, "There are /v2/health/live and /v2/health/ready.")

    def _told(self, parts: list[str]) -> Answer:
        """What is said about server, model and counters."""
        if parts == ["v2"]:
            extensions = ["binary_tensor_data", "schedule_policy"]
            about = {"name": "hybrid", "version": hybrid.__version__, "extensions": extensions}
            return _told(about)
        if parts == ["metrics"]:
            waiting = self._batcher.waiting if self._batcher else 0
            text = self._metrics.text(waiting=waiting, limit=self._limits.queue)
            return _OK, {"Content-Type": CONTENT_TYPE}, text.encode()
        if parts[:2] != ["v2", "models"]:
            raise closing(_NOT_FOUND, "There are /v2, /v2/health, /v2/models and /metrics.")
        if parts[-1] == "ready":
            self._version(parts[2:-1])
            self._ready()
            return _told({"name": self._bundle.model, "ready": True})
        self._version(parts[2:])
        return _told(self._described())

    def _version(self, parts: list[str]) -> str:
        """The version that an address asks for; empty if it asks for none.

        Raises:
            Refusal: another model, or other weights.
        """
        match parts:
            case [model]:
                version = ""
            case [model, "versions", version]:
                pass
            case _:
                raise closing(_NOT_FOUND, "There is nothing at this address.")
        if model != self._bundle.model:
            raise closing(_NOT_FOUND, f"This cloud has the model {self._bundle.model} only.")
        if version not in {"", self._bundle.weights}:
            raise closing(_NOT_FOUND, f"This cloud has the weights {self._bundle.weights} only.")
        return version

    def _ready(self) -> Batcher:
        if self._batcher is None:
            raise busy(1)
        return self._batcher

    def _described(self) -> dict[str, Any]:
        bundle = self._bundle
        given = {"name": wire.PACKED, "datatype": wire.BYTES, "shape": [-1, bundle.payload_bytes]}
        made = {"name": wire.LOGITS, "datatype": wire.FLOATS, "shape": [-1, bundle.classes]}
        return {
            "name": bundle.model,
            "versions": [bundle.weights],
            "platform": "onnxruntime_onnx",
            "inputs": [given],
            "outputs": [made],
        }

    async def _infer(self, headers: Mapping[str, str], receive: requests.Receive) -> Answer:
        length = requests.header_bytes(headers)
        body = await self._body(headers, receive)
        began_s = time.monotonic()
        try:
            asked = wire.read_request(body, length, self._bundle.payload_bytes)
        except ValueError as error:
            raise Refusal(_BAD, f"The request cannot be read: {error}.") from None
        return await self._logits(asked, headers, began_s)

    async def _infer_frame(self, headers: Mapping[str, str], receive: requests.Receive) -> Answer:
        body = await self._body(headers, receive)
        began_s = time.monotonic()
        try:
            frame = read_frame(body)
        except PayloadError as error:
            raise Refusal(_BAD, str(error)) from None
        bundle = self._bundle
        same = (frame.bits, frame.shape) == (bundle.bits, bundle.shape)
        if not same or np.float32(frame.step) != np.float32(bundle.step):
            raise Refusal(_BAD, "The frame has other bits, step or shape than this bundle.")
        if len(frame.body) != bundle.payload_bytes:
            raise Refusal(_BAD, "The frame has another length than its header says.")
        packed = np.frombuffer(frame.body, np.uint8)[None]
        asked = wire.Asked(packed=packed, name="", binary=False, left_ms=None)
        return await self._logits(asked, headers, began_s)

    async def _body(self, headers: Mapping[str, str], receive: requests.Receive) -> bytes:
        return await requests.read_body(
            headers,
            receive,
            most_bytes=self._limits.max_body_bytes,
            timeout_s=self._limits.timeout_s,
        )

    async def _logits(
        self, asked: wire.Asked, headers: Mapping[str, str], began_s: float
    ) -> Answer:
        """The answer to a request that was read.

        Args:
            began_s: when its last byte had come, by `time.monotonic`.
        """
        if len(asked.packed) > self._limits.max_batch:
            raise Refusal(_TOO_LARGE, f"A request has at most {self._limits.max_batch} images.")
        left_s = requests.deadline_s(headers, asked.left_ms, self._limits.timeout_s)
        logits = await self._ready().ask(asked.packed, until_s=began_s + left_s)
        body, length = wire.answer(
            logits,
            name=asked.name,
            model=self._bundle.model,
            version=self._bundle.weights,
            binary=asked.binary,
        )
        took_s = time.monotonic() - began_s
        self._metrics.seconds["request"].add(took_s)
        told = {
            "Content-Type": _JSON if length is None else _BINARY,
            wire.DIGEST: wire.digest(body),
            "Server-Timing": f"infer;dur={1000 * took_s:.3f}",
        }
        return _OK, told if length is None else told | {wire.LENGTH: str(length)}, body


def _check_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        refusal = closing(_METHOD, f"This address takes {method}.")
        refusal.headers["Allow"] = method
        raise refusal


def _told(about: dict[str, Any]) -> Answer:
    return _OK, {"Content-Type": _JSON}, _json(about)


def _json(about: dict[str, Any]) -> bytes:
    return json.dumps(about).encode()
