"""The cache: what has the same inputs is computed once, and every input counts."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hybrid import energy
from hybrid.ui import cache
from hybrid.ui.cache import cached
from hybrid.ui.view import SAME_AS_DEVICE


class Calls:
    """A function that counts how often it is computed."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def __call__(self, value: object) -> object:
        self.seen.append(value)
        return object()


def test_the_same_argument_is_computed_once_and_shared() -> None:
    calls = Calls()
    ask = cached(entries=2)(calls.__call__)

    assert ask("a") is ask("a")
    assert calls.seen == ["a"]


def test_a_file_that_changes_or_appears_is_an_input(tmp_path: Path) -> None:
    calls, file = Calls(), tmp_path / "trace"
    ask = cached(entries=4, files=lambda _: [file])(calls.__call__)

    before = ask("a")
    file.write_text("one")
    written = ask("a")
    os.utime(file, ns=(1, 1))

    assert len({before, written, ask("a")}) == 3
    assert ask("a") is ask("a")


def test_the_same_name_in_another_folder_is_another_input(tmp_path: Path) -> None:
    calls, folders = Calls(), iter([tmp_path / "a", tmp_path / "b"])
    ask = cached(entries=4, files=lambda _: [next(folders)])(calls.__call__)

    assert ask("network") is not ask("network")


def test_arrays_count_by_their_content() -> None:
    calls = Calls()
    ask = cached(entries=4)(calls.__call__)

    assert ask(np.arange(4)) is ask(np.arange(4))
    assert ask(np.arange(4)) is not ask(np.arange(4).reshape(2, 2))
    assert ask(np.arange(4)) is not ask(np.arange(4, dtype=np.uint8))


def test_what_does_not_matter_is_left_out_of_the_key_and_of_the_call() -> None:
    calls = Calls()
    ask = cached(entries=4, of=str.lower)(calls.__call__)

    assert ask("A") is ask("a")
    assert calls.seen == ["a"]


def test_the_result_used_longest_ago_goes_first() -> None:
    calls = Calls()
    ask = cached(entries=2)(calls.__call__)

    ask("a"), ask("b"), ask("a"), ask("c"), ask("a"), ask("b")

    assert calls.seen == ["a", "b", "c", "b"]


def test_an_error_is_not_kept() -> None:
    answers: Iterator[object] = iter([ValueError("no trace yet"), 7])

    @cached(entries=2)
    def ask() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ValueError, match="no trace yet"):
        ask()
    assert ask() == 7


def test_sessions_that_ask_at_once_wait_for_one_computation() -> None:
    calls, computing, released = Calls(), threading.Event(), threading.Event()
    asking = threading.Barrier(4)  # three sessions and this one

    @cached(entries=2)
    def ask() -> object:
        computing.set()
        assert released.wait(60)
        return calls("a")

    def ask_too() -> None:
        asking.wait(60)
        ask()

    threads = [threading.Thread(target=ask)]
    threads[0].start()
    assert computing.wait(60)
    threads += [threading.Thread(target=ask_too) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    asking.wait(60)
    released.set()
    for thread in threads:
        thread.join()

    assert calls.seen == ["a"]


def test_a_missing_file_has_no_time_of_change(tmp_path: Path) -> None:
    assert cache.changed_ns(tmp_path / "none") == 0


def test_what_is_derived_is_made_once_from_the_same_objects_and_equal_words() -> None:
    data, same = [1], [1]
    made = [
        cache.derived("test", object, *inputs)
        for inputs in ((data, "a"), (data, "a"), (same, "a"), (data, "b"))
    ]

    assert made[0] is made[1]
    assert len(set(made)) == 3
    assert cache.derived("other", object, data, "a") is not made[0]


def test_a_hardware_profile_of_ones_own_is_offered_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRID_PROFILES", str(tmp_path / "own"))
    before = cache.offers().profiles
    shipped = Path(energy.__file__).parent / "hardware" / "gap9.toml"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").write_text(shipped.read_text())

    after = cache.offers().profiles

    assert after == (*before, "mine")
    assert cache.profile_title("mine") == energy.load_profile("gap9").title
    priced = cache.prices_at("mine", energy.DEFAULT_LINK, "compute", SAME_AS_DEVICE)
    assert priced.profile.mac_pj(8, 8) == energy.load_profile("gap9").mac_pj(8, 8)
