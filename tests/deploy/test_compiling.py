"""C code is compiled once, kept under the hash of everything it was made of, and found again."""

import ctypes
import shutil
from pathlib import Path

import pytest

from hybrid.deploy.compiling import cached_path, loaded, reason_of
from hybrid.errors import FileError, FormError

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")


def answer(number: int, cache: Path | None) -> int:
    """What a function returns that was compiled to return it."""
    text = f"int answer(void) {{ return {number}; }}"

    def write(folder: Path) -> None:
        (folder / "answer.c").write_text(text)

    library: ctypes.CDLL = loaded([text], write, cache=cache)
    return int(library.answer())


def test_equal_code_needs_no_compiler_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert answer(1, tmp_path) == 1
    monkeypatch.setenv("PATH", "")

    assert answer(1, tmp_path) == 1
    with pytest.raises(FormError, match="There is no C compiler here"):
        answer(2, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]


def test_a_library_cut_short_is_compiled_again(tmp_path: Path):
    place = cached_path(["int answer(void) { return 3; }"], cache=tmp_path)
    place.write_bytes(b"\x7fELF")

    assert answer(3, tmp_path) == 3
    assert place.stat().st_size > 1000


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path):
    (tmp_path / "file").write_text("")

    assert answer(4, tmp_path / "file") == 4


def test_a_user_without_a_home_folder_compiles_each_time(monkeypatch: pytest.MonkeyPatch):
    def homeless() -> Path:
        raise FileError("no home")

    monkeypatch.setattr("hybrid.deploy.compiling._cache_folder", homeless)

    assert answer(5, None) == 5


def test_other_flags_or_parts_are_kept_elsewhere(tmp_path: Path):
    parts = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""]]

    places = {cached_path(one, flags=flags, cache=tmp_path) for one in parts for flags in ("x", "")}

    assert len(places) == 8


@pytest.mark.parametrize(
    "said, reason",
    [
        ("a.c: In function f:\na.c:3: error: no g\n", "a.c:3: error: no g"),
        ("a.s: Assembler messages:\na.s: Error: x\nb: No space left on device", "b: No space left"),
        ("killed\n", "killed"),
        ("", "no reason given"),
    ],
)
def test_a_refusal_gives_the_line_that_tells_why(said: str, reason: str):
    assert reason_of(said).startswith(reason)
