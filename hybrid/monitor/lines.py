"""The JSON lines of an edge: one for each answer, and one for each audit that came back later.

    {"kind": "answer", "format": 1, "bundle": "35a4b5d3", "image": "boot7-0000042", "time_s": 1.7e9,
     "class": 3, "confidence": 0.93, "exit": 0, "source": "exit", "reason": "", "device_ms": 4.1,
     "wire_ms": null, "cloud_ms": null, "sent_bytes": 0, "audit_probability": 0.031,
     "audited": true, "cloud_class": null, "certificate": "cloud_there",
     "planned": true, "file": "a.png"}
    {"kind": "audit", "format": 1, "bundle": "35a4b5d3", "image": "boot7-0000042", "time_s": 1.7e9,
     "cloud_class": 3}

Fields that a reader does not know are left alone, so a later edge may add some.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hybrid.errors import LineError

__all__ = ["FORMAT", "SOURCES", "AnswerLine", "AuditLine", "parse_line"]

FORMAT = 1
SOURCES = ("exit", "cloud", "fallback")
_MOST_NAME = 200  # letters of an image's name, which a monitor keeps for a while
_MOST_WHOLE = 2**53  # up to which every program reads whole numbers alike


@dataclass(frozen=True, kw_only=True)
class AnswerLine:
    """One image as the edge answered it.

    Args:
        bundle: SHA-256 of the weights, whole or its first digits; the plan has the same.
        image: a name that no other image of this edge has, also after a restart; up to 200 letters.
        time_s: the edge's clock when it answered, in seconds since 1970.
        class_index: the answer.
        confidence: of the exit that answered, in [0, 1], by the measure of the thresholds.
        exit_index: the exit that answered, from 0; of the cloud, the number of early exits.
        source: `exit` if confident enough; `cloud`; `fallback` if the image should have gone to
            the cloud, which did not answer in time.
        reason: of a fallback.
        device_ms, wire_ms, cloud_ms: measured; None if that part did not run.
        sent_bytes: over the uplink, before the answer was given.
        audit_probability: with which this answer was drawn for an audit, fixed before the draw;
            None if it did not come from an exit, or the edge has no plan.
        audited: True if it was drawn.
        cloud_class: the cloud's answer to an audited image, if it was there when the line was
            written; otherwise an `AuditLine` follows.
        certificate: of the bundle, that includes this answer: `cloud_there`, of a fallback
            `cloud_down`; empty if the bundle does not have it.
        planned: False if the edge has no plan: then none of its lines is evidence.
        file: where the image is from.
    """

    bundle: str
    image: str
    time_s: float
    class_index: int
    confidence: float
    exit_index: int
    source: str
    reason: str = ""
    device_ms: float | None = None
    wire_ms: float | None = None
    cloud_ms: float | None = None
    sent_bytes: int = 0
    audit_probability: float | None = None
    audited: bool = False
    cloud_class: int | None = None
    certificate: str = ""
    planned: bool = True
    file: str = ""

    def to_json(self) -> str:
        """The line, without its end."""
        return _written("answer", asdict(self))


@dataclass(frozen=True, kw_only=True)
class AuditLine:
    """The cloud's answer to an image that was drawn for an audit, once it is there."""

    bundle: str
    image: str
    time_s: float
    cloud_class: int

    def to_json(self) -> str:
        """The line, without its end."""
        return _written("audit", asdict(self))


def parse_line(text: str) -> AnswerLine | AuditLine:
    """One line, read and checked.

    Raises:
        LineError: it is no JSON object, of a later format, or a field is missing or impossible.
    """
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineError("A line is not JSON.") from error
    if not isinstance(row, dict):
        raise LineError("A line is not a JSON object.")
    version = row.get("format")
    if version != FORMAT:
        raise LineError(f"A line has format {version!r}; this version of hybrid reads {FORMAT}.")
    if row.get("kind") == "audit":
        return AuditLine(**_fields(row, _AUDIT))
    if row.get("kind") == "answer":
        return _checked(AnswerLine(**_fields(row, _ANSWER)))
    raise LineError(f"A line is of kind {row.get('kind')!r}, which is neither answer nor audit.")


def _checked(line: AnswerLine) -> AnswerLine:
    """The line, if its fields fit together."""
    if line.source not in SOURCES:
        given = line.source[:_MOST_NAME]
        raise LineError(f"A line has the source {given!r}; there are {', '.join(SOURCES)}.")
    if line.source == "exit" and line.audit_probability is None and line.planned:
        raise LineError("A line is of an early exit and has no audit_probability.")
    if line.audited and not line.planned:
        raise LineError("A line is audited, although its edge has no plan.")
    if line.audited and line.source != "exit":
        raise LineError(f"A line is audited, although its source is {line.source}.")
    return line


def _written(kind: str, fields: dict[str, Any]) -> str:
    named = {_NAMES.get(name, name): value for name, value in fields.items()}
    return json.dumps({"kind": kind, "format": FORMAT, **named}, allow_nan=False)


def _fields(row: dict[str, Any], kinds: dict[str, "Kind"]) -> dict[str, Any]:
    """The known fields of a row, each checked; those that may be left out need not be there."""
    found = {}
    for name, (fits, what, needed) in kinds.items():
        key = _NAMES.get(name, name)
        if key not in row and not needed:
            continue
        value = row.get(key)
        if not (fits(value) or (value is None and not needed)):
            raise LineError(f"A line has the {key} {value!r}, which is not {what}.")
        if value is not None:
            found[name] = value
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_NAME


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_WHOLE


def _is_number(value: object) -> bool:
    """Whether it is finite; also of a whole number that is larger than any float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max


def _is_milliseconds(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_probability(value: Any) -> bool:
    return _is_number(value) and 0 < value <= 1


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


Kind = tuple[Callable[[Any], bool], str, bool]
_TEXT: Kind = (_is_text, "a text", True)
_NAME: Kind = (_is_name, f"a text of up to {_MOST_NAME} letters", True)
_WHOLE: Kind = (_is_whole, "a whole number from 0", True)
_TIME: Kind = (_is_number, "a number", True)
_MILLISECONDS: Kind = (_is_milliseconds, "a number from 0", False)
_NAMES = {"class_index": "class", "exit_index": "exit"}  # in JSON
_AUDIT: dict[str, Kind] = {
    "bundle": _TEXT, "image": _NAME, "time_s": _TIME, "cloud_class": _WHOLE,
}  # fmt: skip
_ANSWER: dict[str, Kind] = {
    "bundle": _TEXT,
    "image": _NAME,
    "time_s": _TIME,
    "class_index": _WHOLE,
    "confidence": (_is_share, "a number from 0 to 1", True),
    "exit_index": _WHOLE,
    "source": _TEXT,
    "reason": (_is_text, "a text", False),
    "device_ms": _MILLISECONDS,
    "wire_ms": _MILLISECONDS,
    "cloud_ms": _MILLISECONDS,
    "sent_bytes": (_is_whole, "a whole number from 0", False),
    "audit_probability": (_is_probability, "a number above 0 and up to 1", False),
    "audited": (_is_truth, "true or false", False),
    "cloud_class": (_is_whole, "a whole number from 0", False),
    "certificate": (_is_text, "a text", False),
    "planned": (_is_truth, "true or false", False),
    "file": (_is_text, "a text", False),
}
