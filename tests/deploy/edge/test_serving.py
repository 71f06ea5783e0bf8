"""Metrics that Prometheus reads, and lines that a monitor follows."""

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.links import REASONS
from hybrid.deploy.edge.metrics import Metrics
from hybrid.deploy.edge.serving import LineLog, Server
from hybrid.errors import AddressError
from hybrid.monitor import AnswerLine
from hybrid.monitor.source import batches

SAMPLE = re.compile(r'^hybrid_[a-z_]+(\{[a-z]+="[^"]*"\})? -?[0-9.e+-]+$')
GAUGES = {"breaker_state": 2.0, "audits_waiting": 3.0, "audits_lost": 0.0}


def line(source: str, **changed: object) -> AnswerLine:
    fields = {
        "bundle": "ab" * 32, "image": "a", "time_s": 1.0, "class_index": 1, "confidence": 0.97,
        "exit_index": 0, "source": source, "device_ms": 0.3,
    }  # fmt: skip
    return AnswerLine(**fields | changed)  # type: ignore[arg-type]


@pytest.fixture
def metrics(bundle: EdgeBundle) -> Metrics:
    made = Metrics(bundle)
    for _ in range(3):
        made.count(line("exit"))
    made.count(line("cloud", sent_bytes=700, wire_ms=12.0, cloud_ms=0.6))
    made.count(line("fallback", reason="deadline", sent_bytes=100, wire_ms=200.0))
    made.count_audit()
    return made


def values(text: str) -> dict[str, float]:
    rows = [row for row in text.splitlines() if not row.startswith("#")]
    assert all(SAMPLE.match(row) for row in rows)
    return {name: float(value) for name, _, value in (row.rpartition(" ") for row in rows)}


def test_every_answer_is_counted_by_source_and_reason(metrics: Metrics, bundle: EdgeBundle):
    found = values(metrics.text(GAUGES))

    assert found[f'hybrid_build_info{{weights="{bundle.weights}"}}'] == 1
    assert [found[f'hybrid_answers_total{{source="{s}"}}'] for s in ("exit", "cloud")] == [3, 1]
    assert found['hybrid_fallback_total{reason="deadline"}'] == 1
    assert sum(found[f'hybrid_fallback_total{{reason="{one}"}}'] for one in REASONS) == 1
    assert found["hybrid_uplink_bytes_total"] == 800
    assert found["hybrid_audits_total"] == 1
    assert (found["hybrid_breaker_state"], found["hybrid_audits_waiting"]) == (2, 3)


def test_histograms_add_up(metrics: Metrics):
    found = values(metrics.text(GAUGES))

    assert found['hybrid_exit_confidence_bucket{le="0.95"}'] == 0
    assert found['hybrid_exit_confidence_bucket{le="1.0"}'] == 3
    assert found["hybrid_exit_confidence_sum"] == pytest.approx(3 * 0.97)
    assert found['hybrid_edge_seconds_bucket{le="0.0005"}'] == 5
    assert found['hybrid_wire_seconds_bucket{le="0.025"}'] == 1
    assert found['hybrid_wire_seconds_bucket{le="+Inf"}'] == found["hybrid_wire_seconds_count"] == 2
    assert found["hybrid_cloud_seconds_sum"] == pytest.approx(0.0006)


@pytest.fixture
def log() -> LineLog:
    return LineLog()


@pytest.fixture
def server(metrics: Metrics, log: LineLog) -> Iterator[Server]:
    made = Server("127.0.0.1", 0, metrics=lambda: metrics.text(GAUGES), log=log)
    yield made
    made.close()


def test_metrics_are_served_as_prometheus_wants_them(server: Server, metrics: Metrics):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert answer.read().decode() == metrics.text(GAUGES)

    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/other")
    caught.value.close()


def test_a_monitor_follows_the_lines_old_and_new(server: Server, log: LineLog):
    log.add("old")
    followed = batches(f"http://127.0.0.1:{server.port}/lines")
    found = [next(followed).texts]
    adding = threading.Thread(target=lambda: [log.add(f"new {n}") for n in range(1_200)])
    adding.start()
    while len(found) < 1_201:
        found.append(next(followed).texts)
    adding.join()
    log.close()

    assert [text for texts in found for text in texts] == ["old"] + [
        f"new {n}" for n in range(1_200)
    ]
    assert list(followed) == []


def test_a_reader_that_is_too_late_gets_the_last_lines(log: LineLog):
    for number in range(10_500):
        log.add(str(number))
    log.close()

    found = [line for lines in log.follow() for line in lines]

    assert found == [str(number) for number in range(500, 10_500)]


def test_a_port_in_use_names_the_option(server: Server, log: LineLog):
    with pytest.raises(AddressError, match=r"is in use; choose another one with --metrics-port"):
        Server("127.0.0.1", server.port, metrics=str, log=log)


def test_an_address_of_another_machine_is_refused(log: LineLog):
    with pytest.raises(AddressError, match=r"192\.0\.2\.1 is not an address of this machine"):
        Server("192.0.2.1", 0, metrics=str, log=log)
