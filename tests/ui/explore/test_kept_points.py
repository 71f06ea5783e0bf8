"""Kept points in a link and in a file: written and read back, and whatever else a link may hold."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import PointError
from hybrid.ui.explore.kept.points import (
    MOST,
    NAME_CHARACTERS,
    KeptPoint,
    clean,
    decode,
    encode,
    free_name,
    from_json,
    with_point,
)
from hybrid.ui.view import View
from tests.ui.test_view import OFFERS, views

VIEW = View(network="pine", bits=4, thresholds=(0.5, 0.75))


@st.composite
def kept(draw: st.DrawFn) -> tuple[KeptPoint, ...]:
    points: tuple[KeptPoint, ...] = ()
    for _ in range(draw(st.integers(0, MOST))):
        points = with_point(points, draw(st.text(max_size=60)), draw(views()))
    return points


@given(kept())
def test_points_written_into_a_link_are_read_back(points: tuple[KeptPoint, ...]) -> None:
    reading = decode(encode(points), OFFERS)

    assert reading.points == points
    assert reading.problems == ()


@given(kept())
def test_names_are_different_and_fit_on_a_line(points: tuple[KeptPoint, ...]) -> None:
    names = [one.name for one in points]

    assert len(set(names)) == len(names)
    assert all(name and name.isprintable() and len(name) <= NAME_CHARACTERS for name in names)


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.text(alphabet="pine~4_0.5*%:t1"))
def test_any_text_gives_points_on_offer_and_a_sentence_for_each_that_is_left_out(text: str) -> None:
    reading = decode(text, OFFERS)

    parts = text.split("*") if text else []
    assert len(reading.points) + len(reading.problems) == min(len(parts), MOST) + (
        len(parts) > MOST
    )
    for point in reading.points:
        view = point.view
        assert OFFERS.early_exits[view.network][view.bits] == len(view.thresholds)


@pytest.mark.parametrize(
    "text, words",
    [
        ("a~oak~4~0.5_0.5", "Kept point 'a' was left out. No network is called 'oak'"),
        ("a~pine~3~0.5_0.5", "'3' bits are not offered here"),
        ("a~pine~4~0.5", "It has 1 thresholds, but its network takes 2."),
        ("a~pine~4~0.5_0.5_0.5", "a threshold t3, but this network has 2"),
        ("a~pine~4~0.5_sure", "Its threshold 'sure' is not a number from 0 to 1."),
        ("a~pine~4~0.5_nan", "Its threshold 'nan' is not a number"),
        ("a~pine~4", "It has no thresholds."),
        ("a", "It has no network."),
        ("", "It has no network."),
        ("a~pine~4~0.5_0.5~scope.galaxy", "No scope is called 'galaxy'"),
        ("a~pine~4~0.5_0.5~sliders.one", "one slider for thresholds that differ"),
        ("a~pine~4~0.5_0.5~split.theirs", "No split is called 'theirs'"),
    ],
)
def test_a_broken_point_is_one_sentence_and_the_others_are_read(text: str, words: str) -> None:
    text = text.replace("0.5_0.5~sliders", "0.5_0.6~sliders")

    reading = decode(f"{text}*good~larch~2~0.1_0.2_0.3", OFFERS)

    assert [one.name for one in reading.points] == ["good"]
    assert len(reading.problems) == 1
    assert words in reading.problems[0]


def test_a_link_is_bounded_in_count_and_length() -> None:
    one = encode([KeptPoint(name="a", view=VIEW)])

    many = decode("*".join([one] * 40), OFFERS)
    long = decode("*".join([one] * 4000), OFFERS)

    assert len(many.points) == MOST
    assert many.problems == (f"Of 40 kept points, the first {MOST} were read.",)
    assert long.points == ()
    assert "at most 6,000 are read" in long.problems[0]


def test_a_link_with_the_most_and_longest_points_is_still_read() -> None:
    points: tuple[KeptPoint, ...] = ()
    for _ in range(MOST):
        points = with_point(points, "%" * 99, replace(VIEW, profile="other", link="lora"))

    assert decode(encode(points), OFFERS).points == points


def test_a_common_setting_takes_few_characters() -> None:
    assert encode([KeptPoint(name="cheap", view=VIEW)]) == "cheap~pine~4~0.5_0.75"


def test_no_more_than_the_most_can_be_kept() -> None:
    points: tuple[KeptPoint, ...] = ()
    for _ in range(MOST):
        points = with_point(points, "", VIEW)

    with pytest.raises(PointError, match="12 points are kept, which is the most; remove one"):
        with_point(points, "", VIEW)


@given(st.text())
def test_a_cleaned_name_is_clean(name: str) -> None:
    assert clean(clean(name)) == clean(name)
    assert free_name(name, ()) == (clean(name) or "Point 1")


@given(kept())
def test_points_in_a_file_are_read_back(points: tuple[KeptPoint, ...]) -> None:
    records = [{"name": one.name} | one.view.choices | {"thresholds": list(one.view.thresholds)}
               for one in points]  # fmt: skip

    reading = from_json(json.dumps({"format": 1, "kept_points": records}), OFFERS)

    assert reading.points == points
    assert reading.problems == ()


def test_a_single_point_is_a_file_too() -> None:
    record = VIEW.choices | {"thresholds": [0.5, 0.75], "accuracy": 0.9}

    assert from_json(json.dumps(record), OFFERS).points == (KeptPoint(name="Point 1", view=VIEW),)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["kept_points", "network", "bits", "thresholds", "name"]), inner
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_gives_points_or_sentences(values: object) -> None:
    reading = from_json(json.dumps(values), OFFERS)

    assert reading.points == ()
    no_points = isinstance(values, dict) and values.get("kept_points") == []
    assert no_points or reading.problems


@pytest.mark.parametrize("text", ["", "no JSON", "[" * 100_000])
def test_a_file_that_is_no_json_is_one_sentence(text: str) -> None:
    assert from_json(text, OFFERS).problems == (
        "The file is not JSON; export kept points from Explore.",
    )
