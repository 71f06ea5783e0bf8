"""Clouds that answer a bundle's test vectors, and misbehave in one way each. asyncio only."""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["FAULTS", "Cloud", "serve"]

Answer = tuple[int, dict[str, str], bytes]
_FOR_EVER_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """What a cloud knows.

    Args:
        logits: by the bytes of an image.
    """

    logits: Mapping[bytes, np.ndarray]
    weights: str
    token: str

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Status, headers and body, as an honest cloud gives them."""
        if headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, b"{}"
        if f"/versions/{self.weights}/infer" not in path:
            return 404, {}, b"{}"
        if headers.get("content-digest") != digest(body):
            return 400, {}, b"{}"
        try:
            length = int(headers["inference-header-content-length"])
            about = json.loads(body[:length])
            logits = self.logits[body[length:]].astype("<f4").tobytes()
            return described(about["id"], self.weights, len(logits) // 4, logits)
        except (ValueError, KeyError, TypeError):
            return 400, {}, b"{}"


def described(name: str, weights: str, classes: int, logits: bytes, kind: str = "FP32") -> Answer:
    """An answer with these logits."""
    output = {
        "name": "logits", "shape": [1, classes], "datatype": kind,
        "parameters": {"binary_data_size": len(logits)},
    }  # fmt: skip
    about = {"model_name": "m", "model_version": weights, "id": name, "outputs": [output]}
    text = json.dumps(about).encode()
    return with_body((200, {"Inference-Header-Content-Length": str(len(text))}, text + logits))


def with_body(answer: Answer) -> Answer:
    """The same answer with the digest of its body."""
    status, headers, body = answer
    return status, headers | {"Content-Digest": digest(body)}, body


def digest(body: bytes) -> str:
    """As RFC 9530 has it."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def _status(status: int, **headers: str) -> Callable[[Answer], Answer]:
    return lambda _: (status, {name.replace("_", "-"): one for name, one in headers.items()}, b"{}")


def _logits(value: float) -> Callable[[Answer], Answer]:
    """All logits the same number, with a digest that fits."""

    def change(answer: Answer) -> Answer:
        length = int(answer[1].get("Inference-Header-Content-Length", 0))
        classes = (len(answer[2]) - length) // 4
        data = struct.pack(f"<{classes}f", *[value] * classes)
        return with_body((answer[0], answer[1], answer[2][:length] + data))

    return change


def _body(make: Callable[[bytes], bytes]) -> Callable[[Answer], Answer]:
    return lambda answer: with_body((answer[0], answer[1], make(answer[2])))


def _headers(**changed: str) -> Callable[[Answer], Answer]:
    named = {name.replace("_", "-"): one for name, one in changed.items()}
    return lambda answer: (answer[0], answer[1] | named, answer[2])


FAULTS: dict[str, Callable[[Answer], Answer]] = {
    "status 408": _status(408),
    "status 413": _status(413),
    "status 429": _status(429, Retry_After="0"),
    "status 500": _status(500),
    "status 503": _status(503, Retry_After="0"),
    "status 503 for 30 s": _status(503, Retry_After="30"),
    "a redirect": _status(302, Location="/"),
    "NaN logits": _logits(float("nan")),
    "infinite logits": _logits(float("inf")),
    "fewer classes": _body(lambda body: body.replace(b"[1, 10]", b"[1, 9]")),
    "wrong shape": _body(lambda body: body.replace(b"[1, 10]", b"[10, 1]")),
    "wrong type": _body(lambda body: body.replace(b"FP32", b"INT32")),
    "wrong length": _body(lambda body: body[:-4]),
    "wrong digest": _headers(Content_Digest=digest(b"another")),
    "no digest": _headers(Content_Digest=""),
    "wrong header length": _headers(Inference_Header_Content_Length="7"),
    "another version": _body(lambda body: body.replace(b'version": "', b'version": "0')),
    "another request": _body(lambda body: body.replace(b'"id": "', b'"id": "0')),
    "no JSON": _body(lambda body: b"<html>" + body[6:]),
    "an empty body": _body(lambda _: b""),
    "a body without end": lambda answer: answer,
    "headers without end": lambda answer: answer,
    "100 Continue for ever": lambda answer: answer,
    "no HTTP": lambda answer: answer,
    "silence": lambda answer: answer,
}


async def serve(
    cloud: Cloud, kind: str, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> int:
    """Serve a cloud that misbehaves in this way; "" for an honest one. Its port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, LookupError):
            while True:
                await _answer(cloud, kind, reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls)
    _running.append(server)
    return int(server.sockets[0].getsockname()[1])


_running: list[asyncio.Server] = []  # a server that nothing refers to is closed


async def _answer(
    cloud: Cloud, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers["content-length"]))
    if kind in _RAW:
        await _RAW[kind](writer)
        return
    answer = cloud.answer(head[0].split(" ")[1], headers, body)
    if kind:
        answer = FAULTS[kind](answer)
    status, told, out = answer
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(out)}"]
    lines += [f"{name}: {value}" for name, value in told.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + out)
    await writer.drain()


async def _silent(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(_FOR_EVER_S)


async def _repeated(writer: asyncio.StreamWriter, first: bytes, then: bytes) -> None:
    writer.write(first)
    while True:
        writer.write(then)
        await writer.drain()
        await asyncio.sleep(0.001)


async def _endless_body(writer: asyncio.StreamWriter) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    await _repeated(writer, head, b"400\r\n" + b"0" * 1024 + b"\r\n")


async def _endless_headers(writer: asyncio.StreamWriter) -> None:
    await _repeated(writer, b"HTTP/1.1 200 OK\r\n", b"X-More: 0\r\n")


async def _continuing(writer: asyncio.StreamWriter) -> None:
    await _repeated(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n")


async def _no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


_RAW = {
    "a body without end": _endless_body,
    "headers without end": _endless_headers,
    "100 Continue for ever": _continuing,
    "no HTTP": _no_http,
    "silence": _silent,
}
