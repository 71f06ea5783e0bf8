"""Numbers as a reader sees them: rounded, with a unit, and filled into templates.

`FORMATS` describes how each kind of number is written. Explore's script in the browser is sent
the same descriptions and follows them while a slider is dragged (`as_payload`). Halves are
rounded away from zero, as JavaScript's toFixed does.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

__all__ = [
    "FORMATS",
    "Format",
    "Unit",
    "as_payload",
    "count",
    "energy",
    "energy_unit",
    "fill",
    "fixed",
    "kilobytes",
    "latency",
    "percent",
    "points",
    "ratio",
    "significant",
    "slots",
    "write",
]

_SLOT = re.compile(r"\{(\w+):(\w+)\}")
_SIGNS = {"minus": "−", "plus": "+", "infinity": "∞", "group": ","}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit with the space before it, used for values of at least this size.

    The number shown is value · times / per.
    """

    suffix: str
    at_least: float = 0.0
    times: float = 1.0
    per: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Format:
    """How one kind of number is written.

    Args:
        units: smallest first; a value takes the last one that it is large enough for.
        digits: after the decimal point; None for as many as `significant` asks for.
        significant: significant digits, never in powers of ten.
        most_digits: after the decimal point, however small the value.
        signed: a plus sign before values that are not negative.
        grouped: commas at the thousands.
        zero: text for exactly zero; None to write it like any other value.
    """

    units: tuple[Unit, ...] = (Unit(suffix=""),)
    digits: int | None = None
    significant: int = 3
    most_digits: int = 8
    signed: bool = False
    grouped: bool = False
    zero: str | None = None

    def unit_of(self, value: float) -> Unit:
        """The unit for a value of this size."""
        fitting = [unit for unit in self.units if unit.at_least <= abs(value)]
        return fitting[-1] if fitting else self.units[0]


_PERCENT = Format(units=(Unit(suffix=" %", times=100.0),), digits=1)
_POINTS = Format(units=(Unit(suffix=" points", times=100.0),), digits=2, signed=True)

FORMATS: dict[str, Format] = {
    "percent": _PERCENT,  # of fractions
    "percent_2": replace(_PERCENT, digits=2),
    "points": _POINTS,  # of differences of two fractions
    "energy": Format(  # of pJ
        units=(
            Unit(suffix=" pJ"),
            Unit(suffix=" nJ", at_least=1e3, per=1e3),
            Unit(suffix=" µJ", at_least=1e6, per=1e6),
            Unit(suffix=" mJ", at_least=1e9, per=1e9),
            Unit(suffix=" J", at_least=1e12, per=1e12),
        )
    ),
    "latency": Format(  # of ms
        units=(Unit(suffix=" µs", times=1000.0), Unit(suffix=" ms", at_least=1.0)), zero="0 ms"
    ),
    "bytes": Format(
        units=(Unit(suffix=" B"), Unit(suffix=" kB", at_least=1000.0, per=1000.0)),
    ),
    "ratio": Format(units=(Unit(suffix="×"),)),
    "tenths": Format(units=(Unit(suffix="", per=10.0),), digits=1),  # of whole tenths
    "count": Format(digits=0, grouped=True),
    "bits": Format(units=(Unit(suffix=" bit"), Unit(suffix=" bits", at_least=2.0)), digits=0),
    "significant": Format(),
}


def write(value: float, kind: str) -> str:
    """A number in one of the FORMATS.

    >>> write(0.6525, "percent"), write(-0.0041, "points")
    ('65.3 %', '−0.41 points')
    """
    return _written(value, FORMATS[kind])


def fill(template: str, values: Mapping[str, float]) -> str:
    """A template with its numbers: {name:kind} becomes values[name], written as that kind.

    >>> fill("{at_edge:count} of {samples:count}", {"at_edge": 6525, "samples": 10_000})
    '6,525 of 10,000'
    """
    return _SLOT.sub(lambda slot: write(values[slot[1]], slot[2]), template)


