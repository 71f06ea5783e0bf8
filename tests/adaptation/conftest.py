"""A place of its own for what a test trains, on one thread and without Lightning's advice."""

from pathlib import Path

import pytest

from tests.threads import one_thread

__all__ = ["elsewhere", "one_thread"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the networks that ship."""
    folder = tmp_path / "pretrained"
    monkeypatch.setenv("HYBRID_PRETRAINED", str(folder))
    return folder
