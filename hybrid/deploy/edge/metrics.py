"""Counters of an edge in the text format of Prometheus: lines in, text out."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.links import REASONS
from hybrid.deploy.exposition import SECONDS, Histogram, family, labelled
from hybrid.monitor.lines import SOURCES, AnswerLine

__all__ = ["Metrics"]

_BINS = tuple(number / 20 for number in range(1, 21))
_GAUGES = {
    "breaker_state": "0 closed, 1 open, 2 probing",
    "audits_waiting": "Audits in the spool",
    "audits_lost": "Audits that were drawn and cannot be sent",
}


class Metrics:
    """What an edge has answered so far. Labels have few values, all of them known."""

    def __init__(self, bundle: EdgeBundle) -> None:
        self._weights = bundle.weights
        self._lock = threading.Lock()
        self._sources, self._reasons = Counter[str](), Counter[str]()
        self._bytes = self._audits = 0
        self._confidence = Histogram(_BINS)
        self._times = {name: Histogram(SECONDS) for name in ("edge", "wire", "cloud")}

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
        yield from family("build_info", "gauge", "The weights that this edge runs")
        yield f'hybrid_build_info{{weights="{self._weights}"}} 1'
        yield from family("answers_total", "counter", "Answers by source")
        yield from labelled("answers_total", "source", SOURCES, self._sources)
        yield from family("fallback_total", "counter", "Fallbacks by reason")
        yield from labelled("fallback_total", "reason", REASONS, self._reasons)
        yield from family("uplink_bytes_total", "counter", "Bytes sent for answers")
        yield f"hybrid_uplink_bytes_total {self._bytes}"
        yield from family("audits_total", "counter", "Audits that the cloud answered")
        yield f"hybrid_audits_total {self._audits}"
        yield from family("exit_confidence", "histogram", "Confidence of early answers")
        yield from self._confidence.lines("hybrid_exit_confidence")
        for name, histogram in self._times.items():
            yield from family(f"{name}_seconds", "histogram", f"Time on the {name}")
            yield from histogram.lines(f"hybrid_{name}_seconds")


def _gauges(values: Mapping[str, float]) -> Iterator[str]:
    for name, about in _GAUGES.items():
        yield from family(name, "gauge", about)
        yield f"hybrid_{name} {values[name]:g}"
