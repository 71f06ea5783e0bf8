"""Images for an edge: from paths, from a folder that is watched, from a camera.

    for name, pixels in watched(folder, reader, say=print, wait=time.sleep): …

What cannot be read is said in one sentence, and the next image comes.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.errors import BundleError, ImageError, SourceError

__all__ = ["Reader", "camera", "from_paths", "watched"]

Pixels = NDArray[np.uint8]
Named = tuple[str, Pixels]
Say = Callable[[str], None]
Wait = Callable[[float], None]

POLL_S = 0.1
PATIENCE_S = 2.0  # for an image that is still being written
AGAIN_S = 1.0  # between attempts to open a camera


class Reader:
    """Makes an image file what a bundle takes.

    Raises:
        BundleError: its input is not a square.
    """

    def __init__(self, bundle: EdgeBundle) -> None:
        height, width, self._channels = bundle.shape
        if height != width:
            raise BundleError(
                f"The images of {bundle.folder} are {height} × {width}, and only squares are made "
                "from files; use `hybrid.deploy.edge.runtime` with pixels of your own."
            )
        self._size, self._fit = height, bundle.fit

    def read(self, name: str, data: bytes) -> Pixels:
        """The pixels of an image file; ImageError if it is none."""
        from hybrid.data.preprocess import read_input  # Pillow takes time to load

        return read_input(name, data, size=self._size, channels=self._channels, fit=self._fit)

    def made(self, frame: Pixels) -> Pixels:
        """The pixels of a frame, (height, width, 3) RGB."""
        from PIL import Image

        from hybrid.data.preprocess import preprocess

        return preprocess(Image.fromarray(frame), self._size, self._channels, fit=self._fit)


def from_paths(
    paths: Iterable[str], stdin: BufferedReader, reader: Reader, *, say: Say, note: Say
) -> Iterator[Named]:
    """The images of files, folders and zips, or of stdin, as `hybrid.data.sources.inputs.each`.

    Args:
        say: told of each image that cannot be read.
        note: told what was ignored.
    """
    from hybrid.data.sources import inputs

    for one in inputs.each(paths, stdin, note=note):
        if one.sentence:
            say(one.sentence)
            continue
        try:
            yield one.name, reader.read(one.name, one.data)
        except ImageError as error:
            say(str(error))


@dataclass(slots=True)
class _Seen:
    """A file of a watched folder, as it was when it was last read."""

    about: tuple[int, int, int]
    since_s: float
    done: bool


def watched(
    folder: Path,
    reader: Reader,
    *,
    say: Say,
    wait: Wait = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Named]:
    """Each image of a folder once it is whole, for ever; those already there come first.

    A file is read once it stays the same for a tenth of a second, and if it cannot be read again
    for two seconds. One that was replaced is a new image. If the folder vanishes, it is waited for.

    Raises:
        SourceError: there is no such folder at the start.
    """
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder} to watch; make it, or name another one.")
    seen: dict[str, _Seen] = {}
    there = True
    while True:
        try:
            found = _files(folder)
        except OSError:
            if there:
                say(f"{folder} is gone; the edge waits for it.")
            there, found = False, []
        else:
            there = True
        for path, about in found:
            pixels = _finished(path, about, seen, reader, say, clock)
            if pixels is not None:
                yield str(path), pixels
        names = {path.name for path, _ in found}
        seen = {name: one for name, one in seen.items() if name in names}
        wait(POLL_S)


def camera(
    number: int,
    reader: Reader,
    *,
    say: Say,
    wait: Wait = time.sleep,
    open_: Callable[[int], Any] | None = None,
) -> Iterator[Named]:
    """The frames of a camera, for ever; one that goes away is waited for.

    Args:
        open_: gives what has `read` and `release`; by default OpenCV's.

    Raises:
        SourceError: there is no such camera at the start.
        ModuleNotFoundError: OpenCV is not installed.
    """
    opened = open_ or _OpenCv
    device, answered, there = opened(number), False, True
    while True:
        frame = _frame(device)
        if frame is not None:
            answered = there = True
            yield f"camera {number}", reader.made(np.ascontiguousarray(frame[:, :, ::-1]))
            continue
        device.release()
        if not answered:
            raise SourceError(
                f"Camera {number} gives no image; check that it is connected, that no other "
                "program uses it, and that this user may."
            )
        if there:
            say(f"Camera {number} is gone; the edge waits for it.")
        there = False
        wait(AGAIN_S)
        device = opened(number)


def _files(folder: Path) -> list[tuple[Path, tuple[int, int, int]]]:
    """The image files of a folder, oldest first, each with what changes when it is written."""
    from hybrid.data.images import is_image

    found = []
    for path in folder.iterdir():
        if path.name.startswith(".") or not is_image(path.name):
            continue
        try:
            about = path.stat()
        except OSError:  # gone since
            continue
        found.append((path, (about.st_mtime_ns, about.st_size, about.st_ino)))
    return sorted(found, key=lambda one: (one[1][0], one[0].name))


def _finished(
    path: Path,
    about: tuple[int, int, int],
    seen: dict[str, _Seen],
    reader: Reader,
    say: Say,
    clock: Callable[[], float],
) -> Pixels | None:
    """The pixels of a file that was not answered yet, if it is whole."""
    from hybrid.data.images import MAX_FILE_BYTES
    from hybrid.data.sources.folders import file_bytes

    known = seen.get(path.name)
    if known is None or known.about != about:
        seen[path.name] = _Seen(about=about, since_s=clock(), done=False)
        return None  # not before it has stayed the same from one look to the next
    if known.done:
        return None
    try:
        pixels = reader.read(path.name, file_bytes(path, limit=MAX_FILE_BYTES))
    except ImageError as error:
        known.done = clock() - known.since_s >= PATIENCE_S
        if known.done:
            say(str(error))
        return None
    except (OSError, SourceError, ValueError):
        return None  # gone, or not allowed yet
    known.done = True
    return pixels


def _frame(device: Any) -> Pixels | None:
    """The next frame, (height, width, 3) BGR; None if there is none."""
    ok, frame = device.read()
    usable = ok and frame is not None and frame.ndim == 3 and frame.size
    return frame if usable else None


class _OpenCv:
    """A camera of OpenCV that gives no image where OpenCV raises."""

    def __init__(self, number: int) -> None:
        import cv2

        self._device, self._error = cv2.VideoCapture(number), cv2.error

    def read(self) -> tuple[bool, Any]:
        try:
            ok, frame = self._device.read()
        except self._error:
            return False, None
        return bool(ok), frame

    def release(self) -> None:
        self._device.release()
