"""Try an image in a real browser: uploads, good and bad, and no sideways scroll on a phone."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.waiting import PATIENCE_MS, settled

pytestmark = pytest.mark.browser

READY = ".st-key-try_ran .js-plotly-plot"


@pytest.fixture(scope="module")
def digits(serve: Callable[[Path], str], root: Path) -> str:
    """A server over the networks that ship: made-up ones have no weights to run."""
    return serve(root / "pretrained")


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def open_page(page: Any, address: str) -> None:
    # Through Explore, as a reader comes: by address, the server would be asked below /try_image
    # for its health first, and the console would note that it is not there.
    page.goto(f"{address}/?network=digits-vgg&bits=2")
    page.wait_for_selector(".js-plotly-plot", timeout=PATIENCE_MS)
    settled(page)
    page.get_by_role("link", name="Try an image").click()
    page.wait_for_selector(READY, timeout=PATIENCE_MS)
    settled(page)


def upload(page: Any, files: dict[str, bytes]) -> None:
    page.get_by_role("radio", name="Upload").click()
    page.wait_for_selector("text=Nothing uploaded yet")
    page.locator("input[type=file]").set_input_files(
        [{"name": n, "mimeType": "image/png", "buffer": content} for n, content in files.items()]
    )
    page.wait_for_selector(READY, timeout=PATIENCE_MS)


def test_a_bad_file_among_uploads_is_named_and_the_good_one_is_run(page: Any, digits: str) -> None:
    open_page(page, digits)

    upload(page, {"good.png": picture("white"), "**bad**.png": b"no image at all"})

    page.wait_for_selector("text=**bad**.png is not a PNG, JPEG or other image that is read")
    assert page.locator(".st-key-try_facts [data-testid=stMetric]").count() == 6
    assert page.get_by_text("good.png", exact=True).count() > 0


def test_nothing_scrolls_sideways_on_a_phone(page: Any, digits: str) -> None:
    open_page(page, digits)
    page.set_viewport_size({"width": 390, "height": 844})
    settled(page, "document.querySelector('[data-testid=stMain]').scrollWidth")  # figures follow

    wide, shown = page.evaluate(
        "(() => { const m = document.querySelector('[data-testid=stMain]');"
        " return [m.scrollWidth, m.clientWidth]; })()"
    )

    assert wide == shown
