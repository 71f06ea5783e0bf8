"""The simulated cloud against queueing theory and against plain loops."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.deploy.fleet import day
from hybrid.deploy.fleet.queueing import Cloud, simulate
from hybrid.errors import FleetError, UnknownNameError

simpy = pytest.importorskip("simpy", reason="simpy is not installed")

TIMES = st.lists(st.floats(0, 5), min_size=1, max_size=40).map(sorted)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def poisson(rate_per_s: float, count: int) -> np.ndarray:
    return np.cumsum(rng(1).exponential(1 / rate_per_s, count))


def test_one_replica_waits_as_long_as_pollaczek_and_khinchine_say() -> None:
    rate_per_s, service_s = 70.0, 0.01  # M/D/1 at a load of 0.7
    load = rate_per_s * service_s

    served = simulate(poisson(rate_per_s, 60_000), Cloud(replicas=1, image_ms=10.0), rng())

    wait_s = load * service_s / (2 * (1 - load))
    assert served.in_cloud_ms.mean() == pytest.approx(1000 * (wait_s + service_s), rel=0.03)
    assert served.busy_s == pytest.approx(60_000 * service_s)
    assert served.refused == 0


def test_three_replicas_wait_as_long_as_erlang_says() -> None:
    rate_per_s, service_s, replicas = 220.0, 0.01, 3  # M/M/3
    offered = rate_per_s * service_s
    terms = [1.0, offered, offered**2 / 2]
    last = offered**3 / 6 * replicas / (replicas - offered)
    wait_s = last / (sum(terms) + last) * service_s / (replicas - offered)
    times_ms = tuple(rng(2).exponential(10.0, 4000) + 1e-9)
    cloud = Cloud(replicas=replicas, image_ms=times_ms)

    served = simulate(poisson(rate_per_s, 120_000), cloud, rng())

    assert served.in_cloud_ms.mean() == pytest.approx(1000 * wait_s + 10, rel=0.06)


@given(times=TIMES, replicas=st.integers(1, 4), service_s=st.floats(0.01, 2))
def test_without_batches_a_request_takes_the_replica_that_is_free_first(
    times: list[float], replicas: int, service_s: float
) -> None:
    served = simulate(times, Cloud(replicas=replicas, image_ms=1000 * service_s), rng())

    free, expected = [0.0] * replicas, []
    for at in times:
        done = max(at, heapq.heappop(free)) + service_s
        heapq.heappush(free, done)
        expected.append(1000 * (done - at))
    np.testing.assert_allclose(served.in_cloud_ms, expected, atol=1e-6)


@given(times=TIMES, most=st.integers(1, 5), waiting=st.integers(1, 6))
def test_each_request_is_answered_once_or_refused(
    times: list[float], most: int, waiting: int
) -> None:
    cloud = Cloud(
        replicas=1, image_ms=500.0, more_ms=100.0, most_in_batch=most, most_waiting=waiting
    )

    served = simulate(times, cloud, rng())

    answered = served.in_cloud_ms[~np.isnan(served.in_cloud_ms)]
    assert len(answered) + served.refused == len(times)
    assert (answered >= 500 - 1e-6).all()
    # first images take 0.5 s and others 0.1 s, in batches of at most `most`
    least = 0.1 * len(answered) + 0.4 * -(-len(answered) // most)
    assert least - 1e-9 <= served.busy_s <= 0.5 * len(answered) + 1e-9


def test_a_full_batch_is_taken_at_once_and_a_full_queue_refuses() -> None:
    cloud = Cloud(replicas=1, image_ms=100.0, more_ms=10.0, most_in_batch=2, most_waiting=3)

    served = simulate([0, 0.01, 0.02, 0.03, 0.04], cloud, rng())

    # alone until 0.1 s; then two until 0.21 s; then one until 0.31 s; the fifth finds three waiting
    expected = [100, 200, 190, 280, np.nan]
    np.testing.assert_allclose(served.in_cloud_ms, expected)
    assert served.refused == 1
    assert served.percentile_ms(0.5) == pytest.approx(200)
    assert served.length_s == pytest.approx(0.31)


def test_no_request_needs_no_time() -> None:
    served = simulate([], Cloud(replicas=1, image_ms=1.0), rng())

    assert (served.percentile_ms(0.99), served.busy_s, served.refused) == (0.0, 0.0, 0)


def test_a_day_has_the_requests_it_should_in_every_hour() -> None:
    rates = day.rates_per_s(240_000, "day")

    times = day.request_times(rates, rng())

    assert rates.sum() * 3600 == pytest.approx(240_000)
    assert rates.max() == pytest.approx(day.peak_rate_per_s(240_000, "day"))
    assert rates.argmax() in {11, 12}
    assert (np.diff(times) >= 0).all()
    counts = np.histogram(times, bins=24, range=(0, 86_400))[0]
    assert (abs(counts - rates * 3600) < 5 * np.sqrt(rates * 3600) + 1).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"image_ms": 0.0},
        {"image_ms": ()},
        {"more_ms": -1.0},
        {"most_in_batch": 0},
        {"image_ms": float("nan")},
    ],
)
def test_a_cloud_that_could_not_answer_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(FleetError):
        Cloud(**({"replicas": 1, "image_ms": 1.0} | wrong))  # type: ignore[arg-type]


def test_an_impossible_day_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="flat"):
        day.rates_per_s(10, "night")
    with pytest.raises(FleetError, match="requests"):
        day.rates_per_s(-1, "flat")
