"""Bounds of the server as a whole: how many sessions there are, and what they hold in memory."""

import ctypes
import sys
import threading
import weakref
from contextlib import suppress

import streamlit as st
from PIL import Image
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

__all__ = [
    "MOST_SERVER_BYTES",
    "MOST_SESSIONS",
    "Doors",
    "Total",
    "give_back",
    "hold",
    "refuse_too_many",
]

MOST_SESSIONS = 500
MOST_SERVER_BYTES = 2_000_000_000  # of all sessions' pictures together
_FILES = 65_536  # that the server asks to have open at once
_OTHER_FILES = 96  # of the server itself, its jobs and its uploads
_KEPT_FILES = 64  # for pages and requests, however many connections there are
_CONNECTION_FILES = 4  # the connection itself, and an event loop
_TRY_LATER = 1013
_SESSION_FILES = 6  # a connection, an event loop, and what a page reads


class Doors:
    """Middleware that lets only so many connections of browsers be open at once.

    Each one costs files even where the page is only a sentence; without any left, the server could
    neither answer nor accept anyone. A browser that is turned away tries again by itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._most = max(8, (_open_files() - _KEPT_FILES) // _CONNECTION_FILES)
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or turn it away."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
        elif self._open >= self._most:
            await send({"type": "websocket.close", "code": _TRY_LATER})
        else:
            self._open += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._open -= 1


class Total:
    """How many bytes are held, by all sessions together."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self.used_bytes = 0

    def add(self, size_bytes: int) -> bool:
        """Count more bytes, or fewer if negative; False if that would be too many."""
        with self._lock:
            if self.used_bytes + size_bytes > self._most_bytes:
                return False
            self.used_bytes += size_bytes
            return True


_PICTURES = Total(MOST_SERVER_BYTES)
_SESSIONS: dict[str, None] = {}
_SESSIONS_LOCK = threading.Lock()


def hold(picture: Image.Image) -> bool:
    """Count a picture as held until it is gone; False if all sessions hold too much already."""
    size_bytes = picture.width * picture.height * len(picture.getbands())
    if not _PICTURES.add(size_bytes):
        return False
    weakref.finalize(picture, _PICTURES.add, -size_bytes)
    return True


def give_back() -> None:
    """Return freed memory to the system, which the C library otherwise keeps for later."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def most_sessions() -> int:
    """How many sessions are served, so that neither memory nor open files run out."""
    return min(MOST_SESSIONS, max(4, (_open_files() - _OTHER_FILES) // _SESSION_FILES))


def refuse_too_many() -> None:
    """End the run of a session beyond the bound, with a sentence."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists() or _is_admitted(context.session_id):
        return
    st.error(
        f"This server already has {most_sessions()} visitors, the most that it serves at once. "
        "Reload this page in a few minutes.",
        icon=":material/group:",
    )
    st.stop()


def _is_admitted(session: str) -> bool:
    server = runtime.get_instance()
    with _SESSIONS_LOCK:
        if session not in _SESSIONS and len(_SESSIONS) >= most_sessions():
            for other in [one for one in _SESSIONS if not server.is_active_session(one)]:
                del _SESSIONS[other]
        if session not in _SESSIONS and len(_SESSIONS) >= most_sessions():
            return False
        _SESSIONS[session] = None
        return True


def _open_files() -> int:
    """How many files this process may have open: as many as it is allowed to ask for."""
    if sys.platform == "win32":  # which has no such limit
        return _FILES
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return most
    return min(soft, _FILES) if soft != resource.RLIM_INFINITY else _FILES
