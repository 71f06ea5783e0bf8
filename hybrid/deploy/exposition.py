"""Counters in the text format of Prometheus: names and numbers in, lines out."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["CONTENT_TYPE", "SECONDS", "Histogram", "family", "labelled"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip


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


def family(name: str, kind: str, about: str) -> Iterator[str]:
    """What is said about a metric before its samples."""
    yield f"# HELP hybrid_{name} {about}"
    yield f"# TYPE hybrid_{name} {kind}"


def labelled(
    name: str, label: str, values: Iterable[str], counts: Mapping[str, int]
) -> Iterator[str]:
    """A sample for each value of a label, all of which are known beforehand."""
    for value in values:
        yield f'hybrid_{name}{{{label}="{value}"}} {counts.get(value, 0)}'
