"""Files as a whole: their SHA-256, and writing that never leaves half of one."""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "sha256_of"]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends well and vanishes when not.

    It lies in the same folder, because only there is the last step one rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in {None, str(draft)}:
            error.filename = str(path)  # the draft's own name says nothing to who asked for this
        raise
    finally:
        draft.unlink(missing_ok=True)
