"""Audits that wait for the cloud, as files in a folder: they are there after a killed process.

One file an audit, written under another name and renamed, so that none is ever half there:

    a line of JSON (image, weights, bytes, crc32), then the bytes of the image
"""

import json
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hybrid.errors import FileError

__all__ = ["MOST_AUDITS", "Audit", "Spool"]

MOST_AUDITS = 10_000
_SUFFIX = ".audit"
_MOST_BYTES = 64_000_000  # of one file; payloads are a few kilobytes


@dataclass(frozen=True, kw_only=True)
class Audit:
    """An image that was drawn, as it is sent.

    Args:
        image: its name in the lines.
        weights: of the bundle.
    """

    image: str
    weights: str
    packed: bytes


class Spool:
    """A folder of audits, oldest first.

    Args:
        most: audits that it holds at a time; more are not taken.

    Raises:
        FileError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, *, most: int = MOST_AUDITS) -> None:
        self._folder, self._most = folder, most
        try:
            folder.mkdir(parents=True, exist_ok=True)
            names = os.listdir(folder)  # noqa: PTH208  # names only
        except OSError as error:
            raise FileError(
                f"{folder} cannot hold audits ({error.strerror}); name another folder with --spool."
            ) from None
        if not os.access(folder, os.W_OK):
            raise FileError(f"{folder} cannot be written to; name another folder with --spool.")
        for name in names:
            if name.startswith(".draft-"):  # of a process that was killed
                (folder / name).unlink(missing_ok=True)
        self._names = sorted(name for name in names if name.endswith(_SUFFIX))
        last = self._names[-1].partition("-")[0] if self._names else "0"
        self._next = int(last) + 1 if last.isdecimal() else 1

    def __len__(self) -> int:
        return len(self._names)

    def put(self, audit: Audit) -> bool:
        """Keep an audit; False if there is no room in the spool or on the disk."""
        if len(self._names) >= self._most:
            return False
        name = f"{self._next:012d}-{os.getpid()}{_SUFFIX}"
        draft = self._folder / f".draft-{name}"
        try:
            draft.write_bytes(_to_bytes(audit))
            draft.rename(self._folder / name)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            return False
        self._next += 1
        self._names.append(name)
        return True

    def first(self) -> Audit | None:
        """The oldest audit, which stays; None if there is none. Damaged files are removed."""
        while self._names:
            found = _read(self._folder / self._names[0])
            if found is not None:
                return found
            self.drop_first()
        return None

    def drop_first(self) -> None:
        """Remove the oldest audit."""
        with suppress(OSError):
            (self._folder / self._names[0]).unlink(missing_ok=True)
        del self._names[0]


def _to_bytes(audit: Audit) -> bytes:
    about = {
        "image": audit.image,
        "weights": audit.weights,
        "bytes": len(audit.packed),
        "crc32": zlib.crc32(audit.packed),
    }
    return json.dumps(about).encode() + b"\n" + audit.packed


def _read(path: Path) -> Audit | None:
    """The audit of a file, if it is intact."""
    try:
        with path.open("rb") as file:
            head, _, packed = file.read(_MOST_BYTES).partition(b"\n")
        about = json.loads(head)
        whole = len(packed) == about["bytes"] and zlib.crc32(packed) == about["crc32"]
        return (
            Audit(image=str(about["image"]), weights=str(about["weights"]), packed=packed)
            if whole
            else None
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
