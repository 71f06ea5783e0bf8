"""A breaker opens, waits, probes and closes; a retry is made once, and seldom."""

import itertools

import numpy as np
import pytest

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.guard import CLOSED, OPEN, PROBING, Breaker, Guarded
from hybrid.deploy.edge.links import LinkError, Reply
from tests.deploy.edge.clouds import FailingLink, Waiting

REPLY = Reply(logits=np.zeros(10, np.float32), sent_bytes=100)


def breaker(clock: Waiting) -> Breaker:
    return Breaker(clock=clock, rng=np.random.default_rng(0))


def fail(one: Breaker, times: int) -> None:
    for _ in range(times):
        assert one.allows()
        one.failed()


def test_a_breaker_opens_after_five_failures_in_a_row():
    one = breaker(Waiting())
    fail(one, 4)
    assert one.allows()
    one.succeeded()
    fail(one, 4)
    assert one.state == CLOSED

    fail(one, 1)

    assert (one.state, one.allows()) == (OPEN, False)


def test_a_breaker_opens_if_half_of_the_last_twenty_calls_failed():
    one = breaker(Waiting())
    for _ in range(9):
        fail(one, 1)
        one.succeeded()
    one.succeeded()
    assert one.state == CLOSED

    fail(one, 1)  # the tenth of twenty

    assert one.state == OPEN


def test_waits_double_up_to_30_seconds_and_vary_by_a_fifth():
    clock = Waiting()
    one = breaker(clock)
    fail(one, 5)
    waits = []
    for _ in range(8):
        waits.append(one.wait_s())
        clock.wait(waits[-1])
        assert one.allows()
        assert (one.state, one.allows()) == (PROBING, False)  # one probe at a time
        one.failed()

    for wait, plain in zip(waits, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert 0.8 * plain <= wait <= 1.2 * plain
    assert len(set(waits)) == 8


def test_one_success_closes_it_again_and_the_next_wait_is_short():
    clock = Waiting()
    one = breaker(clock)
    fail(one, 5)
    for _ in range(3):
        clock.wait(one.wait_s())
        assert one.allows()
        one.failed()
    clock.wait(one.wait_s())
    assert one.allows()

    one.succeeded()

    assert one.state == CLOSED
    fail(one, 5)
    assert one.wait_s() <= 1.2


@pytest.mark.parametrize("jump_s", [1e9, -1e9])
def test_the_machines_clock_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch, jump_s: float):
    one = breaker(Waiting())
    fail(one, 5)
    before = one.wait_s()

    monkeypatch.setattr("time.time", lambda: 1e9 + jump_s)

    assert (one.wait_s(), one.allows()) == (before, False)


def guarded(link: FailingLink, bundle: EdgeBundle, clock: Waiting) -> Guarded:
    return Guarded(link, bundle, clock=clock, wait=clock.wait, breaker=breaker(clock))


def test_where_nothing_was_sent_it_is_tried_once_more(bundle: EdgeBundle):
    clock = Waiting()
    link = FailingLink(iter([LinkError("refused", again_s=0.0)]), lambda _: REPLY)

    reply = guarded(link, bundle, clock).ask(b"x", deadline=clock() + 0.2)

    assert (link.calls, reply.sent_bytes) == (2, 100)


def test_there_is_no_third_attempt(bundle: EdgeBundle):
    clock = Waiting()
    errors = itertools.repeat(LinkError("refused", again_s=0.0))
    link = FailingLink(errors, lambda _: REPLY)

    with pytest.raises(LinkError, match="no connection"):
        guarded(link, bundle, clock).ask(b"x", deadline=clock() + 0.2)

    assert link.calls == 2


def test_after_bytes_were_sent_there_is_no_second_attempt(bundle: EdgeBundle):
    clock = Waiting()
    link = FailingLink(iter([LinkError("reset", sent_bytes=5)]), lambda _: REPLY)

    with pytest.raises(LinkError, match="the connection broke"):
        guarded(link, bundle, clock).ask(b"x", deadline=clock() + 0.2)

    assert link.calls == 1


@pytest.mark.parametrize("after_s, calls", [(0.1, 2), (0.199, 1), (1.0, 1)])
def test_a_busy_cloud_is_asked_again_only_if_there_is_time(
    bundle: EdgeBundle, after_s: float, calls: int
):
    clock = Waiting()
    busy = LinkError("busy", sent_bytes=50, again_s=after_s)
    link = FailingLink(iter([busy]), lambda _: REPLY)
    one = guarded(link, bundle, clock)

    if calls == 2:
        assert one.ask(b"x", deadline=clock() + 0.2).sent_bytes == 150
    else:
        with pytest.raises(LinkError, match="has no room"):
            one.ask(b"x", deadline=clock() + 0.2)

    assert link.calls == calls


def test_one_call_in_ten_may_be_tried_again(bundle: EdgeBundle):
    clock = Waiting()
    calls, retries = 200, 0
    refused = LinkError("refused", again_s=0.0)
    link = FailingLink(itertools.cycle([refused, None, None]), lambda _: REPLY)
    one = guarded(link, bundle, clock)
    for _ in range(calls):
        before = link.calls
        try:
            one.ask(b"x", deadline=clock() + 0.2)
        except LinkError:
            clock.wait(one.breaker.wait_s())
        retries += link.calls - before == 2

    assert 0.09 * calls <= retries <= 0.1 * calls + 1


def test_an_open_breaker_sends_nothing(bundle: EdgeBundle):
    clock = Waiting()
    link = FailingLink(itertools.repeat(LinkError("deadline")), lambda _: REPLY)
    one = guarded(link, bundle, clock)
    for _ in range(5):
        with pytest.raises(LinkError, match="no answer in time"):
            one.ask(b"x", deadline=clock() + 0.2)

    with pytest.raises(LinkError) as caught:
        one.ask(b"x", deadline=clock() + 0.2)

    assert (caught.value.reason, caught.value.sent_bytes, link.calls) == ("breaker", 0, 5)
