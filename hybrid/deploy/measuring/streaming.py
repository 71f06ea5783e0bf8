"""Images through a real edge and a real cloud, with a line between them that can be changed.

    with Stand(bundle, empty_folder) as stand:
        stand.switch(link=None, down=True)
        line = stand.answer(pixels)

The edge is `hybrid edge` and the cloud `hybrid cloud`, each a process of its own; all ends with the
block. Needs no torch here.
"""

import queue
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.measuring.asking import ENDED, write_image
from hybrid.deploy.measuring.processes import COMMAND, child, cloud_of
from hybrid.deploy.measuring.proxy import Proxy, RunningProxy, link_toxics
from hybrid.energy import Link
from hybrid.errors import CloudError
from hybrid.monitor import AnswerLine, parse_line

__all__ = ["Stand"]

_START_S = 120.0  # the first start of a bundle compiles it
_SLACK_S = 10.0  # beyond the deadline, for a machine with other work


class Stand:
    """A bundle's two processes on this machine, and a proxy between them.

    Args:
        bundle: a folder of `hybrid export`.
        images: an empty folder; each image is a file in it while the edge reads it.
        cloud: starts the cloud of a bundle and gives its address; None: `hybrid cloud`.

    Attributes:
        edge: the edge's process.
    """

    edge: "subprocess.Popen[str]"

    def __init__(
        self,
        bundle: Path,
        images: Path,
        *,
        deadline_ms: float = 200.0,
        cloud: Callable[[Path], AbstractContextManager[str]] | None = None,
    ) -> None:
        self._bundle, self._images, self._deadline_ms = bundle, images, deadline_ms
        self._start_cloud = cloud or cloud_of
        self._stack = ExitStack()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._link: Link | None = None
        self._down = False
        self._answered = 0

    def __enter__(self) -> "Stand":
        """Start both; CloudError if one does not."""
        with ExitStack() as stack:
            url = stack.enter_context(self._start_cloud(self._bundle))
            there = urlsplit(url)
            upstream = (there.hostname or "", there.port or 80)
            self._proxy = stack.enter_context(RunningProxy(Proxy(upstream)))
            words = ["edge", str(self._bundle), "-", "--cloud", self._proxy.url]
            words += ["--deadline-ms", f"{self._deadline_ms:g}"]
            self.edge = stack.enter_context(child(["-c", COMMAND, *words]))
            threading.Thread(target=self._read, name="edge-lines", daemon=True).start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End both."""
        self._stack.close()

    def switch(self, *, link: Link | None, down: bool) -> None:
        """Make the line as slow as a radio, or as it is; or let no cloud be there."""
        if (link, down) == (self._link, self._down):
            return
        toxics = (
            ((), ()) if link is None else link_toxics(link.uplink_mbit_per_s, link.round_trip_ms)
        )
        self._proxy.change(*toxics, down=down)
        self._link, self._down = link, down

    def answer(self, pixels: NDArray[np.uint8]) -> AnswerLine:
        """The edge's line for one image.

        Args:
            pixels: (height, width, channels) uint8, of the size that the bundle takes.

        Raises:
            CloudError: the edge has ended, or gives no line.
        """
        path = self._images / f"{self._answered:07}.png"
        write_image(pixels, path)
        try:
            assert self.edge.stdin is not None
            self.edge.stdin.write(f"{path}\n")
            self.edge.stdin.flush()
            first = _START_S if not self._answered else 0.0
            text = self._lines.get(timeout=first + self._deadline_ms / 1e3 + _SLACK_S)
        except (queue.Empty, OSError):
            text = ""
        finally:
            path.unlink(missing_ok=True)
        if not text:
            raise CloudError(ENDED)
        self._answered += 1
        line = parse_line(text)
        assert isinstance(line, AnswerLine)
        return line

    def _read(self) -> None:
        assert self.edge.stdout is not None
        try:
            for text in self.edge.stdout:
                self._lines.put(text)
        except ValueError:
            pass  # closed
        self._lines.put("")
