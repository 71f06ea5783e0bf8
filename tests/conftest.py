"""What every test can count on: where the images lie, what is skipped without them, no threads."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from hybrid import data

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ROOT.parent / "shared" / "data"

if BESIDE.is_dir():
    os.environ.setdefault("HYBRID_DATA", str(BESIDE))
# Whoever runs the tests may have splits of their own; a test that makes some names a folder.
os.environ["HYBRID_TRACES"] = str(Path(tempfile.gettempdir()) / "no-own-splits" / "anywhere")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers already fill the cores; torch's threads on top only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine that is busy with something else is not a failing property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, and say why, what needs something this machine does not have."""
    if item.get_closest_marker("cifar") and not data.available("cifar10"):
        pytest.skip("the CIFAR images are not on this machine (HYBRID_DATA names their folder)")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project, wherever the tests were started."""
    return ROOT


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for user splits."""
    folder = tmp_path / "traces"
    monkeypatch.setenv("HYBRID_TRACES", str(folder))
    return folder
