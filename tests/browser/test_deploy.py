"""The page Deploy in a real browser: both processes, a line that is switched, and an end."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.waiting import PATIENCE_MS, POLLING_MS
from tests.deploy.frozen import frozen_once

__all__ = ["frozen_once"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here"),
]

FALLBACKS = """() => [...document.querySelectorAll('[data-testid=stMetric]')].some(
    (one) => one.textContent.includes('Fallbacks') && !one.textContent.includes('0.0 %'))"""


def processes() -> list[str]:
    """The command lines of edges and clouds of this page that are running."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if any(b"hybrid-deploy-" in word for word in words):
            found.append(b" ".join(words).decode(errors="replace"))
    return found


def test_a_run_follows_its_switches_and_leaves_no_process(
    page: Any, serve: Callable[[Path], str], frozen_once: Path
) -> None:
    address = serve(frozen_once)
    page.goto(
        f"{address}/?network=digits-vgg&bits=4&measure=entropy&t1=1&t2=1", timeout=PATIENCE_MS
    )
    page.get_by_role("link", name="Deploy").click(timeout=PATIENCE_MS)
    page.locator(".st-key-deploy_per_s input").click()
    page.get_by_role("option", name="10", exact=True).click()

    page.locator(".st-key-deploy_start button").click()
    page.get_by_text("Running:").wait_for(timeout=PATIENCE_MS)
    assert len(processes()) >= 2
    page.locator(".st-key-deploy_down label").first.click()
    page.wait_for_function(FALLBACKS, timeout=PATIENCE_MS, polling=POLLING_MS)
    page.locator(".st-key-deploy_stop button").click()
    page.get_by_text("Stopped after").wait_for(timeout=PATIENCE_MS)

    page.locator(".st-key-deploy_start button").wait_for(timeout=PATIENCE_MS)
    assert processes() == []
