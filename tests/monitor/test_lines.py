"""The lines of an edge: written and read alike, and damaged ones refused with a sentence."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.errors import LineError
from hybrid.monitor import AnswerLine, AuditLine, parse_line

chances = st.floats(0, 1, exclude_min=True)
milliseconds = st.none() | st.floats(0, 1e6)
answer_lines = st.builds(
    AnswerLine,
    bundle=st.text(),
    image=st.text(max_size=200),
    time_s=st.floats(allow_nan=False, allow_infinity=False),
    class_index=st.integers(0, 999),
    confidence=st.floats(0, 1),
    exit_index=st.integers(0, 9),
    source=st.just("exit"),
    reason=st.text(),
    device_ms=milliseconds,
    wire_ms=milliseconds,
    cloud_ms=milliseconds,
    sent_bytes=st.integers(0, 10**9),
    audit_probability=chances,
    audited=st.booleans(),
    cloud_class=st.none() | st.integers(0, 999),
    certificate=st.sampled_from(["", "cloud_there", "cloud_down"]),
    file=st.text(),
)
audit_lines = st.builds(
    AuditLine,
    bundle=st.text(),
    image=st.text(max_size=200),
    time_s=st.floats(allow_nan=False, allow_infinity=False),
    cloud_class=st.integers(0, 999),
)
GOOD: dict[str, Any] = {
    "kind": "answer", "format": 1, "bundle": "35a4b5d3", "image": "a", "time_s": 1.5, "class": 3,
    "confidence": 0.9, "exit": 0, "source": "exit", "audit_probability": 0.25,
}  # fmt: skip


@given(answer_lines | audit_lines)
@settings(max_examples=40)
def test_a_line_that_was_written_is_read_back(line: AnswerLine | AuditLine):
    assert parse_line(line.to_json()) == line


@given(answer_lines)
@settings(max_examples=20)
def test_a_line_is_one_line(line: AnswerLine):
    assert "\n" not in line.to_json()


def test_a_field_that_is_not_known_is_left_alone():
    assert parse_line(json.dumps(GOOD | {"battery_percent": 71})) == parse_line(json.dumps(GOOD))


@pytest.mark.parametrize("name", ["bundle", "image", "time_s", "class", "confidence", "exit"])
def test_a_line_without_a_field_that_is_needed_names_it(name: str):
    lacking = {key: value for key, value in GOOD.items() if key != name}

    with pytest.raises(LineError, match=f"A line has the {name} None, which is not "):
        parse_line(json.dumps(lacking))


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"format": 2}, "has format 2; this version of hybrid reads 1"),
        ({"kind": "heartbeat"}, "is of kind 'heartbeat'"),
        ({"confidence": 1.5}, "confidence 1.5, which is not a number from 0 to 1"),
        ({"confidence": float("nan")}, "confidence nan, which is not"),
        ({"confidence": True}, "confidence True, which is not"),
        ({"exit": -1}, "exit -1, which is not a whole number"),
        ({"class": "cat"}, "class 'cat', which is not a whole number"),
        ({"audit_probability": 0}, "audit_probability 0, which is not a number above 0"),
        ({"audit_probability": None}, "is of an early exit and has no audit_probability"),
        ({"source": "guess"}, "source 'guess'; there are exit, cloud, fallback"),
        ({"source": "cloud", "audited": True}, "is audited, although its source is cloud"),
        ({"planned": False, "audited": True}, "is audited, although its edge has no plan"),
        ({"planned": "no"}, "planned 'no', which is not true or false"),
        ({"device_ms": -3}, "device_ms -3, which is not a number from 0"),
        ({"time_s": 10**400}, "time_s 10*, which is not a number"),
        ({"class": 2**53 + 1}, "class 9007199254740993, which is not a whole number"),
        ({"image": 201 * "x"}, "image 'x*', which is not a text of up to 200 letters"),
    ],
)
def test_a_line_with_an_impossible_field_is_refused(changed: dict[str, Any], words: str):
    with pytest.raises(LineError, match=words):
        parse_line(json.dumps(GOOD | changed))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
odd_rows = st.dictionaries(st.sampled_from(list(GOOD)), json_values).map(lambda odd: GOOD | odd)


@settings(max_examples=60)
@given(st.text() | json_values.map(json.dumps) | odd_rows.map(json.dumps))
def test_whatever_a_line_is_it_is_read_or_refused(text: str):
    try:
        line = parse_line(text)
    except LineError as error:
        assert str(error).startswith("A line ")  # noqa: PT017  # either is right
    else:
        assert parse_line(line.to_json()) == line


def test_brackets_without_end_are_refused():
    with pytest.raises(LineError, match="A line is not JSON"):
        parse_line("[" * 100_000)
