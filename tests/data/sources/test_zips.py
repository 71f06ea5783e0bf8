"""Zips as Windows, macOS and old tools write them: the same images as the folder they are of."""

import io
import stat
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.data import sources
from hybrid.data.sources import zips
from hybrid.errors import ImageError, SourceError
from tests.own_images import zipped
from tests.strange_zips import info_zip, raw_zip

FILES = {"photos/Äpfel/1.png": b"one", "photos/Löwe/2.png": b"two", "photos/Straße/3.jpg": b"3"}

WRITERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "with the flag": zipped,
    "UTF-8 without its flag": lambda f: raw_zip({k.encode(): v for k, v in f.items()}),
    "PowerShell": lambda f: raw_zip({k.replace("/", "\\").encode(): v for k, v in f.items()}),
    "DOS": lambda f: raw_zip({k.encode("cp437"): v for k, v in f.items()}),
    "Info-ZIP": lambda f: info_zip(f, code_page="ascii"),
    "./ before": lambda f: raw_zip({b"./" + k.encode(): v for k, v in f.items()}),
    "with folders": lambda f: raw_zip(
        {b"photos\\": b"", b"photos\\empty\\": b""} | {k.encode(): v for k, v in f.items()}
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writers_names_are_what_the_user_sees(writer: str) -> None:
    with sources.opened(WRITERS[writer](FILES)) as source:
        words = sources.label_words(source, ())
        read = {entry.name: source.read(entry) for entry in source.entries}

    assert read == FILES
    assert words == ("Löwe", "Straße", "Äpfel")


_LETTERS = st.characters(
    exclude_characters="/\\\0.", exclude_categories=("C", "Z"), max_codepoint=0xFFFF
)
_NAME = st.text(_LETTERS, min_size=1, max_size=8)


@given(st.lists(st.tuples(_NAME, _NAME), min_size=1, max_size=5, unique=True))
def test_utf_8_is_read_with_and_without_its_flag(names: list[tuple[str, str]]) -> None:
    files = {f"x {folder}/x {name}.png": b"x" for folder, name in names}

    with sources.opened(raw_zip({n.encode(): d for n, d in files.items()})) as bare:
        found = [entry.name for entry in bare.entries]
    with sources.opened(zipped(files)) as flagged:
        wanted = [entry.name for entry in flagged.entries]

    assert found == wanted == sorted(files)


@pytest.mark.parametrize("around", ["", "mine/", "archive/PetImages/"])
def test_a_table_inside_the_outer_folders_is_read(around: str) -> None:
    files = {f"{around}{n}.png": b"x" for n in range(3)}
    files[f"{around}Labels.CSV"] = b"file,label\n0.png,cat\n1.png,dog\n"

    with sources.opened(zipped(files)) as source:
        assert sources.label_words(source, ()) == ("cat", "dog", None)
        assert source.ignored == {}


def test_a_table_in_each_split_labels_the_images_beside_it() -> None:
    files = {f"d/{part}/{n}.png": b"x" for part in ("train", "val") for n in range(2)}
    files["d/train/labels.csv"] = b"0.png,cat\n1.png,dog\n"
    files["d/val/labels.csv"] = b"0.png,dog\n1.png,cat\n"

    with sources.opened(zipped(files)) as source:
        assert sources.label_words(source, ()) == ("cat", "dog", "dog", "cat")


def test_a_table_inside_one_class_does_not_label_the_others() -> None:
    files = {"cat/1.png": b"x", "dog/1.png": b"x", "cat/labels.csv": b"1.png,striped\n"}

    with sources.opened(zipped(files)) as source:
        assert sources.label_words(source, ()) == ("cat", "dog")
        assert source.ignored == {".csv": 1}


def test_a_compression_that_is_not_read_is_named() -> None:
    data = bytearray(zipped({"a.png": b"secret"}))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(signature) + offset] = 9  # Deflate64, as Windows packs large files

    with sources.opened(bytes(data)) as source, pytest.raises(ImageError, match="Deflate64; pack"):
        source.read(source.entries[0])


def test_a_zip_of_deep_names_is_refused_name_by_name() -> None:
    deep = "a/" * 5_000 + "1.png"

    with sources.opened(zipped({deep: b"x", "cat/1.png": b"x"})) as source:
        assert [entry.name for entry in source.entries] == ["cat/1.png"]
        assert "has 32 folders or more around it; move it up" in source.refused[0].sentence


def test_a_list_of_too_many_files_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zips, "_MOST_UPLOADED_BYTES", 1_000)
    data = zipped({f"{n}.png": b"" for n in range(100)})

    with pytest.raises(SourceError, match="has a list of files of more than 0 MB, the most"):
        sources.opened(data).__enter__()


def test_a_file_on_disk_is_read_as_its_bytes_are() -> None:
    class Kept:
        def open(self) -> io.BytesIO:
            return io.BytesIO(zipped(FILES))

    with sources.opened(Kept()) as source:
        assert [source.read(entry) for entry in source.entries] == [b"two", b"3", b"one"]


def test_names_are_those_that_zipfile_opens() -> None:
    """The cleaned name is for the user; the member is still found."""
    data = raw_zip({b"a\\b.png": b"x"})

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert zips.name_of(archive.infolist()[0]) == "a/b.png"
        assert zips.member_bytes(archive, archive.infolist()[0]) == b"x"


def test_a_link_in_a_zip_is_named_and_not_read():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("cat/1.png", b"one")
        link = zipfile.ZipInfo("cat/2.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "1.png")

    with sources.opened(buffer.getvalue()) as source:
        assert [entry.name for entry in source.entries] == ["cat/1.png"]
        assert source.refused[0].sentence == (
            "cat/2.png is only a link to a file; pack the file itself."
        )
