"""Toxics do what their words say, to the byte and to the microsecond of a clock of the test."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid import energy
from hybrid.deploy.measuring.proxy import link_toxics
from hybrid.deploy.measuring.toxics import (
    TOXICS,
    Bandwidth,
    Flip,
    Latency,
    LimitData,
    LineClosedError,
    Replace,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    toxic_of,
)
from hybrid.errors import SettingError

Came = list[tuple[float, bytes]]


class Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Does not wait, but says how long it would have."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.passed_s += timeout or 0.0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next thing that is due."""

    def __init__(self) -> None:
        self._moved = Selector()
        super().__init__(self._moved)

    def time(self) -> float:
        return self._moved.passed_s


@contextmanager
def fresh() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def passed(toxics: list[Any], *pieces: tuple[float, bytes]) -> tuple[Came, float, str]:
    """When which bytes leave, when it ends, and how: end, closed or reset."""

    async def given_at() -> AsyncIterator[tuple[float, bytes]]:
        loop = asyncio.get_running_loop()
        for at, data in pieces:
            there = loop.create_future()
            loop.call_at(at, there.set_result, None)
            await there
            yield at, data

    async def run() -> tuple[Came, float, str]:
        loop, found, end = asyncio.get_running_loop(), [], "end"
        chain: Any = given_at()
        for toxic in toxics:
            chain = toxic(chain)
        try:
            async for _, data in chain:
                found.append((round(loop.time(), 6), data))
        except LineClosedError as closed:
            end = "reset" if closed.reset else "closed"
        return found, round(loop.time(), 6), end

    with fresh() as loop:
        return loop.run_until_complete(run())


def test_latency_is_added_to_each_piece_and_does_not_add_up():
    found, _, _ = passed([Latency(latency_ms=30)], (0.0, b"a"), (0.001, b"b"))

    assert found == [(0.03, b"a"), (0.031, b"b")]


@given(st.floats(0, 50))
@settings(max_examples=20)
def test_jitter_stays_within_its_bounds(jitter_ms: float):
    ((at, _),), _, _ = passed([Latency(latency_ms=50, jitter_ms=jitter_ms)], (0.0, b"a"))

    assert 0.05 - jitter_ms / 1000 - 1e-6 <= at <= 0.05 + jitter_ms / 1000 + 1e-6


@given(st.lists(st.binary(min_size=1, max_size=500), min_size=1, max_size=5))
@settings(max_examples=30)
def test_a_bandwidth_takes_bytes_over_rate(sent: list[bytes]):
    found, at, _ = passed([Bandwidth(bytes_per_s=1000)], *((0.0, one) for one in sent))

    assert b"".join(data for _, data in found) == b"".join(sent)
    assert at == pytest.approx(len(b"".join(sent)) / 1000, abs=1e-5)


def test_a_slicer_sends_small_pieces_with_pauses():
    found, _, _ = passed([Slicer(average_size=2, delay_us=1000)], (0.0, b"abcde"))

    assert found == [(0.001, b"ab"), (0.002, b"cd"), (0.003, b"e")]


@pytest.mark.parametrize(
    "toxic, end", [(LimitData(bytes=3), "closed"), (ResetPeer(bytes=3), "reset")]
)
def test_a_line_is_cut_after_so_many_bytes(toxic: Any, end: str):
    found, _, how = passed([toxic], (0.0, b"ab"), (0.1, b"cd"), (0.2, b"ef"))

    assert (b"".join(data for _, data in found), how) == (b"abc", end)


@pytest.mark.parametrize("timeout_ms, at", [(70, 0.07), (0, 3600.0)])
def test_a_timeout_lets_nothing_pass(timeout_ms: float, at: float):
    assert passed([Timeout(timeout_ms=timeout_ms)], (0.0, b"a")) == ([], at, "closed")


def test_a_reset_comes_after_its_time():
    assert passed([ResetPeer(timeout_ms=20)], (0.0, b"a")) == ([], 0.02, "reset")


def test_a_slow_close_delays_the_end_alone():
    assert passed([SlowClose(delay_ms=400)], (0.0, b"a")) == ([(0.0, b"a")], 0.4, "end")


@given(st.binary(min_size=1, max_size=40), st.integers(-40, 40), st.integers(0, 7))
@settings(max_examples=40)
def test_a_flip_changes_one_bit(data: bytes, byte: int, bit: int):
    ((_, changed),), _, _ = passed([Flip(byte=byte, bit=bit)], (0.0, data))

    assert len(changed) == len(data)
    assert sum((a ^ b).bit_count() for a, b in zip(changed, data, strict=True)) == 1


def test_bytes_are_replaced():
    found, _, _ = passed([Replace(old="200 OK", new="503 No")], (0.0, b"HTTP/1.1 200 OK"))

    assert found == [(0.0, b"HTTP/1.1 503 No")]


@pytest.mark.parametrize("name", energy.link_names())
def test_a_link_takes_as_long_as_its_profile_says(name: str):
    link, data = energy.load_link(name), bytes(2048)
    there, back = link_toxics(link.uplink_mbit_per_s, link.round_trip_ms)

    _, up, _ = passed(list(there), (0.0, data))
    _, down, _ = passed(list(back), (0.0, b"1"))

    expected = link.transfer_ms(2048) + link.transfer_ms(1) + link.round_trip_ms
    assert 1000 * (up + down) == pytest.approx(expected, rel=1e-3, abs=0.01)


def test_toxics_are_read_from_json():
    assert toxic_of({"type": "latency", "latency_ms": 5}) == Latency(latency_ms=5)
    assert set(TOXICS) >= {
        "latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data",
    }  # toxiproxy's  # fmt: skip

    with pytest.raises(SettingError, match="type of a toxic is 'lag'; set it to one of latency"):
        toxic_of({"type": "lag"})
    with pytest.raises(SettingError, match=r"field of the toxic latency is .*'speed'"):
        toxic_of({"type": "latency", "speed": 1})
