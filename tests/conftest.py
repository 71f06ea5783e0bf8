"""For every test: where the images are, skips without them, no network, no threads."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hybrid import data
from tests.offline import offline

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ROOT.parent / "shared" / "data"
NOT_HERE = "{name} is not on this machine"

if BESIDE.is_dir():
    os.environ.setdefault("HYBRID_DATA", str(BESIDE))
# Whoever runs the tests may have splits of their own; a test that makes some names a folder.
os.environ["HYBRID_TRACES"] = str(Path(tempfile.gettempdir()) / "no-own-splits" / str(os.getpid()))
os.environ["HYBRID_PROFILES"] = os.environ["HYBRID_TRACES"]  # nor hardware profiles
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers already fill the cores; torch's threads on top only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine that is busy with something else is not a failing property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_own_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No splits of whoever runs the tests, and no question that another test has asked."""
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "no-own-splits"))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Count as slow what drives a browser or a whole page, before `-m` chooses; start with it.

    Workers take whole files. One that begins late, and takes minutes, is waited for by all.
    """
    for item in items:
        if item.get_closest_marker("browser") or "tests/pages/" in item.nodeid:
            item.add_marker("slow")
    yield
    items.sort(key=_is_quick)


def _is_quick(item: pytest.Item) -> tuple[bool, bool]:
    return not item.get_closest_marker("browser"), not item.get_closest_marker("slow")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of images that are not on this machine; the marker names their data set."""
    for marker in item.iter_markers("images"):
        (name,) = marker.args
        if not data.available(name):
            pytest.skip(NOT_HERE.format(name=name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count, for each data set that is missing, the tests that were skipped without it."""
    reasons = [
        report.longrepr[2]
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
    for name, about in data.DATASETS.items():
        skipped = sum(reason.endswith(NOT_HERE.format(name=name)) for reason in reasons)
        if skipped:
            tests = "1 test" if skipped == 1 else f"{skipped} tests"
            terminalreporter.write_line(
                f"{about.title} is not on this machine: {tests} skipped; "
                f"`hybrid download {name}` or HYBRID_DATA brings it.",
                yellow=True,
            )


@pytest.fixture(scope="session", autouse=True)
def refused_connections() -> Iterator[list[str]]:
    """Keep the whole session off the network, fixtures of every scope included."""
    with offline() as sentences:
        yield sentences


@pytest.fixture(autouse=True)
def without_network(refused_connections: list[str]) -> Iterator[None]:
    """Fail a test that tried the network, also where the code under test went on without it."""
    refused_connections.clear()
    yield
    if refused_connections:
        pytest.fail(refused_connections[0])


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Equal C code is compiled once in a run, whichever test and worker comes first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all workers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hybrid.deploy.compiling._cache_folder", lambda: folder / "compiled")
        yield


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
