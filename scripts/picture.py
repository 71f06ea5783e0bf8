"""The picture in the README: the dashboard's first page in a real Chromium, at 1440×900.

    python scripts/picture.py

It shows the page as it opens with these thresholds. No data set is available to it, so the picture
contains no image from one.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import chromium

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "dashboard.png"
START_SECONDS = 60


def main(query: str) -> None:
    """Start the dashboard, open it at the query, and save a screenshot."""
    with dashboard() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.goto(f"{address}/?{query}")
        page.locator(".js-plotly-plot").first.wait_for()
        page.wait_for_timeout(4000)  # fonts and the last figure
        page.screenshot(path=PICTURE)
        browser.close()


@contextmanager
def dashboard() -> Iterator[str]:
    """A running dashboard that has no data set, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as empty:
        command = [sys.executable, "-m", "streamlit", "run", ROOT / "app.py"]
        options = ["--server.port", str(port), "--server.headless", "true"]
        quiet = {**os.environ, "HYBRID_DATA": empty}
        server = subprocess.Popen([*command, *options], cwd=ROOT, env=quiet)
        try:
            wait_for(f"{address}/_stcore/health")
            yield address
        finally:
            server.terminate()
            server.wait()


def wait_for(address: str) -> None:
    """Return once the address answers; TimeoutError if it does not."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
    raise TimeoutError(f"No answer from {address} within {START_SECONDS} s.")


if __name__ == "__main__":
    main(*(sys.argv[1:] or [""]))
