"""Folders as users have them: clutter, links, files without a suffix, folders without access."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid.data import image_folders, images, sources
from hybrid.errors import SourceError
from tests.own_images import encoded, png, write_folder, zipped

GREY = png(np.full((9, 9), 100, np.uint8))
CLUTTER = {
    "__MACOSX/cat/._1.png": "__MACOSX",
    "cat/._1.png": "._1.png",
    "cat/.DS_Store": ".DS_Store",
    "cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg": "@eaDir",
    "@eaDir/SYNOPHOTO_THUMB_XL.jpg": "@eaDir",
    "cat/Thumbs.db": "Thumbs.db",
    "cat/thumbs.DB": "thumbs.DB",
    "dog/desktop.ini": "desktop.ini",
    "dog/.ipynb_checkpoints/1-checkpoint.png": ".ipynb_checkpoints",
    ".ipynb_checkpoints/x.png": ".ipynb_checkpoints",
    ".git/objects/aa/1.png": ".git",
    "cat/.gitkeep": ".gitkeep",
    "$RECYCLE.BIN/S-1/1.png": "$RECYCLE.BIN",
    "#recycle/1.png": "#recycle",
}


@pytest.mark.parametrize("clutter", CLUTTER)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_clutter_is_no_image_and_no_class_but_is_counted(
    clutter: str, kind: str, tmp_path: Path
) -> None:
    files = {"cat/1.png": GREY, "dog/1.png": GREY, clutter: GREY}
    where = tmp_path / "all.zip"
    if kind == "zip":
        where.write_bytes(zipped(files))
    else:
        where = write_folder(tmp_path / "all", files)

    with sources.opened(where) as source:
        assert [entry.name for entry in source.entries] == ["cat/1.png", "dog/1.png"]
        assert source.ignored == {CLUTTER[clutter]: 1}
    with image_folders.opened(where) as found:
        assert found.classes == ("cat", "dog")


EVERY_SUFFIX = {
    suffix: kind for kind, suffixes in images.SUFFIXES_OF.items() for suffix in suffixes
}  # of the one list


@pytest.mark.parametrize("suffix", [*EVERY_SUFFIX, "JFIF", "", "part", "001"])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_every_door_reads_every_format_by_suffix_or_by_content(
    suffix: str, kind: str, tmp_path: Path
) -> None:
    if suffix == "pfm":
        pytest.skip("Pillow writes floats only to it")
    data = encoded(Image.new("RGB", (9, 9), (0, 90, 0)), EVERY_SUFFIX.get(suffix, "JPEG"))
    files = {f"cat/1.{suffix}".rstrip("."): data, "cat/notes": b"words", "dog/2.txt": b"words"}
    where: Path | bytes = zipped(files)
    if kind == "folder":
        where = write_folder(tmp_path, files)

    with sources.opened(where) as source:
        (entry,) = source.entries
        assert source.ignored == {"without a suffix": 1, ".txt": 1}
        assert images.read_image(entry.name, source.read(entry)).size == (9, 9)


@pytest.mark.parametrize("kind", images.FORMATS)
def test_the_first_bytes_tell_each_format(kind: str) -> None:
    data = encoded(Image.new("RGB", (9, 9)), kind)

    assert images.is_image("file", data[: images.HEAD_BYTES])


@pytest.mark.parametrize("words", [b"BMW and Audi", b"P5 is a name", b"", b"GIF", b"<html>", b"II"])
def test_words_are_no_image(words: bytes) -> None:
    assert not images.is_image("file", words)


def test_linked_folders_and_files_are_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "far", {"cats/1.png": b"one", "2.png": b"two"})
    (tmp_path / "all" / "dog").mkdir(parents=True)
    (tmp_path / "all" / "cat").symlink_to(tmp_path / "far" / "cats")
    (tmp_path / "all" / "dog" / "2.png").symlink_to(tmp_path / "far" / "2.png")

    with sources.opened(tmp_path / "all") as source:
        assert [entry.name for entry in source.entries] == ["cat/1.png", "dog/2.png"]
        assert [source.read(entry) for entry in source.entries] == [b"one", b"two"]


def test_links_in_a_circle_end_and_are_named(tmp_path: Path) -> None:
    top = write_folder(tmp_path / "top", {"cat/1.png": b"one", "dog/2.png": b"two"})
    (top / "cat" / "circle").symlink_to(top)
    (top / "cat" / "again").symlink_to(top / "dog")
    (top / "up").symlink_to(tmp_path)

    with sources.opened(top) as source:
        assert [entry.name for entry in source.entries] == ["cat/1.png", "dog/2.png"]
        assert {one.name: one.sentence.partition("links to a ")[2] for one in source.refused} == {
            "cat/circle": "folder that is listed already; it was left out.",
            "cat/again": "folder that is listed already; it was left out.",
            "up": "folder that is around this one; it was left out.",
        }


def test_links_that_cross_are_read_once_however_many_ways_there_are(tmp_path: Path) -> None:
    """Each of 20 folders links twice to the next: 2^20 ways through them, 20 images."""
    for number in range(20):
        write_folder(tmp_path / "all" / str(number), {"1.png": b"x"})
        for name in ("a", "b"):
            (tmp_path / "all" / str(number) / name).symlink_to(f"../{(number + 1) % 20}")

    with sources.opened(tmp_path / "all") as source:
        assert len(source.entries) == 20


def test_a_broken_link_and_special_files_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat/1.png": b"one"})
    (tmp_path / "cat" / "gone.png").symlink_to("/nowhere/1.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")

    with sources.opened(tmp_path) as source:
        assert [one.sentence for one in source.refused] == ["cat/gone.png is a broken link."]
        assert source.ignored == {"special file": 1}


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "pipe"])
def test_a_device_or_a_pipe_is_refused_at_once(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with (
        pytest.raises(SourceError, match="is neither a folder nor a file; name a folder or a zip"),
        sources.opened(tmp_path / name),
    ):
        pass


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b"])
def test_a_name_that_no_system_takes_is_one_sentence(name: str) -> None:
    with pytest.raises(SourceError, match="cannot be read"), sources.opened(Path(name)):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, {"cat/1.png": b"one", "dog/2.png": b"two"})
    (tmp_path / "dog").chmod(0)
    try:
        with sources.opened(tmp_path) as source:
            assert "dog cannot be listed (Permission denied)" in source.refused[0].sentence
    finally:
        (tmp_path / "dog").chmod(0o700)
