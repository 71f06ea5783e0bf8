"""The interval of an accuracy of few images, in words; the same on pages and the command line."""

from hybrid import policy
from hybrid.text import numbers

__all__ = ["HELP", "between", "in_brackets"]

HELP = (
    "With 95 % confidence, the accuracy on images like these is between these two (Wilson's "
    "interval). It is given where half of it is more than one point."
)


def between(correct: int, samples: int) -> str:
    """Both ends of the interval, or nothing if the images are many.

    >>> between(54, 60), between(9000, 10_000)
    ('79.9 % to 95.3 %', '')
    """
    found = policy.of_few(correct, samples)
    return f"{numbers.percent(found.low)} to {numbers.percent(found.high)}" if found else ""


def in_brackets(correct: int, samples: int) -> str:
    """The interval as an addition to a number, or nothing if the images are many.

    >>> in_brackets(54, 60)
    ' (79.9 % to 95.3 %)'
    """
    words = between(correct, samples)
    return f" ({words})" if words else ""
