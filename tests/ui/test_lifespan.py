"""What a server computes before its first visitor comes."""

from pathlib import Path

import pytest

from hybrid import zoo
from hybrid.ui import cache
from hybrid.ui.explore import load, opening
from hybrid.ui.view import View


def test_the_first_visitors_figures_are_computed(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View.read({}, cache.offers()).view
    opening.compute()

    def read_again(*_: object) -> None:
        raise AssertionError("a trace is read again")

    monkeypatch.setattr(zoo, "trace", read_again)
    assert load.explore_data(view).labelled
    assert {one.bits for one in load.frontiers(view)} == {1, 2, 4}
    assert load.follower_settings(view)
    assert set(load.follower_traces(view)) == {1, 2, 4}


def test_a_server_without_networks_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))

    opening.compute()

    assert cache.offers().early_exits == {}
