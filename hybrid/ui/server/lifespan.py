"""What the server does when it starts, and how it stops.

    app = App(__file__, lifespan=lifespan.run)      # in app.py, for the server

While the first visitor's browser is still loading Streamlit, a thread imports the libraries of all
pages and computes what a visitor without a link sees first. A page that comes earlier waits: it
imports `hybrid.ui.app_frame`, and Python lets it go on when the thread has imported all of that.
"""

import importlib
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from types import FrameType

import uvicorn
from streamlit.starlette import App

from hybrid.errors import HybridError

__all__ = ["run", "warm_up"]

_LIBRARIES = ("hybrid.ui.server.whole", "hybrid.ui.app_frame", "hybrid.ui.explore.opening")


@asynccontextmanager
async def run(_: App) -> AsyncGenerator[None, None]:
    """Start the thread, and let signals stop the server."""
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        _stop_at(number)
    yield


def warm_up() -> None:
    """Import what pages use, compute what the first visitor sees, and tidy up."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    with suppress(HybridError):  # the page says what is wrong
        importlib.import_module("hybrid.ui.explore.opening").compute()
    with suppress(HybridError):  # no home folder
        importlib.import_module("hybrid.ui.server.tidy").remove_drafts()


def _stop_at(number: signal.Signals) -> None:
    """Let a signal end the server and leave the process to end by itself.

    uvicorn raises the signal again once it has stopped, and so the process would end with an error.
    A second signal does not wait for open connections.
    """
    server = getattr(signal.getsignal(number), "__self__", None)
    if not isinstance(server, uvicorn.Server):
        return  # another server than `streamlit run` starts, with signals of its own

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    signal.signal(number, stop)
