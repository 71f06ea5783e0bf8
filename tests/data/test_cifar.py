"""Reading CIFAR's three layouts and fetching its archive, on small synthetic images."""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hybrid.cli.main import app
from hybrid.data import cifar
from hybrid.errors import DataMissingError
from hybrid.torchvision_fix import declare_operators
from tests.cifar_files import (
    Part,
    Write,
    python2_batch,
    some_part,
    write_archive,
    write_batches,
    write_grids,
)

LAYOUTS = [write_batches, write_archive, write_grids]


def by_pixels(part: Part) -> list[tuple[int, bytes]]:
    return sorted((int(label), image.tobytes()) for image, label in zip(*part, strict=True))


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_layout_is_found_and_gives_the_same_images(tmp_path: Path, write: Write) -> None:
    parts = {"train": some_part(images=50, seed=1), "test": some_part(images=20, seed=2)}
    written = write(tmp_path, parts)

    found = cifar.find("cifar10", tmp_path)

    assert found == written
    for part, content in parts.items():
        read = cifar.read("cifar10", written, part)
        assert read[0].shape == content[0].shape
        assert read[1].dtype == np.int64
        assert by_pixels(read) == by_pixels(content)


def test_batches_keep_the_order_of_their_files(tmp_path: Path) -> None:
    images, labels = some_part(images=50, seed=3)
    source = write_batches(tmp_path, {"train": (images, labels)})

    read_images, read_labels = cifar.read("cifar10", source, "train")

    np.testing.assert_array_equal(read_images, images)
    np.testing.assert_array_equal(read_labels, labels)


def test_nothing_is_found_where_a_batch_is_missing(tmp_path: Path) -> None:
    parts = {"train": some_part(images=50, seed=1), "test": some_part(images=20, seed=2)}
    (write_batches(tmp_path, parts) / "data_batch_3").unlink()

    assert cifar.find("cifar10", tmp_path) is None


@pytest.mark.parametrize("write", LAYOUTS)
def test_a_damaged_source_is_named_and_says_what_to_do(tmp_path: Path, write: Write) -> None:
    parts = {"train": some_part(images=50, seed=1), "test": some_part(images=20, seed=2)}
    source = write(tmp_path, parts)
    largest = max(
        [source] if source.is_file() else [p for p in source.rglob("*") if p.is_file()],
        key=lambda path: path.stat().st_size,
    )
    os.truncate(largest, largest.stat().st_size // 2)

    with pytest.raises(DataMissingError, match=r"damaged .* download them again"):
        [cifar.read("cifar10", source, part) for part in parts]


def test_a_batch_cannot_run_anything(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "made by a pickle"),)

    parts = {"train": some_part(images=50, seed=1), "test": some_part(images=20, seed=2)}
    source = write_batches(tmp_path, parts)
    (source / "test_batch").write_bytes(pickle.dumps({"data": Payload()}))

    with pytest.raises(DataMissingError, match="UnpicklingError"):
        cifar.read("cifar10", source, "test")

    assert not (tmp_path / "made by a pickle").exists()


def test_a_name_of_numpy_that_no_array_needs_is_refused(tmp_path: Path) -> None:
    images, labels = some_part(images=10, seed=1)
    source = write_batches(tmp_path, {"test": (images, labels)})
    (source / "test_batch").write_bytes(python2_batch(images, labels, module="numpy_evil"))

    with pytest.raises(DataMissingError, match="UnpicklingError"):
        cifar.read("cifar10", source, "test")


class Server:
    """Stands in for the network: sends `content`, or breaks off after `breaks_after` bytes."""

    def __init__(self, content: bytes, *, breaks_after: int | None = None) -> None:
        self.content, self.breaks_after = content, breaks_after

    def __call__(self, _url: str) -> io.BytesIO:
        server = self

        class Stream(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if server.breaks_after is not None and self.tell() >= server.breaks_after:
                    raise ConnectionResetError("connection reset")
                return super().read(size)

        return Stream(self.content)


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A content of 1 MB that stands for CIFAR-10's archive."""
    content = bytes(range(256)) * 4096
    md5 = hashlib.md5(content).hexdigest()
    small = replace(cifar.ARCHIVES["cifar10"], md5=md5, archive_bytes=len(content))
    monkeypatch.setitem(cifar.ARCHIVES, "cifar10", small)
    return content


def test_a_download_reports_its_progress_and_gives_the_file_its_name(
    tmp_path: Path, archive: bytes
) -> None:
    seen: list[tuple[int, int]] = []

    path = cifar.download(
        "cifar10",
        tmp_path / "new",
        progress=lambda done, total: seen.append((done, total)),
        open_url=Server(archive),
    )

    assert path.read_bytes() == archive
    assert path.name == "cifar-10-python.tar.gz"
    assert seen == sorted(seen)
    assert seen[-1] == (len(archive), len(archive))


@pytest.mark.parametrize(
    "server, sentence",
    [
        (
            lambda content: Server(content, breaks_after=len(content) // 2),
            "could not be downloaded",
        ),
        (lambda content: Server(content[:-1]), "did not send the archive of cifar10"),
        (lambda _: Server(b"<html>busy</html>"), "did not send the archive of cifar10"),
    ],
)
def test_a_failed_download_leaves_no_file(
    tmp_path: Path, archive: bytes, server: Callable[[bytes], Server], sentence: str
) -> None:
    with pytest.raises(DataMissingError, match=sentence):
        cifar.download("cifar10", tmp_path, open_url=server(archive))

    assert list(tmp_path.iterdir()) == []


def test_stopping_a_download_from_its_progress_leaves_no_file(
    tmp_path: Path, archive: bytes
) -> None:
    def stop(done: int, total: int) -> None:
        raise InterruptedError("stopped")

    with pytest.raises(DataMissingError, match="stopped"):
        cifar.download("cifar10", tmp_path, progress=stop, open_url=Server(archive))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name, reference", [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
def test_the_archives_are_those_torchvision_knows(name: str, reference: str) -> None:
    declare_operators()
    from torchvision import datasets

    known = getattr(datasets, reference)
    archive = cifar.ARCHIVES[name]

    assert (archive.url, archive.md5, archive.folder) == (
        known.url,
        known.tgz_md5,
        known.base_folder,
    )
    assert list(archive.files["train"]) == [file for file, _ in known.train_list]
    assert list(archive.files["test"]) == [file for file, _ in known.test_list]


def test_the_command_downloads_once_and_says_where(
    tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRID_DATA", str(tmp_path))
    monkeypatch.setattr(cifar, "_open_url", Server(archive))

    first = CliRunner().invoke(app, ["download", "cifar10"])
    monkeypatch.setattr(cifar, "_open_url", None)  # a second download would fail
    second = CliRunner().invoke(app, ["download", "cifar10"])

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"cifar10 is now in {tmp_path}." in first.stderr
    assert f"cifar10 was already in {tmp_path}." in second.stderr
    assert (tmp_path / "cifar-10-python.tar.gz").read_bytes() == archive


def test_the_command_names_the_data_sets_there_are() -> None:
    said = CliRunner().invoke(app, ["download", "cifar11"])

    assert said.exit_code == 2
    assert "cifar100" in said.stderr
