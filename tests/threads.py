"""A fixture for all tests of a folder: torch computes on one thread."""

from collections.abc import Iterator

import pytest

from hybrid.sweep.trials import one_thread as on_one_thread

__all__ = ["one_thread"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums depend on the number of threads, and two would only wait for each other."""
    with on_one_thread():
        yield