def slots(template: str) -> list[tuple[str, str]]:
    """Name and kind of each number of a template.

    >>> slots("{at_edge:count} of 500"), slots("no twin")
    ([('at_edge', 'count')], [])
    """
    return _SLOT.findall(template)


def as_payload() -> dict[str, Any]:
    """All formats and signs as JSON, for the script in the browser."""
    formats = {kind: asdict(one) for kind, one in FORMATS.items()}
    return {"formats": formats, "signs": dict(_SIGNS)}


def fixed(value: float, digits: int) -> str:
    """A number with this many digits after the decimal point.

    >>> fixed(65.25, 1), fixed(-0.125, 2)
    ('65.3', '−0.13')
    """
    return _written(value, Format(digits=digits))


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as percent.

    >>> percent(0.6525)
    '65.3 %'
    """
    return _written(fraction, replace(_PERCENT, digits=digits))


def points(difference: float, digits: int = 2) -> str:
    """A difference of two fractions in percentage points, with its sign.

    >>> points(-0.0041), points(0.02)
    ('−0.41 points', '+2.00 points')
    """
    return _written(difference, replace(_POINTS, digits=digits))


def energy(energy_pj: float) -> str:
    """Energy in the unit that leaves one to three digits before the decimal point.

    >>> energy(35_640_000), energy(512.0), energy(0.0)
    ('35.6 µJ', '512 pJ', '0 pJ')
    """
    return write(energy_pj, "energy")


def energy_unit(energy_pj: float) -> tuple[float, str]:
    """Size in pJ and name of the unit that `energy` writes this value in.

    >>> energy_unit(35_640_000)
    (1000000.0, 'µJ')
    """
    unit = FORMATS["energy"].unit_of(energy_pj)
    return unit.per, unit.suffix.strip()


def latency(latency_ms: float) -> str:
    """Time in milliseconds, or in microseconds if it is shorter than one.

    >>> latency(12.345), latency(0.0421), latency(0.0)
    ('12.3 ms', '42.1 µs', '0 ms')
    """
    return write(latency_ms, "latency")


def kilobytes(size_bytes: float) -> str:
    """A size in bytes, in kilobytes from 1,000 on.

    >>> kilobytes(98.26), kilobytes(3072.0)
    ('98.3 B', '3.07 kB')
    """
    return write(size_bytes, "bytes")


def ratio(value: float) -> str:
    """A factor.

    >>> ratio(5.5), ratio(0.0312), ratio(math.inf)
    ('5.50×', '0.0312×', '∞×')
    """
    return write(value, "ratio")


def count(value: int) -> str:
    """A whole number with commas at the thousands.

    >>> count(10000)
    '10,000'
    """
    return write(value, "count")


def significant(value: float) -> str:
    """Three significant digits, never in powers of ten.

    >>> significant(35.64), significant(1234.0), significant(0.00123)
    ('35.6', '1234', '0.00123')
    """
    return write(value, "significant")


def _written(value: float, form: Format) -> str:
    if value == 0 and form.zero is not None:
        return form.zero
    unit = form.unit_of(value)
    scaled = value * unit.times / unit.per
    if math.isinf(scaled):
        text, negative = _SIGNS["infinity"], scaled < 0
    else:
        digits = _digits(scaled, form) if form.digits is None else form.digits
        rounded = Decimal(scaled).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
        text = f"{abs(rounded):,f}" if form.grouped else f"{abs(rounded):f}"
        negative = rounded < 0
    sign = _SIGNS["minus"] if negative else _SIGNS["plus"] if form.signed else ""
    return f"{sign}{text}{unit.suffix}"


def _digits(value: float, form: Format) -> int:
    """Digits after the decimal point that leave as many significant ones as the format asks for."""
    size, digits = abs(value), 0
    while digits < form.most_digits and 0 < size < 10 ** (form.significant - 1):
        size *= 10
        digits += 1
    return digits
