"""A day of a fleet: when its images reach the cloud.

Devices take images independently of each other. So the requests of many devices together are a
Poisson process, whose rate follows the hour of the day; of each device, a share of the images is
sent, which the trace knows.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybrid.errors import FleetError, UnknownNameError

__all__ = ["HOURS", "HOUR_S", "PATTERNS", "peak_rate_per_s", "request_times"]

HOURS = 24
HOUR_S = 3600.0
# Share of a day's images by hour, from midnight, in parts of any sum. `day` is twice as busy at
# noon as on average and almost still at night: 1 - cos, as illumination is.
PATTERNS: dict[str, tuple[float, ...]] = {
    "flat": (1.0,) * HOURS,
    "day": tuple(float(1 - np.cos(2 * np.pi * (hour + 0.5) / HOURS)) for hour in range(HOURS)),
}

Seconds = npt.NDArray[np.float64]


def rates_per_s(requests_per_day: float, pattern: str) -> Seconds:
    """(24,) the mean number of requests per second in each hour of a day.

    Raises:
        UnknownNameError: no such pattern.
        FleetError: a negative number.
    """
    if pattern not in PATTERNS:
        raise UnknownNameError("pattern", pattern, PATTERNS)
    if not 0 <= requests_per_day < np.inf:
        raise FleetError(f"{requests_per_day:g} requests per day make no day; give 0 or more.")
    weights: Seconds = np.array(PATTERNS[pattern])
    rates: Seconds = weights * (requests_per_day / weights.sum() / HOUR_S)
    return rates


def peak_rate_per_s(requests_per_day: float, pattern: str) -> float:
    """Requests per second in the busiest hour."""
    return float(rates_per_s(requests_per_day, pattern).max())


def request_times(rates: Sequence[float] | Seconds, rng: np.random.Generator) -> Seconds:
    """Sorted times in seconds of a Poisson process with a rate per second for each hour.

    Given their number, the times of an hour are independent and evenly distributed (e.g. Ross,
    Introduction to Probability Models, theorem 5.2).
    """
    counts = rng.poisson(np.asarray(rates, np.float64) * HOUR_S)
    hours = np.repeat(np.arange(len(counts)), counts)
    return np.sort((hours + rng.random(len(hours))) * HOUR_S)
