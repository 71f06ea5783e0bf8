"""Files: SHA-256, arrays in one file, and writing that never leaves an incomplete file."""

import hashlib
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_arrays", "replacing", "save_arrays", "sha256_of"]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` if the block succeeds and is removed if it fails.

    It is in the same folder, because only then is the last step a single rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in {None, str(draft)}:
            error.filename = str(path)  # the caller knows this name, not the draft's
        raise
    finally:
        draft.unlink(missing_ok=True)


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays and strings to an .npz file, whole or not at all."""
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, all or those named; empty if it is missing or damaged."""
    try:
        with (
            path.open("rb") as file,  # numpy would leave a damaged file open
            np.load(file, allow_pickle=False) as kept,
        ):
            return {name: kept[name] for name in names or kept.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
