"""The cache of unpacked splits: read back, bounded on disk, and never needed."""

import os
from pathlib import Path

import numpy as np
import pytest

from hybrid.data import split_cache
from hybrid.files import folder_bytes


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, in which only three files of a kilobyte have room."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(split_cache, "MAX_BYTES", 4_000)
    return tmp_path / "hybrid"


def key(number: int) -> tuple[str, str, str]:
    return "photos", "train", f"{number:012x}"


def keep(number: int, time_s: int) -> None:
    split_cache.keep(*key(number), images=np.full(900, number, np.uint8))
    path = split_cache.cache_folder() / f"photos-train-{number:012x}.npz"
    os.utime(path, (time_s, time_s))


def test_what_is_kept_is_read_back(cache: Path):
    keep(7, time_s=0)

    assert split_cache.kept(*key(7))["images"].tolist() == [7] * 900
    assert split_cache.kept(*key(8)) == {}


def test_the_files_used_longest_ago_make_room_and_no_other_file(cache: Path):
    for number in range(3):
        keep(number, time_s=number)
    (cache / "mine.npz").write_bytes(bytes(9_000))
    (cache / "data").mkdir()
    split_cache.kept(*key(0))  # used now, and so the latest

    keep(3, time_s=3)

    assert [n for n in range(4) if split_cache.kept(*key(n))] == [0, 2, 3]
    assert {"mine.npz", "data"} <= {path.name for path in cache.iterdir()}


def test_one_that_is_larger_than_all_may_be_is_kept_alone(cache: Path):
    keep(0, time_s=0)

    split_cache.keep(*key(1), images=np.zeros(9_000, np.uint8))

    assert split_cache.kept(*key(0)) == {}
    assert len(split_cache.kept(*key(1))["images"]) == 9_000


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    keep_nothing = split_cache.keep(*key(0), images=np.zeros(1, np.uint8))

    assert keep_nothing is None
    assert split_cache.kept(*key(0)) == {}


def test_the_bytes_of_a_folder_are_those_of_its_files_without_what_links_lead_to(tmp_path: Path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "one").write_bytes(bytes(100))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "two").write_bytes(bytes(9_000))
    link = tmp_path / "in" / "link"
    link.symlink_to(tmp_path / "out")

    assert folder_bytes(tmp_path / "in") == 100 + link.lstat().st_size
    assert folder_bytes(tmp_path / "none") == 0
