"""Whatever the line does: each image is answered, marked, and right for its mark."""

import shutil
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.guard import Breaker
from hybrid.deploy.edge.http import Http, trusting
from hybrid.deploy.edge.links import Link
from hybrid.deploy.edge.runtime import EdgeRuntime
from hybrid.deploy.measuring.proxy import Proxy, running
from hybrid.deploy.measuring.toxics import (
    Bandwidth,
    Flip,
    Latency,
    LimitData,
    Replace,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from hybrid.monitor import AnswerLine
from tests.deploy.certificates import certificate, needs_openssl
from tests.deploy.edge.servers import Served, serving

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
Vectors = dict[str, np.ndarray]
SHORT_MS = 60.0
LONG_MS = 20_000.0


class NeverOpen(Breaker):
    """A breaker that never opens, so that every call meets the fault."""

    def failed(self) -> None:
        pass


class World:
    """A cloud at an address, and edges whose images all go there."""

    def __init__(self, bundle: EdgeBundle, vectors: Vectors, cache: Path, served: Served) -> None:
        self.bundle = replace(bundle, thresholds=(1.5, 1.5))
        self.vectors, self.cache, self.served = vectors, cache, served
        self.local = vectors["confidences"].argmax(1)
        self.cloud = vectors["cloud_logits"].argmax(1)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.served.url)
        return "127.0.0.1", int(parts.port or 0)

    def answers(self, link: Link, deadline_ms: float, images: int = 2) -> list[AnswerLine]:
        """The lines of an edge, each checked to be right for its mark."""
        with EdgeRuntime(
            self.bundle, link, deadline_ms=deadline_ms, cache=self.cache, breaker=NeverOpen()
        ) as edge:
            lines = [edge.answer(pixels) for pixels in self.vectors["pixels"][:images]]
        assert len(lines) == images
        for image, line in enumerate(lines):
            best = self.local[image]
            fallback = self.vectors["logits"][image, best].argmax()
            right = self.cloud[image] if line.source == "cloud" else fallback
            assert line.class_index == right
            assert (line.source, line.reason == "") in {("cloud", True), ("fallback", False)}
        return lines

    def through(
        self, *, up: Sequence[Any] = (), down: Sequence[Any] = (), deadline_ms: float = SHORT_MS
    ) -> list[AnswerLine]:
        with running(Proxy(self.address, to_cloud=up, to_edge=down)) as proxy:
            return self.answers(Http(f"http://127.0.0.1:{proxy.port}"), deadline_ms)


@pytest.fixture
def world(bundle: EdgeBundle, vectors: Vectors, cache: Path) -> Iterator[World]:
    known = dict(zip(map(bytes, vectors["packed"]), vectors["cloud_logits"], strict=True))
    served = Served(known, bundle.weights)
    with serving(served):
        yield World(bundle, vectors, cache, served)


def reasons(lines: list[AnswerLine]) -> set[str]:
    return {line.reason for line in lines}


GOOD = [
    {"up": [Latency(latency_ms=5, jitter_ms=5)], "down": [Latency(latency_ms=5)]},
    {"up": [Slicer(average_size=50, delay_us=10)], "down": [Slicer(average_size=7)]},
    {"up": [Bandwidth(bytes_per_s=2e5)], "down": [Bandwidth(bytes_per_s=2e5)]},
    {"down": [SlowClose(delay_ms=1)]},
]


@pytest.mark.parametrize("toxics", GOOD)
def test_a_line_that_is_only_slow_gives_the_clouds_answers(world: World, toxics: dict[str, Any]):
    assert reasons(world.through(**toxics, deadline_ms=LONG_MS)) == {""}


BAD = {
    "too slow": ({"up": [Latency(latency_ms=500)]}, set()),
    "black hole": ({"up": [Timeout()]}, set()),
    "answer lost": ({"down": [Timeout()]}, set()),
    "trickle": ({"down": [Bandwidth(bytes_per_s=200)]}, set()),
    "reset at once": ({"up": [ResetPeer()]}, {"reset"}),
    "reset in the request": ({"up": [ResetPeer(bytes=100)]}, {"reset"}),
    "reset in the answer": ({"down": [ResetPeer(bytes=60)]}, {"reset", "answer"}),
    "cut in the head": ({"down": [LimitData(bytes=30)]}, {"answer", "reset"}),
    "cut in the body": ({"down": [LimitData(bytes=300)]}, {"answer", "reset"}),
    "closed without an answer": ({"down": [LimitData(bytes=0)]}, {"reset"}),
    "a bit of the request": ({"up": [Flip(byte=-1)]}, {"request", "reset"}),
    "a bit of the answer": ({"down": [Flip(byte=-1)]}, {"answer", "reset"}),
    "a wrong status": ({"down": [Replace(old="200 OK", new="500 NO")]}, {"server"}),
    "a redirect": ({"down": [Replace(old="200 OK", new="302 NO")]}, {"answer"}),
    "a wrong length": ({"down": [Replace(old="Length: ", new="Length: 9")]}, {"answer"}),
    "no HTTP": ({"down": [Replace(old="HTTP/1.1", new="SPDY/1.1")]}, {"answer"}),
    "another version": ({"down": [Replace(old="model_version", new="model_versiom")]}, {"answer"}),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_line_that_is_bad_gives_marked_fallbacks(world: World, fault: str):
    toxics, expected = BAD[fault]

    lines = world.through(**toxics)

    assert reasons(lines) <= expected | {"deadline"}  # all of them on a machine that is busy


@pytest.mark.parametrize("byte", range(0, 600, 83))
@pytest.mark.parametrize("way", ["up", "down"])
def test_any_bit_may_flip(world: World, way: str, byte: int):
    lines = world.through(**{way: [Flip(byte=byte, bit=byte % 8)]})

    assert lines  # `answers` has checked them


def test_a_cloud_that_comes_back_is_used_again(world: World):
    nowhere = Http("http://127.0.0.1:1")

    assert reasons(world.answers(nowhere, LONG_MS)) == {"refused"}
    assert reasons(world.answers(Http(world.served.url), LONG_MS)) == {""}


@needs_openssl
@pytest.mark.parametrize(
    "name, end, trusted, reason",
    [
        ("localhost", "20991231000000Z", True, ""),
        ("localhost", "20991231000000Z", False, "certificate"),
        ("other.example", "20991231000000Z", True, "certificate"),
        ("localhost", "20200102000000Z", True, "certificate"),
    ],
)
def test_only_a_certificate_that_is_trusted_valid_and_of_the_name_will_do(
    world: World, tmp_path: Path, name: str, end: str, trusted: bool, reason: str
):
    certificate(tmp_path, name, begin="20200101000000Z", end=end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with serving(world.served, tls=context) as url:
        tls = trusting(tmp_path / "cert.pem" if trusted else None)
        lines = world.answers(Http(url, tls=tls), LONG_MS)

    assert reasons(lines) == {reason}
    if reason:
        assert {line.sent_bytes for line in lines} == {0}
