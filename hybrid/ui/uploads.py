"""Large uploads stay in a file on disk instead of the server's memory.

    uploads.keep_on_disk()                  # once, before the first upload
    content = uploads.content(file)         # of st.file_uploader: bytes, or `StoredUpload`

Streamlit writes an upload of over a megabyte to a temporary file while it arrives, and then reads
all of it into memory, where it stays as long as the session. Here the file itself is kept: an
unlinked one in TMPDIR, which is gone as soon as the session or the server ends.
"""

import io
import os
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.typing import UploadedFile

from hybrid.ui.server.limits import Total

__all__ = ["MAX_STORED_BYTES", "StoredUpload", "content", "keep_on_disk"]

MAX_STORED_BYTES = 8_000_000_000  # of all sessions' uploads together
_TOO_MUCH = 507  # Insufficient Storage

_read_whole = UploadFile.read


_TOTAL = Total(MAX_STORED_BYTES)


class StoredUpload:
    """An upload in a file, of which this is the only name; it is gone with this object.

    Raises:
        HTTPException: all uploads together would be larger than allowed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.size_bytes = file.seek(0, io.SEEK_END)
        if not _TOTAL.add(self.size_bytes):
            raise HTTPException(_TOO_MUCH, "The server holds too many uploads; try again later.")
        file.flush()
        self.descriptor = os.dup(file.fileno())

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)
            _TOTAL.add(-self.size_bytes)

    def open(self) -> BinaryIO:
        """A reader of its own, at its start; any number may be open in any thread."""
        return io.BufferedReader(_Reader(self))


class _Stand(bytes):
    """Stands for an upload's bytes in Streamlit: empty, but as long as the file."""

    stored: StoredUpload

    def __len__(self) -> int:
        return self.stored.size_bytes


class _Reader(io.RawIOBase):
    """Reads at a position of its own from a descriptor that others read too."""

    def __init__(self, stored: StoredUpload) -> None:
        self._stored = stored  # which keeps the descriptor open
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._stored.size_bytes}
        if start[whence] + offset < 0:
            raise ValueError("before the start of the file")
        self._position = start[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._stored.descriptor, len(buffer), self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def keep_on_disk() -> None:
    """From now on, keep every upload that arrives in a file there. Where that cannot be, nothing.

    Streamlit's own code calls `UploadFile.read` for uploads only.
    """
    if hasattr(os, "pread"):
        UploadFile.read = _read  # type: ignore[method-assign, assignment]


def content(file: UploadedFile) -> bytes | StoredUpload:
    """The content of an uploaded file, without copying a stored one into memory."""
    context = get_script_run_ctx()
    if context is not None:
        for record in context.uploaded_file_mgr.get_files(context.session_id, [file.file_id]):
            if isinstance(record.data, _Stand):
                return record.data.stored
    return file.getvalue()


async def _read(upload: UploadFile, size: int = -1) -> bytes:
    """The whole upload, as a file if it is one."""
    if size >= 0 or not getattr(upload.file, "_rolled", False):
        return await _read_whole(upload, size)
    stand = _Stand()
    stand.stored = await run_in_threadpool(StoredUpload, upload.file)
    return stand
