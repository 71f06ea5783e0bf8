"""A file is there whole or not at all."""

import hashlib
from pathlib import Path

import pytest

from hybrid.files import replacing, sha256_of


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
