"""A server on a free port and a Chromium to drive it; both skip where the machine has none."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import chromium as chromium_path
from tests.browser.waiting import PATIENCE_MS
from tests.ui.synthetic import take_exits, write_pretrained

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that wait for a browser time, and a second and third try.

    Server, browser and whatever else a machine does take turns on its cores; a page that is wrong
    fails three times.
    """
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.timeout(900))  # of all tries together
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=5))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up networks with two and three early exits.

    The widths of trees-mixed differ: 1 bit has a single early exit, and 4 bits have no trace.
    """
    folder = tmp_path_factory.mktemp("pretrained")
    write_pretrained(folder, network="trees-mixed", exits=2, bits=(1, 2, 4))
    take_exits(folder, "trees-mixed", bits=1)
    (folder / "trees-mixed" / "hybrid-4bit" / "trace-test.parquet").unlink()
    write_pretrained(folder, network="trees-toy", samples=2000, exits=2, bits=(1, 2, 4))
    widths = (1, 2, 3, 4, 32)
    return write_pretrained(folder, network="trees-wide", samples=10_000, exits=3, bits=widths)


@pytest.fixture(scope="session")
def serve(root: Path) -> Iterator[Callable[..., str]]:
    """Start a fresh server over a pretrained folder, behind other words if given; its address."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: Path, *before: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = [f"--server.port={port}", "--server.headless=true", "--server.address=127.0.0.1"]
        server = subprocess.Popen(
            [*before, sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=root,
            env=os.environ | {"HYBRID_PRETRAINED": str(folder), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        running.append(server)
        address = f"http://127.0.0.1:{port}"
        assert server.stdout is not None
        # It prints its address once it listens, and a few words later that fit into the pipe.
        assert any(address in line for line in server.stdout), "the server ended at once"
        return address

    yield start
    for server in running:
        server.terminate()
        server.communicate(timeout=20)


@pytest.fixture(scope="session")
def address(serve: Callable[[Path], str], pretrained: Path) -> str:
    """A server that the tests of a session share."""
    return serve(pretrained)


@pytest.fixture(scope="session")
def chromium() -> Iterator["sync_api.Browser"]:
    path = chromium_path.find()
    if path is None:
        pytest.skip("there is no Chromium on this machine; install chromium to drive the pages")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: "sync_api.Browser") -> Iterator["sync_api.Page"]:
    """A page of its own; the test fails if the console had an error."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []
