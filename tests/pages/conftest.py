"""A made-up pretrained folder and Explore opened upon it."""

import ast
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

# Read here and not by a worker of the first test: it parses sources while it is imported.
import torch  # noqa: F401

from tests.ui.fixtures import explore, toy

__all__ = ["explore", "one_parser_at_a_time", "toy"]


@pytest.fixture(scope="session", autouse=True)
def one_parser_at_a_time() -> Iterator[None]:
    """CPython 3.11 fails where two threads parse at once ("AST constructor recursion depth").

    Here every run of a page parses it anew, beside the thread that a test has started and in
    which NumPy reads a file's header as Python. A server parses a page once.
    """
    if sys.version_info >= (3, 12):
        yield
        return
    parse, lock = ast.parse, threading.RLock()

    def alone(*args: Any, **options: Any) -> ast.AST:
        with lock:
            return parse(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ast, "parse", alone)
        yield
