"""An event loop of its own for a test, in a thread of its own.

The loop of the browser's driver stays in the main thread once a test has used it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["apart"]

T = TypeVar("T")


def apart(run: Callable[[], T]) -> T:
    """What a function gives that runs an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()
