"""Files: bounded reading, arrays in one file, and writing that never leaves an incomplete file."""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
import tomllib
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import FileError

__all__ = [
    "MAX_DEPTH",
    "MAX_TEXT_BYTES",
    "MAX_WEIGHTS_BYTES",
    "check_size",
    "expanded",
    "folder_bytes",
    "home_folder",
    "load_arrays",
    "parse_json",
    "parse_toml",
    "read_bytes",
    "read_text",
    "read_toml",
    "remove_drafts",
    "replacing",
    "save_arrays",
    "sha256_of",
]

MAX_TEXT_BYTES = 8_000_000  # of a card, profile, recipe or point
MAX_WEIGHTS_BYTES = 4_000_000_000  # the largest network of torchvision has 2.6
MAX_DEPTH = 32  # tables and lists in each other
_DRAFT_NAME_BYTES = 200  # of the name of the file itself; most file systems allow 255 in all
_LEFT_S = 86_400  # a draft that nothing was written to for a day is of a killed process
_DEVICES = ("/dev/", "/proc/")


def folder_bytes(folder: Path) -> int:
    """What the files in a folder and below it take, links not followed; 0 if there is none."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    waiting.append(item.path)
                else:
                    total += item.stat(follow_symlinks=False).st_size
    return total


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expanded(path: str | Path) -> Path:
    """A path with `~` replaced by a home folder.

    Raises:
        FileError: there is no such user, or this one has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise FileError(
            f"{str(path)[:80]} names a home folder that there is not; give the whole path."
        ) from None


def home_folder(setting: str) -> Path:
    """The user's home folder.

    Args:
        setting: the variable that names another folder.

    Raises:
        FileError: the user has none, as in many containers.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise FileError(
            f"This user has no home folder; name a folder that it can write to in {setting}."
        ) from None


def check_size(path: Path, most_bytes: int) -> None:
    """Look at a file before it is read whole.

    Raises:
        OSError: it cannot be looked at.
        ValueError: not a regular file, or too large.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe would wait for ever, a device never end
        raise ValueError("it is not a file")
    if about.st_size > most_bytes:
        raise ValueError(f"it is larger than {most_bytes // 1_000_000:,} MB")


def read_bytes(path: Path, *, most_bytes: int) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: not a regular file, or too large.
    """
    check_size(path, most_bytes)
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)  # it may have grown, or tell no size
    if len(data) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes // 1_000_000:,} MB")
    return data


def read_text(path: Path, *, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """A text file in UTF-8, with or without a byte-order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: as `read_bytes`, or it is not UTF-8.
    """
    return read_bytes(path, most_bytes=most_bytes).decode("utf-8-sig")


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file.

    Raises:
        OSError: it cannot be read.
        ValueError: as `read_text`, or it is not TOML, or nested too deeply.
    """
    return parse_toml(read_text(path))


def parse_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text; raises ValueError if it is not TOML or nested too deeply."""
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_depth(values)
    return values


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text; raises ValueError if it is not JSON or nested too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_depth(value)
    return value


@contextmanager
def replacing(path: Path, *, make_folder: bool = True) -> Iterator[Path]:
    """A path to write to, which becomes `path` if the block succeeds and is removed if it fails.

    It is in the same folder, because only then is the last step a single rename. If `path` is a
    link, the file that it leads to is replaced; if it is a device or a pipe, the content is written
    into that.

    Args:
        make_folder: make the folder if it is missing; otherwise that is an OSError.
    """
    if _is_special(path):
        with _passed_on(path) as draft:
            yield draft
        return
    target = path.resolve() if path.is_symlink() else path
    if make_folder:
        target.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{os.fsencode(target.name)[:_DRAFT_NAME_BYTES].decode(errors='ignore')}."
    remove_drafts(target.parent, stem)
    draft = target.with_name(stem + uuid.uuid4().hex)
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        if error.errno is not None and error.filename in {None, str(draft)}:
            error.filename = str(path)  # the caller knows this name, not the draft's
        raise
    finally:
        with suppress(OSError):  # the folder may be gone by now
            draft.unlink(missing_ok=True)


def remove_drafts(folder: Path, stem: str = "") -> None:
    """Remove what killed processes have left half written in a folder, a day ago or longer.

    Args:
        stem: the beginning of the drafts' names; without it, those of every file.
    """
    draft = re.compile((re.escape(stem) or r"\..+\.") + "[0-9a-f]{32}")
    with suppress(OSError), os.scandir(folder) as items:
        for item in items:
            if draft.fullmatch(item.name) and time.time() - item.stat().st_mtime > _LEFT_S:
                with suppress(OSError):
                    Path(item.path).unlink()


def save_arrays(path: Path, *, make_folder: bool = True, **arrays: Any) -> None:
    """Write arrays and strings to an .npz file, whole or not at all."""
    with replacing(path, make_folder=make_folder) as draft, draft.open("wb") as file:
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


def _is_special(path: Path) -> bool:
    """Whether a path is a device, a pipe or an open file of a process, which no file replaces."""
    if str(path).startswith(_DEVICES):
        return path.exists() and not path.is_dir()
    return path.exists() and not (path.is_file() or path.is_dir())


@contextmanager
def _passed_on(path: Path) -> Iterator[Path]:
    """A draft elsewhere, whose content is written into a path that is there already."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft"
        yield draft
        with draft.open("rb") as source, path.open("wb") as special:
            shutil.copyfileobj(source, special)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(_too_deep())


def _inside(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value
    return (
        [v for v in values if isinstance(v, dict | list)] if isinstance(value, dict | list) else []
    )


def _too_deep() -> str:
    return f"its tables and lists are nested more than {MAX_DEPTH} deep"
