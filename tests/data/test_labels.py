"""Words of users and classes of networks: what is the same, what is a guess, what is neither."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.data.labels import LEFT_OUT, alike, class_table, labels, match
from hybrid.errors import UnknownNameError

CLASSES = ("airplane", "automobile", "cat", "deer", "traffic light")


def matched(word: str, classes: tuple[str, ...] = CLASSES) -> tuple[str | None, str]:
    (found,) = match([word], classes)
    return found.class_name, found.how


@pytest.mark.parametrize(
    "word, class_name, how",
    [
        ("cat", "cat", "exact"),
        ("Cat", "cat", "spelling"),
        ("TRAFFIC_LIGHT", "traffic light", "spelling"),
        ("traffic-light", "traffic light", "spelling"),
        ("aeroplane", "airplane", "near"),
        ("cats", "cat", "near"),
        ("dear", "deer", "near"),
        ("horse", None, "none"),
        ("car", None, "none"),
        ("", None, "none"),
    ],
)
def test_a_word_finds_its_class_and_says_how(word: str, class_name: str | None, how: str) -> None:
    assert matched(word) == (class_name, how)


def test_only_guesses_are_proposals() -> None:
    found = match(["cat", "Cat", "cats", "horse"], CLASSES)

    assert {one.word: one.proposed for one in found} == {
        "Cat": False, "cat": False, "cats": True, "horse": False,
    }  # fmt: skip


def test_numbers_are_positions_where_every_word_is_one() -> None:
    assert [(m.word, m.class_name) for m in match(["0", "3", "9"], CLASSES)] == [
        ("0", "airplane"), ("3", "deer"), ("9", None),
    ]  # fmt: skip
    assert [m.class_name for m in match(["0", "cat"], CLASSES)] == [None, "cat"]


def test_a_class_that_is_a_number_is_itself_and_no_position() -> None:
    assert matched("1", ("2", "1", "0")) == ("1", "exact")


def test_images_are_counted_by_word_and_those_without_a_word_are_not() -> None:
    found = match(["cat", None, "cat", "dog"], CLASSES)

    assert [(one.word, one.images) for one in found] == [("cat", 2), ("dog", 1)]


def test_a_proposal_counts_only_once_it_is_confirmed() -> None:
    found = match(["cat", "aeroplane", "plane"], CLASSES)

    assert class_table(found, {}, CLASSES) == {"aeroplane": None, "cat": "cat", "plane": None}
    assert class_table(found, {"plane": "airplane"}, CLASSES)["plane"] == "airplane"


def test_what_is_confirmed_must_be_a_label_and_a_class_that_there_are() -> None:
    found = match(["cat"], CLASSES)

    with pytest.raises(UnknownNameError, match="No label is called 'dog'"):
        class_table(found, {"dog": "cat"}, CLASSES)
    with pytest.raises(UnknownNameError, match="No class is called 'feline'"):
        class_table(found, {"cat": "feline"}, CLASSES)


def test_labels_are_positions_of_classes_and_what_has_none_is_left_out() -> None:
    words = ["cat", "dog", None, "Cat", "new"]

    found = labels(words, {"cat": "cat", "Cat": "cat", "dog": None}, CLASSES)

    np.testing.assert_array_equal(found, [2, LEFT_OUT, LEFT_OUT, 2, LEFT_OUT])


@given(st.lists(st.text(max_size=12), max_size=8), st.lists(st.text(max_size=12), max_size=5))
def test_any_words_and_classes_give_a_match_each_that_is_a_class(
    words: list[str], classes: list[str]
) -> None:
    found = match(words, classes)

    assert sum(one.images for one in found) == len(words)
    assert all(one.class_name is None or one.class_name in classes for one in found)
    assert all(
        alike(one.word) == alike(str(one.class_name)) for one in found if one.how == "spelling"
    )
