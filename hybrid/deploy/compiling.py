"""C files in, a loaded library out; one that was compiled before comes from the user's cache.

A library is kept under the hash of everything that it was made of. Where the cache cannot be
written, it is compiled each time.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from hybrid.errors import FileError, FormError
from hybrid.files import expanded, home_folder

__all__ = ["FLAGS", "cached_path", "compiled", "compiler", "loaded", "reason_of"]

FLAGS = ("-std=c99", "-O3", "-ffp-contract=off")


def compiler() -> str:
    """The machine's C compiler.

    Raises:
        FormError: there is none.
    """
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        raise FormError("There is no C compiler here; install gcc or clang, or use another engine.")
    return found


def compiled(folder: Path, made: Path, flags: Sequence[str] = FLAGS) -> Path:
    """A shared library of all C files in a folder, which hold an edge and nothing else.

    Raises:
        FormError: there is no compiler, or it refuses them.
    """
    sources = sorted(str(path) for path in folder.glob("*.c"))
    words = [compiler(), *flags, "-shared", "-fPIC", "-o", str(made), *sources]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FormError(f"The C compiler refused the edge: {reason_of(done.stderr)}")
    return made


def reason_of(said: str) -> str:
    """The line of a compiler's words that tells why it failed."""
    lines = said.strip().splitlines() or ["no reason given"]
    telling = (
        line for word in ("No space left", "error", "Error") for line in lines if word in line
    )
    return next(telling, lines[0])


def loaded(
    made_of: Iterable[str],
    write: Callable[[Path], object],
    *,
    flags: Sequence[str] = FLAGS,
    cache: Path | None = None,
) -> ctypes.CDLL:
    """A library of C files, from the cache or compiled now and put there.

    Args:
        made_of: whatever tells these files from others: their texts or hashes.
        write: writes them into a folder; called if the library is not in the cache.
        cache: a folder; that of the user by default.

    Raises:
        FormError: see `compiled`.
    """
    place = None
    with suppress(FileError):  # the user has no home folder
        place = cached_path(made_of, flags=flags, cache=cache)
    with suppress(OSError):  # not there, or cut short
        if place:
            return ctypes.CDLL(str(place))
    with tempfile.TemporaryDirectory(prefix="hybrid-edge-") as name:  # not needed once loaded
        folder = Path(name)
        write(folder)
        made = compiled(folder, folder / "hybrid_edge.so", flags)
        with suppress(OSError):
            if place:
                _keep(made, place)
        return ctypes.CDLL(str(made))


def cached_path(
    made_of: Iterable[str], *, flags: Sequence[str] = FLAGS, cache: Path | None = None
) -> Path:
    """Where a library stands once it is compiled."""
    parts = [platform.machine(), platform.platform(), *flags, *made_of]
    lengths = ",".join(str(len(part)) for part in parts)  # no two lists are joined to equal text
    key = hashlib.sha256("\n".join([lengths, *parts]).encode()).hexdigest()
    return (cache or _cache_folder()) / f"{key}.so"


def _keep(made: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    try:
        shutil.copyfile(made, draft)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    cache = expanded(named) if named else home_folder("XDG_CACHE_HOME") / ".cache"
    return cache / "hybrid" / "edge"
