"""From a zip of images to Explore, in a real browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hybrid import policy, zoo
from tests.own_images import digits, pngs, zipped

pytestmark = pytest.mark.browser

PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def digits_address(
    serve: Callable[[Path], str], root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server over the networks that ship, with an empty folder for own splits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_TRACES", str(tmp_path_factory.mktemp("traces")))
        yield serve(root / "pretrained")


def idle(page: Any) -> None:
    page.wait_for_selector(
        "[data-testid=stApp][data-test-script-state=notRunning]", timeout=PATIENCE_MS
    )
    page.wait_for_timeout(800)  # React takes the last elements in


def test_a_zip_is_recorded_and_opened_in_explore(page: Any, digits_address: str) -> None:
    page.goto(f"{digits_address}/?network=digits-vgg&bits=2&t1=0.9")
    page.wait_for_selector(".js-plotly-plot", timeout=PATIENCE_MS)
    idle(page)
    page.get_by_role("link", name="Your data").click()
    page.wait_for_selector("text=A zip of images", timeout=PATIENCE_MS)
    files = pngs(digits(60)) | {"7/broken.png": b"no image"}

    page.locator(".st-key-your_zip input[type=file]").set_input_files(
        [{"name": "mine.zip", "mimeType": "application/zip", "buffer": zipped(files)}]
    )
    page.get_by_text("All bit widths and static networks").click(timeout=PATIENCE_MS)
    idle(page)
    page.get_by_role("button", name="Record 61 images").click()
    page.get_by_role("button", name="Open in Explore").wait_for(timeout=PATIENCE_MS)
    assert page.get_by_text("1 file could not be read").count() == 1
    idle(page)
    page.get_by_role("button", name="Open in Explore").click()

    page.wait_for_selector(".st-key-explore_edge", timeout=PATIENCE_MS)
    idle(page)
    assert "split=mine" in page.url
    counted = policy.outcome(zoo.trace("digits-vgg", "hybrid-2bit", "mine"), (0.9, 0.8))
    shown = page.locator(".st-key-explore_edge").inner_text()
    assert f"{sum(counted.exit_counts[:-1])} of 60" in shown
    accuracy = page.locator(".st-key-explore_accuracy").inner_text()
    assert re.search(r"[\d.]+ %", accuracy)[0] == f"{100 * counted.accuracy:.2f} %"
