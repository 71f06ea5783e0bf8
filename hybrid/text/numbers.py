"""Numbers to the words a reader sees: rounded, with a unit, the same in Python and in the browser.

`follower.js` has the same functions; a browser test holds the two together. Halves are rounded
away from zero, as JavaScript's toFixed does.
"""

from decimal import ROUND_HALF_UP, Decimal

__all__ = [
    "count",
    "energy",
    "energy_unit",
    "fixed",
    "kilobytes",
    "latency",
    "percent",
    "points",
    "ratio",
    "significant",
]

_ENERGY_UNITS = ((1.0, "pJ"), (1e3, "nJ"), (1e6, "µJ"), (1e9, "mJ"), (1e12, "J"))
_SIGNIFICANT = 3


def fixed(value: float, digits: int) -> str:
    """So many digits after the point.

    >>> fixed(65.25, 1), fixed(-0.125, 2)
    ('65.3', '−0.13')
    """
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    text = f"{abs(rounded):f}"
    return f"−{text}" if rounded < 0 else text


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as percent.

    >>> percent(0.6525)
    '65.3 %'
    """
    return f"{fixed(100 * fraction, digits)} %"


def points(difference: float, digits: int = 2) -> str:
    """A difference of two fractions in percentage points, with its sign.

    >>> points(-0.0041), points(0.02)
    ('−0.41 pp', '+2.00 pp')
    """
    text = fixed(100 * difference, digits)
    return f"{text if text.startswith('−') else '+' + text} pp"


def energy(energy_pj: float) -> str:
    """Energy in the unit that leaves one to three digits before the point.

    >>> energy(35_640_000), energy(512.0), energy(0.0)
    ('35.6 µJ', '512 pJ', '0 pJ')
    """
    if energy_pj == 0:
        return "0 pJ"
    scale, unit = energy_unit(energy_pj)
    return f"{significant(energy_pj / scale)} {unit}"


def energy_unit(energy_pj: float) -> tuple[float, str]:
    """The unit that leaves one to three digits before the point, and its size in pJ.

    >>> energy_unit(35_640_000)
    (1000000.0, 'µJ')
    """
    return max(pair for pair in _ENERGY_UNITS if pair[0] <= max(abs(energy_pj), 1.0))


def latency(latency_ms: float) -> str:
    """Time in milliseconds, or in microseconds where it is shorter.

    >>> latency(12.345), latency(0.0421)
    ('12.3 ms', '42.1 µs')
    """
    if 0 < latency_ms < 1:
        return f"{significant(latency_ms * 1000)} µs"
    return f"{significant(latency_ms)} ms"


def kilobytes(size_bytes: float) -> str:
    """A mean number of bytes.

    >>> kilobytes(98.26), kilobytes(3072.0)
    ('98.3 B', '3.07 kB')
    """
    if size_bytes < 1000:
        return f"{significant(size_bytes)} B"
    return f"{significant(size_bytes / 1000)} kB"


def ratio(value: float) -> str:
    """How many times.

    >>> ratio(5.5), ratio(0.0312)
    ('5.50×', '0.0312×')
    """
    return f"{significant(value)}×"


def count(value: int) -> str:
    """A whole number with a comma at the thousands.

    >>> count(10000)
    '10,000'
    """
    return f"{value:,}"


def significant(value: float) -> str:
    """Three significant digits, never in powers of ten.

    >>> significant(35.64), significant(1234.0), significant(0.00123)
    ('35.6', '1234', '0.00123')
    """
    digits = 0
    size = abs(value)
    while digits < 8 and 0 < size < 10 ** (_SIGNIFICANT - 1):
        size *= 10
        digits += 1
    return fixed(value, digits)
