"""Kept points as text: in a link, and in a JSON file. Neither is trusted.

    text = encode(points)                  # compact, for the address
    reading = decode(text, offers)         # the points, and a sentence for each that is left out

`decode(encode(points), offers).points == points`. This module does not use streamlit.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from hybrid.errors import HybridError, PointError
from hybrid.files import parse_json
from hybrid.ui.view import CHOICES, Offers, View, slider_keys

__all__ = [
    "MOST",
    "NAME_CHARACTERS",
    "KeptPoint",
    "KeptReading",
    "clean",
    "decode",
    "encode",
    "free_name",
    "from_json",
    "with_point",
]

MOST = 12  # kept points, so that their link stays short enough to be sent and pasted
NAME_CHARACTERS = 40
_LINK_CHARACTERS = 6000
_BETWEEN_POINTS, _BETWEEN_FIELDS, _BETWEEN_THRESHOLDS, _AFTER_KEY = "*", "~", "_", "."
_EXPLICIT = ("network", "bits")  # every kept point names them, in this order


@dataclass(frozen=True, kw_only=True)
class KeptPoint:
    """A view with a name."""

    name: str
    view: View


@dataclass(frozen=True, kw_only=True)
class KeptReading:
    """The points of a link or file, and one sentence for each error in it."""

    points: tuple[KeptPoint, ...] = ()
    problems: tuple[str, ...] = ()


def clean(name: str) -> str:
    """A name as it is kept: printable, single spaces, not too long.

    >>> clean("  at the   edge ")
    'at the edge'
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in name)
    return " ".join(printable.split())[:NAME_CHARACTERS].rstrip()


def free_name(name: str, taken: Iterable[str]) -> str:
    """The cleaned name, with a number if it is taken; "Point 1" and so on without a name.

    >>> free_name("cheap", ["cheap", "cheap 2"]), free_name("", ["Point 1"])
    ('cheap 3', 'Point 2')
    """
    used, wanted = set(taken), clean(name)
    if wanted and wanted not in used:
        return wanted
    base, number = (wanted, 2) if wanted else ("Point", 1)
    while (tried := f"{base[: NAME_CHARACTERS - 3].rstrip()} {number}") in used:
        number += 1
    return tried


def with_point(points: Sequence[KeptPoint], name: str, view: View) -> tuple[KeptPoint, ...]:
    """The points and one more.

    Raises:
        PointError: there are as many as can be kept.
    """
    if len(points) >= MOST:
        raise PointError(f"{MOST} points are kept, which is the most; remove one first.")
    name = free_name(name, (one.name for one in points))
    return (*points, KeptPoint(name=name, view=view))


def encode(points: Sequence[KeptPoint]) -> str:
    """The points as the text of a link; empty without points."""
    return _BETWEEN_POINTS.join(map(_encoded, points))


def decode(text: str, offers: Offers) -> KeptReading:
    """The points that a link's text describes, any text.

    Args:
        offers: the choices on this machine; a point that needs another one is left out.
    """
    if not text:
        return KeptReading()
    if len(text) > _LINK_CHARACTERS:
        too_long = (
            f"The kept points of the link take {len(text):,} characters; at most "
            f"{_LINK_CHARACTERS:,} are read, so all were left out."
        )
        return KeptReading(problems=(too_long,))
    return _collected((_fields(part) for part in text.split(_BETWEEN_POINTS)), offers)


def from_json(text: str, offers: Offers) -> KeptReading:
    """The points of a file that Explore exported: the kept ones, or a single point."""
    try:
        values = parse_json(text)
    except ValueError:
        return KeptReading(problems=("The file is not JSON; export kept points from Explore.",))
    listed = values.get("kept_points", [values]) if isinstance(values, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        return KeptReading(
            problems=("The file holds no kept points; export them from Explore as JSON.",)
        )
    return _collected(map(_from_record, listed), offers)


def _encoded(point: KeptPoint) -> str:
    view = point.view
    plain = View(network=view.network, bits=view.bits, thresholds=view.thresholds)
    shown = view.thresholds[: len(slider_keys(view))]
    fields = [
        point.name,
        *(str(getattr(view, key)) for key in _EXPLICIT),
        _BETWEEN_THRESHOLDS.join(f"{one:g}" for one in shown),
        *(
            f"{key}{_AFTER_KEY}{value}"
            for key, value in view.choices.items()
            if key not in _EXPLICIT and value != getattr(plain, key)
        ),
    ]
    return _BETWEEN_FIELDS.join(map(_escaped, fields))


def _escaped(text: str) -> str:
    for letter in ("%", _BETWEEN_POINTS, _BETWEEN_FIELDS):
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text


def _fields(part: str) -> dict[str, str]:
    """The fields of one point in a link by name; whatever is missing is not in it."""
    name, *fields = map(unquote, part.split(_BETWEEN_FIELDS))
    known = dict(zip((*_EXPLICIT, "thresholds"), fields, strict=False))
    pairs = (field.partition(_AFTER_KEY) for field in fields[3:])
    return {"name": name} | {key: value for key, _, value in pairs} | known


def _from_record(values: Mapping[str, Any]) -> dict[str, str]:
    """The fields of one point in a file by name."""
    thresholds = values.get("thresholds")
    given = thresholds if isinstance(thresholds, list) else [thresholds]
    texts = {key: str(values[key]) for key in ("name", *CHOICES) if values.get(key) is not None}
    return {"name": ""} | texts | {"thresholds": _BETWEEN_THRESHOLDS.join(map(str, given))}


def _collected(found: Iterable[Mapping[str, str]], offers: Offers) -> KeptReading:
    points: list[KeptPoint] = []
    problems: list[str] = []
    parts = list(found)
    for number, fields in enumerate(parts[:MOST], start=1):
        name = free_name(fields["name"] or f"Point {number}", (one.name for one in points))
        try:
            points.append(KeptPoint(name=name, view=_view(fields, offers)))
        except HybridError as error:
            problems.append(f"Kept point {name!r} was left out. {error}")
    if len(parts) > MOST:
        problems.append(f"Of {len(parts):,} kept points, the first {MOST} were read.")
    return KeptReading(points=tuple(points), problems=tuple(problems))


def _view(fields: Mapping[str, str], offers: Offers) -> View:
    """The view that the fields describe; nothing is replaced by a default."""
    missing = [key for key in (*_EXPLICIT, "thresholds") if key not in fields]
    if missing:
        raise PointError(f"It has no {missing[0]}.")
    given = tuple(_thresholds(fields["thresholds"]))
    plain = View(network=fields["network"], bits=0, thresholds=given)
    query = {key: fields.get(key, str(getattr(plain, key))) for key in CHOICES}
    if query["sliders"] == "one":
        if len(set(given)) > 1:
            raise PointError("It has one slider for thresholds that differ.")
        query["t"] = str(given[0])
    else:
        query |= {f"t{i + 1}": str(threshold) for i, threshold in enumerate(given)}
    reading = View.read(query, offers)
    if reading.problems:
        raise PointError(reading.problems[0])
    exits = reading.view.early_exits
    if len(given) != exits and not (reading.view.together and len(given) == 1):
        raise PointError(f"It has {len(given)} thresholds, but its network takes {exits}.")
    return reading.view


def _thresholds(text: str) -> Iterator[float]:
    for one in text.split(_BETWEEN_THRESHOLDS):
        try:
            value = float(one)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise PointError(f"Its threshold {one[:20]!r} is not a number from 0 to 1.")
        yield value
