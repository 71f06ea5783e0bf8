"""A choice that takes long shows how far it is; one that does not shows nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from hybrid import choosing
from hybrid.errors import LimitError
from hybrid.ui.choose import answers
from hybrid.ui.choose.query import Query
from hybrid.ui.view import View
from tests.ui.fixtures import toy

__all__ = ["toy"]

SOON_S = 60
VIEW = View(network="trees-toy", bits=2, thresholds=(0.9, 0.9))


class Place:
    """An empty element that writes down what is shown in it."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self.showed_progress = threading.Event()

    def caption(self, words: str) -> None:
        self.shown.append((0.0, words))

    def progress(self, value: float, words: str) -> None:
        self.shown.append((value, words))
        self.showed_progress.set()

    def empty(self) -> None:
        self.shown.append((0.0, "nothing"))


@pytest.fixture
def place(toy: Path) -> Any:
    st.session_state.clear()
    return Place()


def slow(real: Callable[..., Any], place: Place) -> Callable[..., Any]:
    """The real collect_candidates, which stays at 3 of 4 until that has been shown."""

    def run(*networks: Any, progress: Callable[[int, int], None], **rest: Any) -> Any:
        progress(3, 4)
        assert place.showed_progress.wait(SOON_S)
        return real(*networks, **rest)

    return run


def test_a_long_choice_shows_how_many_candidates_are_counted(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "collect_candidates", slow(choosing.collect_candidates, place))

    answer = answers.answer(Query(networks=("trees-toy",)), VIEW, place)

    assert answer.ranking
    assert (0.75, "Counting candidates: 3 of 4") in place.shown


def test_an_answer_leaves_the_page_before_another_one_is_chosen(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Query(networks=("trees-toy",))
    answers.answer(query, VIEW, place)
    place.shown.clear()
    shown_before: list[Any] = []
    monkeypatch.setattr(
        choosing, "choose", lambda *_: shown_before.extend(place.shown) or "another"
    )

    for other in (replace(VIEW, profile="qkeras-45nm"), replace(VIEW, scope="device")):
        shown_before.clear()
        answers.answer(query, other, place)
        assert shown_before[-1] == (0.0, "Choosing")


def test_what_is_kept_stays_on_the_page(place: Any) -> None:
    query = Query(networks=("trees-toy",))
    first = answers.answer(query, VIEW, place)
    place.shown.clear()

    assert answers.answer(query, VIEW, place) is first
    assert place.shown == []


def test_an_error_of_the_work_is_the_callers(place: Any) -> None:
    with pytest.raises(LimitError, match="has no images called gone"):
        answers.answer(Query(networks=("trees-toy",), images="gone"), VIEW, place)

    assert place.shown[-1] == (0.0, "nothing")
