"""Large uploads are kept in a file, read from any thread, and gone with their last user."""

import asyncio
import io
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from hybrid.data import sources
from hybrid.ui import uploads
from hybrid.ui.server.limits import Total
from hybrid.ui.uploads import StoredUpload
from tests.own_images import digits, pngs, zipped


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UploadFile, "read", UploadFile.read)  # put back afterwards
    uploads.keep_on_disk()


def stored(data: bytes) -> StoredUpload:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        return StoredUpload(file)


def received(data: bytes) -> bytes:
    """As Starlette receives an upload: in memory, and in a file when it is over a megabyte.

    A thread of its own has no running event loop; a browser of other tests leaves one in this.
    """
    with tempfile.SpooledTemporaryFile(max_size=1_000_000) as file, ThreadPoolExecutor(1) as pool:
        file.write(data)
        file.seek(0)
        return pool.submit(asyncio.run, UploadFile(file).read()).result()


def test_a_stored_upload_reads_as_its_bytes_do() -> None:
    data = bytes(range(256)) * 1_000
    with stored(data).open() as file, io.BytesIO(data) as plain:
        for offset, whence, size in ((0, 0, 10), (-5, 2, 10), (3, 1, 7), (70_000, 0, 300_000)):
            if whence != io.SEEK_CUR:
                assert file.seek(offset, whence) == plain.seek(offset, whence)
            assert file.read(size) == plain.read(size)


def test_threads_do_not_move_each_others_place() -> None:
    kept = stored(zipped({f"{n}.bin": bytes([n]) * 50_000 for n in range(100)}))

    def read(start: int) -> bool:
        with kept.open() as file, zipfile.ZipFile(file) as archive:
            names = sorted(archive.namelist())[start::4]
            return all(set(archive.read(n)) == {int(n.split(".")[0])} for n in names)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [True] * 4


def test_a_large_upload_stays_in_its_file_and_a_small_one_is_bytes(patched: None) -> None:
    small, large = b"x" * 10, b"y" * 2_000_000

    assert received(small) == small
    kept = received(large)

    assert len(kept) == len(large)  # as Streamlit counts it
    assert bytes.__len__(kept) == 0  # but memory holds none of it
    with kept.stored.open() as file:  # type: ignore[attr-defined]
        assert file.read() == large


def test_a_stored_zip_is_a_source() -> None:
    files = pngs(digits(10))

    with sources.opened(stored(zipped(files))) as source:
        assert {entry.name: source.read(entry) for entry in source.entries} == files


def test_all_uploads_together_are_bounded_and_what_is_gone_counts_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "_TOTAL", Total(1_000))
    first = stored(bytes(700))

    with pytest.raises(HTTPException, match="holds too many uploads; try again later"):
        stored(bytes(700))
    del first

    assert stored(bytes(700)).size_bytes == 700
