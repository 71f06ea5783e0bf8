"""The lines of an edge from a file that may grow, from stdin or from an address, in batches."""

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hybrid.errors import LineError

__all__ = ["STDIN", "Batch", "batches", "stream"]

STDIN = "-"
_AT_ONCE = 10_000  # lines
_AT_ONCE_BYTES = 4_000_000
_READ_BYTES = 1 << 20
_MOST_LINE_BYTES = 100_000  # what is longer counts as several lines, all of them damaged
_TIMEOUT_S = 30.0
_POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some lines; the last may be unfinished if nothing came after it."""

    texts: tuple[str, ...]
    last_is_whole: bool = True


def batches(
    source: str, *, follow: bool = False, wait: Callable[[float], object] | None = None
) -> Iterator[Batch]:
    """The lines of a source, in order.

    Args:
        source: a path, `-` for stdin, or an http address that sends lines.
        follow: for a file: go on when its end is reached, for ever.
        wait: called with the seconds until the file is looked at again.

    Raises:
        LineError: an address that does not answer.
        OSError: a file that cannot be read.
    """
    if source == STDIN:
        yield from stream(sys.stdin.buffer)
    elif source.startswith(("http://", "https://")):
        yield from _address(source)
    elif follow:
        assert wait is not None  # whoever follows has a clock
        yield from _followed(Path(source), wait)
    else:
        with Path(source).open("rb") as file:
            yield from stream(file)


def stream(file: IO[bytes]) -> Iterator[Batch]:
    """Lines as they come, some at a time, and what is left when the stream ends."""
    held: list[str] = []
    held_bytes = 0
    for line in _lines(file):
        held.append(_text(line))
        held_bytes += len(line)
        whole = _is_whole(line)
        if not whole or len(held) == _AT_ONCE or held_bytes > _AT_ONCE_BYTES:
            yield Batch(texts=tuple(held), last_is_whole=whole)
            held, held_bytes = [], 0
    if held:
        yield Batch(texts=tuple(held))


def _address(url: str) -> Iterator[Batch]:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # http only
            for line in _lines(answer):
                yield Batch(texts=(_text(line),), last_is_whole=_is_whole(line))
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise LineError(
            f"{url} sends no lines ({reason}); start `hybrid edge` there, or name a file."
        ) from error


def _followed(path: Path, wait: Callable[[float], object]) -> Iterator[Batch]:
    """Whole lines of a file, for ever; a file that was emptied or replaced is read from its start.

    A line without an end is left until the rest of it is there.
    """
    place, held, which = 0, b"", 0
    while True:
        about = path.stat()
        if about.st_size < place or (place and about.st_ino != which):
            place, held = 0, b""
        which = about.st_ino
        with path.open("rb") as file:
            file.seek(place)
            read = file.read(_READ_BYTES)
        place += len(read)
        *lines, held = (held + read).split(b"\n")
        if len(held) > _MOST_LINE_BYTES:
            lines, held = [*lines, held], b""
        if lines:
            yield Batch(texts=tuple(map(_text, lines)))
        if not read:
            wait(_POLL_S)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_MOST_LINE_BYTES):
        yield line


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n") or len(line) == _MOST_LINE_BYTES


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").strip()
