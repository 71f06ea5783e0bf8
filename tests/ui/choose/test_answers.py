"""A choice that takes long shows how far it is; one that does not shows nothing."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid import choosing
from hybrid.errors import LimitError
from hybrid.ui.choose import answers
from hybrid.ui.choose.query import Query
from hybrid.ui.session import View
from tests.ui.fixtures import toy

__all__ = ["toy"]

SOON_S = 60
VIEW = View(network="trees-toy", bits=2, thresholds=(0.9, 0.9))


class Place:
    """An empty element that writes down what is shown in it."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self.showed_progress = threading.Event()

    def progress(self, value: float, words: str) -> None:
        self.shown.append((value, words))
        self.showed_progress.set()

    def empty(self) -> None:
        self.shown.append((0.0, "nothing"))


@pytest.fixture
def place(toy: Path) -> Any:
    return Place()


def slow(real: Callable[..., Any], place: Place) -> Callable[..., Any]:
    """The real collect_candidates, which stays at 3 of 4 until that has been shown."""

    def run(*networks: Any, progress: Callable[[int, int], None], **rest: Any) -> Any:
        progress(3, 4)
        assert place.showed_progress.wait(SOON_S)
        return real(*networks, **rest)

    return run


def test_a_long_choice_shows_the_contenders_that_are_counted_and_then_nothing(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "collect_candidates", slow(choosing.collect_candidates, place))

    answer = answers.answer(Query(networks=("trees-toy",)), VIEW, place)

    assert answer.ranking
    assert (0.75, "Counting candidates: 3 of 4") in place.shown
    assert place.shown[-1] == (0.0, "nothing")


def test_what_is_kept_shows_no_progress(place: Any) -> None:
    query = Query(networks=("trees-toy",))
    first = answers.answer(query, VIEW, place)
    place.shown.clear()

    assert answers.answer(query, VIEW, place) is first
    assert place.shown == [(0.0, "nothing")]


def test_an_error_of_the_work_is_the_callers(place: Any) -> None:
    with pytest.raises(LimitError, match="has no images called gone"):
        answers.answer(Query(networks=("trees-toy",), images="gone"), VIEW, place)

    assert place.shown[-1] == (0.0, "nothing")
