"""A file is there whole or not at all."""

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from hybrid.errors import FileError
from hybrid.files import expanded, home_folder, replacing, sha256_of


def test_the_sha256_is_that_of_the_bytes(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 300_000)

    assert sha256_of(path) == hashlib.sha256(b"a" * 300_000).hexdigest()


def test_a_file_appears_under_its_name_when_the_block_ends(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "file"

    with replacing(path) as draft:
        draft.write_text("new")
        assert not path.exists()

    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as draft:
            draft.write_text("ne")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_half()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error", [PermissionError(13, "denied"), IsADirectoryError(21, "a folder")]
)
def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path, error: OSError):
    path = tmp_path / "file"
    path.mkdir()

    with pytest.raises(OSError, match="file") as nameless, replacing(path):
        raise error
    with pytest.raises(OSError, match="file") as renamed, replacing(path) as draft:
        draft.write_text("new")

    assert nameless.value.filename == renamed.value.filename == str(path)


def test_two_writers_do_not_meet(tmp_path: Path):
    path = tmp_path / "file"

    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")

    assert one != other
    assert path.read_text() == "one"  # the outer block ended last


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_written_through_and_stays_a_pipe(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()

    with replacing(pipe) as draft:
        draft.write_text("new")

    reader.join()
    assert read == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_device_is_written_through_and_stays_a_device():
    before = Path("/dev/null").stat()

    with replacing(Path("/dev/null")) as draft:
        draft.write_text("new")

    after = Path("/dev/null").stat()
    assert stat.S_ISCHR(after.st_mode)
    assert (after.st_ino, after.st_rdev) == (before.st_ino, before.st_rdev)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_the_file_it_leads_to_is_replaced(tmp_path: Path, there: bool):
    target, link = tmp_path / "real" / "file", tmp_path / "link"
    if there:
        target.parent.mkdir()
        target.write_text("old")
    link.symlink_to(target)

    with replacing(link) as draft:
        draft.write_text("new")

    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path):
    path = tmp_path / ("ä" * 127)  # 254 bytes

    with replacing(path) as draft:
        draft.write_text("new")

    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_that_a_killed_process_left_a_day_ago_is_removed(tmp_path: Path):
    old, fresh = (tmp_path / f".file.{letter * 32}" for letter in "ab")
    other = tmp_path / f".other.{'c' * 32}"
    for draft in (old, fresh, other):
        draft.write_text("half")
    for draft in (old, other):
        os.utime(draft, (0, 0))

    with replacing(tmp_path / "file") as draft:
        draft.write_text("new")

    assert {path.name for path in tmp_path.iterdir()} == {"file", fresh.name, other.name}


def test_without_a_home_folder_the_sentence_names_the_setting(monkeypatch: pytest.MonkeyPatch):
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)

    with pytest.raises(FileError, match=r"no home folder; name a folder .* in HYBRID_TRACES"):
        home_folder("HYBRID_TRACES")
    with pytest.raises(FileError, match="~nouser-x/a names a home folder that there is not"):
        expanded("~nouser-x/a")
