"""A place of its own for what a test trains, on one thread and without Lightning's advice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums depend on the number of threads; here it is one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the networks that ship."""
    folder = tmp_path / "pretrained"
    monkeypatch.setenv("HYBRID_PRETRAINED", str(folder))
    return folder
