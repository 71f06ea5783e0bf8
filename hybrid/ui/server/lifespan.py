"""What the server does when it starts, and how it stops.

    app = App(__file__, lifespan=lifespan.run)      # in app.py, for the server
    lifespan.wait_for_libraries()                   # in app.py, before a page is drawn

While the first visitor's browser is still loading Streamlit, a thread imports the libraries of all
pages and computes what a visitor without a link sees first. It then removes old drafts.
"""

import importlib
import signal
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from types import FrameType

import uvicorn
from streamlit.starlette import App

from hybrid.errors import HybridError

__all__ = ["run", "wait_for_libraries", "warm_up"]

_LIBRARIES = ("plotly.graph_objects", "hybrid.ui.app_frame", "hybrid.ui.explore.opening")
# Meanwhile the server hands a browser a hundred files, and would wait this long for each.
_YIELDING_S = 0.0005
_IMPORTED = threading.Event()
_IMPORTED.set()  # where no server runs, as in a test of a page, there is nothing to wait for


@asynccontextmanager
async def run(_: App) -> AsyncGenerator[None, None]:
    """Start the thread, and let signals stop the server."""
    _IMPORTED.clear()
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        _stop_at(number)
    yield


def wait_for_libraries() -> None:
    """Wait until they are imported: some of them ask for others that may be half imported."""
    _IMPORTED.wait()


def warm_up() -> None:
    """Import what pages use, compute what the first visitor sees, and remove old drafts."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(_YIELDING_S)
    try:
        _import_libraries()
        with suppress(HybridError):  # the page says what is wrong
            importlib.import_module("hybrid.ui.explore.opening").compute()
        with suppress(HybridError):  # no home folder
            importlib.import_module("hybrid.ui.server.tidy").remove_drafts()
    finally:
        sys.setswitchinterval(interval_s)


def _import_libraries() -> None:
    try:
        for name in _LIBRARIES:
            importlib.import_module(name)
    finally:
        _IMPORTED.set()  # a page then meets the same error, and shows it


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
