"""Images one after the other, from paths of files, folders and zips, or from a stream.

    for one in inputs.each(["photos", "more.zip", "-"], stdin):
        one.name, one.data, one.sentence

Of a folder or zip only the list of names is kept; of the images, one at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path

from hybrid.data.images import HEAD_BYTES, MAX_FILE_BYTES, is_image, shown_name
from hybrid.data.sources.folders import file_bytes
from hybrid.data.sources.names import ignored_words
from hybrid.data.sources.opening import Given, opened, shown_path
from hybrid.errors import ImageError, SourceError

__all__ = ["STDIN", "ImageInput", "each"]

STDIN = "-"
MAX_STDIN_BYTES = 500_000_000  # of a zip on stdin, which is held in memory
Stream = BufferedReader | BytesIO

_MAX_LINE = 8_192  # bytes of a path
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """An image: its name and its bytes, or the sentence that tells why there are none."""

    name: str
    data: bytes = b""
    sentence: str = ""


def each(
    given: Iterable[str], stdin: Stream, *, note: Callable[[str], None]
) -> Iterator[ImageInput]:
    """Every image of the paths, in order; `-` is an image, a zip or a list of paths on stdin.

    Args:
        note: called with a sentence on what was ignored.
    """
    for path in given:
        if path == STDIN:
            yield from _of_stream(stdin, note)
        else:
            yield from _of_path(path, note)


def _of_path(text: str, note: Callable[[str], None]) -> Iterator[ImageInput]:
    path = Path(text)
    try:
        if path.is_dir() or _starts_as_zip(path):
            yield from _of_source(path, text.rstrip("/"), note)
            return
        yield ImageInput(name=text, data=file_bytes(path, limit=MAX_FILE_BYTES))
    except (ImageError, SourceError) as error:
        yield ImageInput(name=text, sentence=str(error))
    except (OSError, ValueError):
        yield ImageInput(name=text, sentence=f"{shown_path(path)} cannot be read; check its name.")


def _of_source(given: Given, around: str, note: Callable[[str], None]) -> Iterator[ImageInput]:
    title = shown_name(Path(around).name or around)
    with opened(given, title=title, tables=False) as source:
        for one in source.refused:
            yield ImageInput(name=f"{around}/{one.name}", sentence=one.sentence)
        if source.ignored:
            note(f"{title}: {ignored_words(source.ignored)}.")
        for entry in source.entries:
            name = f"{around}/{entry.name}"
            try:
                yield ImageInput(name=name, data=source.read(entry))
            except ImageError as error:
                yield ImageInput(name=name, sentence=str(error))


def _of_stream(stdin: Stream, note: Callable[[str], None]) -> Iterator[ImageInput]:
    head = stdin.read1(HEAD_BYTES)  # what is there, so that a list is answered as it is written
    if not head:
        sentence = "Nothing came on stdin; send an image, a zip or a list of paths."
        yield ImageInput(name=STDIN, sentence=sentence)
    elif head.startswith(_ZIP):
        data = head + stdin.read(MAX_STDIN_BYTES)
        if len(data) > MAX_STDIN_BYTES:
            most = f"{MAX_STDIN_BYTES // 1_000_000} MB"
            sentence = f"The zip on stdin is larger than {most}, the most that is read; name it."
            yield ImageInput(name=STDIN, sentence=sentence)
            return
        yield from _of_source(data, STDIN, note)
    elif is_image("", head):
        yield ImageInput(name=STDIN, data=head + stdin.read(MAX_FILE_BYTES + 1))
    else:
        for line in _lines(head, stdin):
            yield from _of_path(line, note)


def _lines(head: bytes, stdin: Stream) -> Iterator[str]:
    """Paths, one per line or with a NUL after each, as `find -print0` writes them."""
    *whole, left = _split(head)
    yield from _decoded(whole)
    while line := stdin.readline(_MAX_LINE):
        *whole, left = _split(left + line)
        yield from _decoded(whole)
        if len(left) > _MAX_LINE:
            raise SourceError(
                "The list of paths on stdin has a line that is no path; write one path per line."
            )
    yield from _decoded([left])


def _split(data: bytes) -> list[bytes]:
    return data.replace(b"\0", b"\n").split(b"\n")


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        if path := line.rstrip(b"\r").decode("utf-8", "surrogateescape"):
            yield path


def _starts_as_zip(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP
