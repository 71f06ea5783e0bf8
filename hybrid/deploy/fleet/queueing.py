"""The cloud as a queue: requests wait for one of its replicas, which answers them in batches."""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hybrid.errors import FleetError

if TYPE_CHECKING:
    import simpy

__all__ = ["Cloud", "Served", "simulate"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """What serves the requests.

    Args:
        replicas: how many work side by side.
        image_ms: time for a batch of one image, or several measured times, drawn at random.
        more_ms: time for each further image of a batch; None: as long as the first.
        most_in_batch: images that a replica takes at once; it never waits for more to come.
        most_waiting: requests beyond this many are refused.
    """

    replicas: int
    image_ms: float | tuple[float, ...]
    more_ms: float | None = None
    most_in_batch: int = 1
    most_waiting: int = 10_000

    def __post_init__(self) -> None:
        """Refuse a cloud that could not answer."""
        if min(self.replicas, self.most_in_batch, self.most_waiting) < 1:
            raise FleetError("A cloud has at least one replica, one image in a batch and one wait.")
        times = (*self.times_ms, *(() if self.more_ms is None else (self.more_ms,)))
        if not times or not all(0 < one < np.inf for one in times):
            raise FleetError("Give times of the cloud in milliseconds, each above 0.")

    @property
    def times_ms(self) -> tuple[float, ...]:
        """The times for one image."""
        return self.image_ms if isinstance(self.image_ms, tuple) else (self.image_ms,)

    @property
    def mean_ms(self) -> float:
        """Mean time for a batch of one image."""
        return sum(self.times_ms) / len(self.times_ms)

    @property
    def most_per_s(self) -> float:
        """Images per second that all replicas answer in full batches."""
        more = self.mean_ms if self.more_ms is None else self.more_ms
        batch_ms = self.mean_ms + (self.most_in_batch - 1) * more
        return self.replicas * self.most_in_batch * 1000 / batch_ms


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """What became of the requests, in their order.

    in_cloud_ms: (requests,) from a request's arrival to its answer; NaN where it was refused.
    busy_s: seconds in which replicas worked, added up. length_s: from 0 to the last answer.
    """

    in_cloud_ms: Floats
    busy_s: float
    length_s: float

    @property
    def refused(self) -> int:
        """Requests that found the queue full."""
        return int(np.isnan(self.in_cloud_ms).sum())

    def percentile_ms(self, share: float) -> float:
        """Time in the cloud that this share of the answered requests takes at most; 0 without."""
        answered = self.in_cloud_ms[~np.isnan(self.in_cloud_ms)]
        return float(np.quantile(answered, share, method="higher")) if len(answered) else 0.0


def simulate(times_s: Sequence[float] | Floats, cloud: Cloud, rng: np.random.Generator) -> Served:
    """Send requests at these times, sorted, and wait until all are answered or refused."""
    import simpy

    queue = _Queue(simpy.Environment(), cloud, np.asarray(times_s, np.float64), rng)
    queue.environment.process(queue.arrive())
    queue.environment.run()
    return Served(
        in_cloud_ms=queue.in_cloud_ms, busy_s=queue.busy_s, length_s=float(queue.environment.now)
    )


class _Queue:
    """The state of one simulation; times in seconds."""

    def __init__(
        self, environment: "simpy.Environment", cloud: Cloud, times_s: Floats, rng: Any
    ) -> None:
        self.environment, self.cloud = environment, cloud
        self.in_cloud_ms = np.full(len(times_s), np.nan)
        self.busy_s = 0.0
        self._times_s = times_s
        self._waiting: deque[int] = deque()
        self._idle = cloud.replicas
        more = cloud.mean_ms if cloud.more_ms is None else cloud.more_ms
        self._first_s = np.array(cloud.times_ms)[rng.integers(len(cloud.times_ms), size=4096)] / 1e3
        self._more_s = more / 1e3
        self._batches = 0

    def arrive(self) -> Generator[Any, Any, None]:
        """Let each request come at its time; an idle replica takes it at once."""
        for number, at in enumerate(self._times_s.tolist()):
            yield self.environment.timeout(max(0.0, at - self.environment.now))
            if self._idle:
                self._idle -= 1
                self.environment.process(self._work(number))
            elif len(self._waiting) < self.cloud.most_waiting:
                self._waiting.append(number)

    def _work(self, number: int) -> Generator[Any, Any, None]:
        """A replica from the request that it starts with until none is waiting."""
        batch = [number]
        while batch:
            took_s = float(self._first_s[self._batches % len(self._first_s)])
            took_s += (len(batch) - 1) * self._more_s
            self._batches += 1
            self.busy_s += took_s
            yield self.environment.timeout(took_s)
            for one in batch:
                self.in_cloud_ms[one] = (self.environment.now - self._times_s[one]) * 1e3
            take = min(self.cloud.most_in_batch, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(take)]
        self._idle += 1
