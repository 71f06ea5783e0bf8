"""Counters of an edge in the text format of Prometheus: lines in, text out."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.links import REASONS
from hybrid.monitor.lines import SOURCES, AnswerLine

__all__ = ["Histogram", "Metrics"]

_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
_BINS = tuple(number / 20 for number in range(1, 21))
_GAUGES = {
    "breaker_state": "0 closed, 1 open, 2 probing",
    "audits_waiting": "Audits in the spool",
    "audits_lost": "Audits that were drawn and cannot be sent",
}


class Histogram:
    """Counts of values up to each limit."""

    def __init__(self, limits: Sequence[float]) -> None:
        self._limits = limits
        self._counts = [0] * (len(limits) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._limits, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """The samples of a metric of this name."""
        total = 0
        limits = [*map(repr, self._limits), "+Inf"]
        for limit, count in zip(limits, self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{limit}"}} {total}'
        yield f"{name}_sum {self._sum!r}"
        yield f"{name}_count {total}"


class Metrics:
    """What an edge has answered so far. Labels have few values, all of them known."""

    def __init__(self, bundle: EdgeBundle) -> None:
        self._weights = bundle.weights
        self._lock = threading.Lock()
        self._sources, self._reasons = Counter[str](), Counter[str]()
        self._bytes = self._audits = 0
        self._confidence = Histogram(_BINS)
        self._times = {name: Histogram(_SECONDS) for name in ("edge", "wire", "cloud")}

    def count(self, line: AnswerLine) -> None:
        """Count an answer."""
        with self._lock:
            self._sources[line.source] += 1
            if line.source == "fallback":
                self._reasons[line.reason] += 1
            self._bytes += line.sent_bytes
            if line.source == "exit":
                self._confidence.add(line.confidence)
            measured = (line.device_ms, line.wire_ms, line.cloud_ms)
            for histogram, ms in zip(self._times.values(), measured, strict=True):
                if ms is not None:
                    histogram.add(ms / 1000)

    def count_audit(self) -> None:
        """Count an audit that the cloud answered."""
        with self._lock:
            self._audits += 1

    def text(self, gauges: Mapping[str, float]) -> str:
        """Everything, as Prometheus reads it.

        Args:
            gauges: of `EdgeRuntime.gauges`.
        """
        with self._lock:
            return "\n".join([*self._counted(), *_gauges(gauges)]) + "\n"

    def _counted(self) -> Iterator[str]:
        yield from _family("build_info", "gauge", "The weights that this edge runs")
        yield f'hybrid_build_info{{weights="{self._weights}"}} 1'
        yield from _family("answers_total", "counter", "Answers by source")
        yield from _labelled("answers_total", "source", SOURCES, self._sources)
        yield from _family("fallback_total", "counter", "Fallbacks by reason")
        yield from _labelled("fallback_total", "reason", REASONS, self._reasons)
        yield from _family("uplink_bytes_total", "counter", "Bytes sent for answers")
        yield f"hybrid_uplink_bytes_total {self._bytes}"
        yield from _family("audits_total", "counter", "Audits that the cloud answered")
        yield f"hybrid_audits_total {self._audits}"
        yield from _family("exit_confidence", "histogram", "Confidence of early answers")
        yield from self._confidence.lines("hybrid_exit_confidence")
        for name, histogram in self._times.items():
            yield from _family(f"{name}_seconds", "histogram", f"Time on the {name}")
            yield from histogram.lines(f"hybrid_{name}_seconds")


def _gauges(values: Mapping[str, float]) -> Iterator[str]:
    for name, about in _GAUGES.items():
        yield from _family(name, "gauge", about)
        yield f"hybrid_{name} {values[name]:g}"


def _family(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP hybrid_{name} {about}"
    yield f"# TYPE hybrid_{name} {kind}"


def _labelled(
    name: str, label: str, values: Iterable[str], counts: Mapping[str, int]
) -> Iterator[str]:
    for value in values:
        yield f'hybrid_{name}{{{label}="{value}"}} {counts.get(value, 0)}'
