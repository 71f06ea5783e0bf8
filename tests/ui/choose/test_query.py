"""Links to Choose: what is written is read, and what is wrong falls back with a sentence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.ui.choose.query import NUMBERS, UNDER, Query, QueryNumber

NETWORKS = ("oak", "elm", "ash")
PROFILES = (*UNDER, "abacus")


def numbers(number: QueryNumber) -> st.SearchStrategy[float | None]:
    inside = st.floats(number.least, min(number.most, 1e6), exclude_min=number.above)
    short = inside.map(lambda value: float(f"{value:.9g}"))
    return st.none() | short.filter(lambda value: not (number.percent and 0 < value <= 1))


@st.composite
def query(draw: st.DrawFn) -> Query:
    lists = st.lists(st.sampled_from(NETWORKS), min_size=1, unique=True)
    return Query(
        networks=tuple(draw(lists)),
        numbers={key: draw(numbers(number)) for key, number in NUMBERS.items()},
        profiles=tuple(draw(st.lists(st.sampled_from(PROFILES), unique=True))),
        deployed=draw(st.booleans()),
    )


def read(query: dict[str, str]) -> tuple[Query, tuple[str, ...]]:
    return Query.read(query, network="oak", networks=NETWORKS, profiles=PROFILES)


@given(query())
def test_a_link_says_what_was_wished_and_nothing_wrong(wished: Query) -> None:
    assert read(wished.write()) == (wished, ())


@given(st.dictionaries(st.sampled_from([*NUMBERS, "among", "under", "as", "pigeon"]), st.text()))
def test_any_text_in_a_link_gives_wishes_and_sentences(query: dict[str, str]) -> None:
    wished, problems = read(query)

    assert wished.networks
    assert set(wished.numbers) == set(NUMBERS)
    assert all(problem.endswith((".", "?")) for problem in problems)


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("loss", 500, "500 is not possible: give 0 to 100, or leave it empty."),
        ("loss", -1, "-1 is not possible: give 0 to 100, or leave it empty."),
        ("energy_uj", -0.5, "-0.5 is not possible: give 0 or more, or leave it empty."),
        ("confidence", 100, "100 is not possible: give 1 to 99.9, or leave it empty."),
        ("confidence", 0.95, "This is in percent: give 95 instead of 0.95."),
        ("accuracy_percent", 0.9, "This is in percent: give 90 instead of 0.9."),
        ("class_percent", 101, "101 is not possible: give 0 to 100, or leave it empty."),
        ("battery_mah", 0, "0 is not possible: give more than 0, or leave it empty."),
        ("min_days", math.inf, "inf is not possible: give 0 or more, or leave it empty."),
    ],
)
def test_a_number_that_cannot_be_a_limit_has_a_sentence(key: str, value: float, words: str) -> None:
    query = Query(networks=("oak",), numbers={**read({})[0].numbers, key: value})

    assert query.problems == {key: words}


@given(query())
def test_a_number_in_its_range_has_none(query: Query) -> None:
    assert query.problems == {}


def test_a_link_keeps_a_number_that_cannot_be_a_limit() -> None:
    wished, problems = read({"loss": "500", "energy_uj": "-3"})

    assert problems == ()
    assert set(wished.problems) == {"loss", "energy_uj"}
    assert read(wished.write()) == (wished, ())


def test_an_empty_link_means_one_point_of_loss_at_95_percent() -> None:
    wished, problems = read({})

    assert problems == ()
    assert wished.limits.to_dict() == {"max_loss_points": 1.0, "confidence": 0.95}
    assert wished.networks == ("oak",)
    assert wished.profiles == UNDER


def test_an_empty_number_sets_no_limit() -> None:
    assert read({"loss": "", "confidence": ""})[0].limits.to_dict() == {}


def test_part_of_a_battery_sets_no_limit_and_says_what_it_lacks() -> None:
    wished, _ = read({"loss": "", "confidence": "", "battery_mah": "220", "min_days": "10"})

    assert wished.limits.to_dict() == {}
    assert wished.missing == ("Images per day", "Battery (V)")
    whole, _ = read(wished.write() | {"images_per_day": "5", "battery_volts": "3"})
    assert whole.missing == ()
    assert set(whole.limits.to_dict()) == {
        "battery_mah", "battery_volts", "images_per_day", "min_days",
    }  # fmt: skip
