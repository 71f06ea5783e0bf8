"""The interval of a fraction that was seen on few samples. Counts in, fractions out."""

import math
from dataclasses import dataclass

__all__ = ["CONFIDENCE", "WIDE", "Interval", "of_few", "wilson"]

CONFIDENCE = 0.95
WIDE = 0.01  # half of an interval that is wider than twice this comes from few samples
_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Both ends of an interval, as fractions from 0 to 1."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the distance between the ends."""
        return (self.high - self.low) / 2


def wilson(successes: int, samples: int) -> Interval:
    """Wilson's score interval of a fraction, at 95 % confidence.

    It holds every fraction p that lies within 1.96 of its own standard errors of the one seen,
    (seen - p)² <= 1.96² p (1 - p) / samples. Over all p it covers the true one in about 95 % of
    cases, and it stays inside 0 to 1 where no sample or every sample is a success.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
    J. Am. Stat. Assoc. 22, 1927.

    Args:
        successes: from 0 to samples.
        samples: at least 1.

    >>> round(wilson(0, 4).high, 4)  # 1.96² / (4 + 1.96²)
    0.4899
    """
    assert 0 <= successes <= samples, (successes, samples)
    assert samples > 0, samples
    seen, spread = successes / samples, _Z**2 / samples
    middle = (seen + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (seen * (1 - seen) + spread / 4)) / (1 + spread)
    low = 0.0 if successes == 0 else max(middle - half, 0.0)
    return Interval(low=low, high=1.0 if successes == samples else min(middle + half, 1.0))


def of_few(successes: int, samples: int) -> Interval | None:
    """The interval if half of it is more than one percentage point; else None.

    At an accuracy of 90 % that is the case up to about 3,450 samples.
    """
    if not samples:
        return None
    found = wilson(successes, samples)
    return found if found.half_width > WIDE else None
