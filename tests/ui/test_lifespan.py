"""What a server computes before its first visitor comes, and what it clears away."""

import os
from pathlib import Path

import pytest

from hybrid import zoo
from hybrid.ui import cache
from hybrid.ui.explore import load, opening
from hybrid.ui.server import lifespan
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


def test_a_server_removes_the_drafts_of_killed_processes(
    toy: Path, traces: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old, fresh = (f".trace.parquet.{letter * 32}" for letter in "ab")
    folders = [
        next(toy.iterdir()),
        traces / "digits-vgg" / "mine",
        tmp_path_factory.mktemp("elsewhere"),
    ]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (old, fresh, "trace.parquet"):
            (folder / name).write_text("half")
        for name in (old, "trace.parquet"):
            os.utime(folder / name, (0, 0))

    lifespan.warm_up()

    left = [{path.name for path in folder.iterdir() if path.is_file()} for folder in folders]
    assert [old in names for names in left] == [False, False, True]
    assert all({fresh, "trace.parquet"} <= names for names in left)


def test_a_server_without_a_home_folder_starts(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HYBRID_TRACES")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)

    lifespan.warm_up()
