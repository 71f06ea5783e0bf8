"""A bundle of the digits' network, its cloud in this process, and requests without a network."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.deploy.cloud.app import CloudApp, Limits
from hybrid.deploy.cloud.bundle import CloudBundle, load_cloud
from tests.deploy.edge.clouds import read_vectors
from tests.deploy.edge.conftest import bundle, bundle_folder, cache
from tests.deploy.frozen import frozen, frozen_once
from tests.loops import apart

collect_ignore = ["foreign"]  # what runs in environments of its own

__all__ = [
    "Answered", "asked", "binary", "bundle", "bundle_folder", "cache", "cloud", "frozen",
    "frozen_once", "vectors",
]  # fmt: skip


@pytest.fixture(scope="session")
def cloud(bundle_folder: Path) -> CloudBundle:
    return load_cloud(bundle_folder)


@pytest.fixture(scope="session")
def vectors(bundle_folder: Path) -> dict[str, np.ndarray]:
    """What every engine must answer for some images."""
    return read_vectors(bundle_folder)


class Answered:
    """What an application sent."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        start, *parts = messages
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(part.get("body", b"") for part in parts)

    @property
    def json(self) -> Any:
        """The header of the body, or all of it."""
        length = self.headers.get("inference-header-content-length")
        return json.loads(self.body[: int(length)] if length else self.body)

    @property
    def floats(self) -> np.ndarray:
        """The bytes after the header."""
        return np.frombuffer(
            self.body[int(self.headers["inference-header-content-length"]) :], "<f4"
        )


Ask = Callable[[CloudApp], Any]


def asked(
    cloud: CloudBundle,
    *requests: tuple[str, str, Mapping[str, str], bytes | list[bytes]],
    limits: Limits | None = None,
    token: str = "",
) -> list[Answered]:
    """The answers to requests that are all sent at once.

    Args:
        requests: method, path, headers and body; the last piece of a list is never sent.
    """

    async def run() -> list[Answered]:
        app = CloudApp(cloud, limits or Limits(), token=token)
        async with alive(app):
            return await asyncio.gather(*(_one(app, *request) for request in requests))

    return apart(lambda: asyncio.run(run()))


class alive:  # noqa: N801  # used like a function
    """The lifespan of an application."""

    def __init__(self, app: CloudApp) -> None:
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._app = app

    async def __aenter__(self) -> None:
        scope = {"type": "lifespan"}
        self._task = asyncio.create_task(self._app(scope, self._events.get, self._sent.put))
        await self._events.put({"type": "lifespan.startup"})
        assert (await self._sent.get())["type"] == "lifespan.startup.complete"

    async def __aexit__(self, *_: object) -> None:
        await self._events.put({"type": "lifespan.shutdown"})
        await self._task


async def _one(
    app: CloudApp, method: str, path: str, headers: Mapping[str, str], body: bytes | list[bytes]
) -> Answered:
    pieces = [body] if isinstance(body, bytes) else list(body)
    endless = isinstance(body, list)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not pieces:
            await asyncio.Event().wait()
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": endless or bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": method, "path": path, "headers": raw}, receive, send)
    return Answered(sent)


def binary(packed: np.ndarray, **about: Any) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request of (n, bytes), written by hand from the protocol's text."""
    given = {
        "name": "packed", "shape": list(packed.shape), "datatype": "UINT8",
        "parameters": {"binary_data_size": packed.size},
    }  # fmt: skip
    wanted = {"name": "logits", "parameters": {"binary_data": True}}
    text = json.dumps({"id": "one", "inputs": [given], "outputs": [wanted]} | about).encode()
    return {"Inference-Header-Content-Length": str(len(text))}, text + packed.tobytes()
