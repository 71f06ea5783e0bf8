"""Counters of a cloud in the text format of Prometheus."""

from collections import Counter
from collections.abc import Iterator

from hybrid.deploy.cloud.refusals import STATUSES
from hybrid.deploy.exposition import SECONDS, Histogram, family, labelled

__all__ = ["Metrics"]

_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_TIMES = {
    "queue": "Time of a request in the queue",
    "model": "Time of a batch in the model",
    "request": "Time from a whole request to its answer",
}


class Metrics:
    """What a cloud has answered so far. Labels have few values, all of them known."""

    def __init__(self, weights: str) -> None:
        self._weights = weights
        self._statuses = Counter[str]()
        self._images = 0
        self.batches = Histogram(_BATCHES)
        self.seconds = {name: Histogram(SECONDS) for name in _TIMES}

    def count(self, status: int) -> None:
        """Count an answer."""
        self._statuses[str(status)] += 1

    def count_batch(self, images: int, seconds: float) -> None:
        """Count a batch that the model has answered."""
        self._images += images
        self.batches.add(images)
        self.seconds["model"].add(seconds)

    def text(self, *, waiting: int, limit: int) -> str:
        """Everything, as Prometheus reads it.

        Args:
            waiting: images in the queue now.
            limit: how many may be.
        """
        gauges = {"queue_images": ("Images that wait", waiting), "queue_limit": ("Of them", limit)}
        lines = list(self._counted())
        for name, (about, value) in gauges.items():
            lines += [*family(f"cloud_{name}", "gauge", about), f"hybrid_cloud_{name} {value}"]
        return "\n".join(lines) + "\n"

    def _counted(self) -> Iterator[str]:
        yield from family("build_info", "gauge", "The weights that this cloud runs")
        yield f'hybrid_build_info{{weights="{self._weights}"}} 1'
        yield from family("cloud_requests_total", "counter", "Requests by status of the answer")
        statuses = map(str, STATUSES)
        yield from labelled("cloud_requests_total", "status", statuses, self._statuses)
        yield from family("cloud_images_total", "counter", "Images that the model has answered")
        yield f"hybrid_cloud_images_total {self._images}"
        yield from family("cloud_batch_images", "histogram", "Images of a batch")
        yield from self.batches.lines("hybrid_cloud_batch_images")
        for name, histogram in self.seconds.items():
            yield from family(f"cloud_{name}_seconds", "histogram", _TIMES[name])
            yield from histogram.lines(f"hybrid_cloud_{name}_seconds")
