"""Images through `hybrid edge` in a process of its own, and its lines.

    lines, seconds = answered(bundle, images, url, deadline_ms=1000)

The edge reads files, as it does on a device; each is there only while it waits for its turn.
"""

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.measuring.processes import COMMAND, child
from hybrid.errors import CloudError
from hybrid.monitor import AnswerLine, parse_line

__all__ = ["ENDED", "answered", "write_image"]

ENDED = "The edge ended, or answers no more; `hybrid edge` on its own says why."
_AHEAD = 64  # images that are written before their turn

Pixels = NDArray[np.uint8]


def write_image(pixels: Pixels, path: Path) -> None:
    """Write pixels, (height, width, channels), as a PNG file."""
    from PIL import Image

    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(path)


def answered(
    bundle: Path,
    images: Sequence[Pixels] | NDArray[np.uint8],
    url: str,
    *,
    deadline_ms: float,
    words: Sequence[str] = (),
    report: Callable[[int], None] = lambda _: None,
) -> tuple[list[AnswerLine], float]:
    """The lines of all images, one after the other, and the seconds that it took.

    Args:
        images: each (height, width, channels), of the size that the bundle takes.
        url: of the cloud.
        words: more arguments of `hybrid edge`.
        report: called with the number of images answered.

    Raises:
        CloudError: the edge ended before the last image.
    """
    lines: list[AnswerLine] = []
    command = ["-c", COMMAND, "edge", str(bundle), "-", "--cloud", url]
    command += ["--deadline-ms", f"{deadline_ms:g}", *words]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="hybrid-measure-") as folder,
        child(command) as edge,
        _fed(edge, images, Path(folder)) as turn,
    ):
        assert edge.stdout is not None
        for text in edge.stdout:
            line = parse_line(text)
            assert isinstance(line, AnswerLine)
            if not lines:  # starting is not answering
                began = time.monotonic() - _taken_s(line)
            lines.append(line)
            Path(line.file).unlink(missing_ok=True)
            turn.release()
            report(len(lines))
    if len(lines) < len(images):
        raise CloudError(ENDED)
    return lines, time.monotonic() - began


def _taken_s(line: AnswerLine) -> float:
    return sum(part or 0.0 for part in (line.device_ms, line.wire_ms, line.cloud_ms)) / 1000


@contextmanager
def _fed(
    edge: "subprocess.Popen[str]", images: Sequence[Pixels] | NDArray[np.uint8], folder: Path
) -> Iterator[threading.Semaphore]:
    """A thread that writes images and names them to the edge; it waits for turns."""
    turn, ended = threading.Semaphore(_AHEAD), threading.Event()

    def feed() -> None:
        assert edge.stdin is not None
        with suppress(OSError, ValueError):  # the edge ended, which its reader says
            for number, pixels in enumerate(images):
                turn.acquire()
                if ended.is_set():
                    return
                path = folder / f"{number:07}.png"
                write_image(pixels, path)
                edge.stdin.write(f"{path}\n")
                edge.stdin.flush()
            edge.stdin.close()

    feeding = threading.Thread(target=feed, name="images-of-edge", daemon=True)
    feeding.start()
    try:
        yield turn
    finally:
        ended.set()
        turn.release()
        feeding.join()
