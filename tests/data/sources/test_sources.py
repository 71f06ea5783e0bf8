"""Folders, zips and tables of strangers: what is taken, what is called what, what is refused."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.data import sources
from hybrid.data.sources.matching import join
from hybrid.errors import HybridError, ImageError, SourceError
from tests.own_images import write_folder, zipped

FILES = {
    "photos/cat/2.png": b"two",
    "photos/cat/1.PNG": b"one",
    "photos/dog/3.jpeg": b"three",
    "photos/notes.txt": b"notes",
    "photos/.DS_Store": b"clutter",
    "__MACOSX/photos/cat/1.png": b"clutter",
}
WORDS = [("photos/cat/1.PNG", "cat"), ("photos/cat/2.png", "cat"), ("photos/dog/3.jpeg", "dog")]
CLASSES = ("cat", "dog")


def words_of(files: dict[str, bytes], table: bytes | None = None) -> dict[str, str | None]:
    with sources.opened(zipped(files), labels=table) as source:
        words = sources.label_words(source, CLASSES)
        return {entry.name: word for entry, word in zip(source.entries, words, strict=True)}


@pytest.mark.parametrize("kind", ["folder", "zip", "bytes"])
def test_a_folder_and_a_zip_of_it_are_the_same_source(kind: str, tmp_path: Path) -> None:
    given: Path | bytes = zipped(FILES)
    if kind == "folder":
        given = write_folder(tmp_path / "all", FILES)
    elif kind == "zip":
        given = tmp_path / "all.zip"
        given.write_bytes(zipped(FILES))

    with sources.opened(given) as source:
        words = sources.label_words(source, CLASSES)
        read = [source.read(entry) for entry in source.entries]

    assert list(zip([e.name for e in source.entries], words, strict=True)) == WORDS
    assert read == [b"one", b"two", b"three"]
    assert source.ignored == {".txt": 1, ".DS_Store": 1, "__MACOSX": 1}


def test_the_level_of_folders_that_names_classes_is_the_label() -> None:
    inner = {"train/cat/a/1.png": b"", "train/cat/b/2.png": b"", "val/dog/a/3.png": b""}

    assert list(words_of(inner).values()) == ["cat", "cat", "dog"]


def test_where_no_folder_names_a_class_the_innermost_is_the_label() -> None:
    assert list(words_of({"x/kitten/1.png": b"", "x/puppy/2.png": b""}).values()) == [
        "kitten", "puppy",
    ]  # fmt: skip


def test_images_in_no_folder_have_no_label() -> None:
    assert words_of({"1.png": b"", "2.png": b""}) == {"1.png": None, "2.png": None}


@pytest.mark.parametrize(
    "table",
    [
        b"file,label\n1.png,cat\nb/2.png,dog\n",
        b"1.png,cat\nb/2.png,dog\n",
        b"label;file\ncat;1.png\ndog;b\\2.png\n",
        b"id\tclass\tpath\n7\tcat\t./1.png\n8\tdog\tb/2.png\n",
        "file,label\n1.png,cat\nb/2.png,dog\n".encode("utf-16"),
        b"\xef\xbb\xbffile,label\r\n1.png, cat\r\n\r\nb/2.png,dog\r\n",
    ],
)
def test_a_table_of_labels_is_read_in_every_usual_form(table: bytes) -> None:
    files = {"photos/1.png": b"", "photos/b/2.png": b"", "photos/b/3.png": b""}

    assert words_of(files, table) == {
        "photos/1.png": "cat", "photos/b/2.png": "dog", "photos/b/3.png": None,
    }  # fmt: skip


def test_a_row_that_two_files_could_mean_is_given_to_neither() -> None:
    words = words_of({"a/1.png": b"", "b/1.png": b"", "b/2.png": b""}, b"1.png,cat\nb/2.png,dog")

    assert words == {"a/1.png": None, "b/1.png": None, "b/2.png": "dog"}


def test_a_table_inside_the_zip_or_folder_is_found(tmp_path: Path) -> None:
    files = {"1.png": b"", "labels.csv": b"file,label\n1.png,cat\n"}

    assert words_of(files) == {"1.png": "cat"}
    with sources.opened(write_folder(tmp_path, files)) as source:
        assert sources.label_words(source, CLASSES) == ("cat",)


@pytest.mark.parametrize(
    "table, words",
    [
        (b"", "is empty"),
        (
            b"file,label\n1.png\n",
            "Row 1 .* needs a file and a label, but is '1.png'",
        ),
        (b"\x00\x01\x02", "is not text"),
        (b"file,a,b\n1.png,3,4\n", "has headings, but none for the label; call that column cat"),
        (b"class\ndog\n", "has headings, but none for the file; call that column file"),
        (
            b"a/1.png,cat\na/1.png,cat\n./a/1.png,dog\n",
            "Row 3 .* labels a/1.png as 'dog', a row above",
        ),
        (b"just words\n", "give both, separated by a comma"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(table: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        join(table, ["1.png"])


@pytest.mark.parametrize(
    "given, words",
    [
        (zipped({}), "holds no images; give PNG"),
        (zipped({"a.txt": b"x"}), "holds no images; give PNG"),
        (zipped({"../a.png": b"x"}), r"holds no images \(../a.png points outside its zip"),
        (b"no zip", "is not an intact zip; pack"),
        (zipped(FILES)[:-30], "is not an intact zip; pack"),
        (Path("/nowhere/at/all"), "There is no folder or zip /nowhere/at/all"),
    ],
)
def test_a_source_without_images_is_one_sentence(given: Path | bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words), sources.opened(given):
        pass


def test_files_that_point_outside_or_come_twice_are_named_and_the_others_taken() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("cat/1.png", "/etc/2.png", "C:\\3.png"):
            archive.writestr(name, b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("cat/1.png", b"y")

    with sources.opened(buffer.getvalue()) as source:
        assert [entry.name for entry in source.entries] == ["cat/1.png"]
        assert [one.sentence for one in source.refused] == [
            "/etc/2.png points outside its zip; pack it under a plain name.",
            "C:\\3.png points outside its zip; pack it under a plain name.",
            "cat/1.png is in the zip twice; pack it under different names.",
        ]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat/1.png": b"one"})
    (tmp_path / "cat" / "circle").symlink_to(tmp_path)

    with sources.opened(tmp_path) as source:
        assert [entry.name for entry in source.entries] == ["cat/1.png"]


def test_a_file_that_vanished_or_is_damaged_costs_itself_alone(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat/1.png": b"one", "cat/2.png": b"two"})

    with sources.opened(tmp_path) as source:
        (tmp_path / "cat" / "1.png").unlink()
        with pytest.raises(ImageError, match=r"1\.png cannot be read \(No such file"):
            source.read(source.entries[0])
        assert source.read(source.entries[1]) == b"two"


@given(st.binary(max_size=200))
def test_whatever_a_table_holds_only_a_sentence_comes_out(data: bytes) -> None:
    with suppress(HybridError):
        words = join(data, ["1.png", "a/2.png"]).words
        assert {type(word) for word in words} <= {str, type(None)}


def test_a_field_longer_than_any_label_is_one_sentence() -> None:
    with pytest.raises(SourceError, match="Line 1 of the table of labels cannot be read"):
        join(b"1.png," + b"x" * 150_000, ["1.png"])
