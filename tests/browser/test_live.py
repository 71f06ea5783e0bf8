"""A live run in a real browser: started, watched and stopped, while another session goes on."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hybrid import data
from tests.browser.waiting import PATIENCE_MS

pytestmark = pytest.mark.browser

NETWORK = "network=digits-vgg&bits=1&t1=0.9&t2=0.9"
COPIES = 30
SAMPLES = "10,770"  # of 359 test images


@pytest.fixture(scope="module")
def shipped(
    serve: Callable[[Path], str], root: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A server over the shipped digits network and thirty times its test images, without a trace.

    So a run takes long enough to be stopped, and the page records the trace when it first opens.
    """
    folder = tmp_path_factory.mktemp("live")
    images = folder / "digits"
    split = data.load("digits", "test")
    for name in split.classes:
        (images / "train" / name).mkdir(parents=True)
    for number, (pixels, label) in enumerate(zip(split.images, split.labels, strict=True)):
        file = images / "test" / str(label) / f"{number}-0.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(file)
        for copy in range(1, COPIES):
            shutil.copy(file, file.with_name(f"{number}-{copy}.png"))
    shutil.copytree(root / "pretrained" / "digits-vgg", folder / "digits-vgg")
    for trace in folder.glob("digits-vgg/*/trace-*.parquet"):
        trace.unlink()
    card = folder / "digits-vgg" / "card.toml"
    card.write_text(card.read_text().replace('dataset = "digits"', f'dataset = "{images}"'))
    return serve(folder)


def open_live(page: Any, address: str) -> None:
    page.goto(f"{address}/?{NETWORK}")
    page.get_by_role("link", name="Live run").click(timeout=PATIENCE_MS)
    page.get_by_text("Nothing has run yet").wait_for(timeout=PATIENCE_MS)  # the trace is recorded


def start(page: Any, batch: int) -> None:
    page.locator(".st-key-live_batch").get_by_text(str(batch), exact=True).click()
    page.locator(".st-key-live_start button").click()


def test_a_run_is_watched_to_its_end_and_does_what_was_promised(page: Any, shipped: str) -> None:
    open_live(page, shipped)

    start(page, 16)
    page.get_by_text(f"Finished: {SAMPLES} images of {SAMPLES}").wait_for(timeout=PATIENCE_MS)

    page.get_by_text(f"Each of {SAMPLES} images took the exit expected from the trace").wait_for()
    assert page.locator(".st-key-live_start button").inner_text().strip().endswith("Start again")
    pictures = page.locator("ul.sheet > li")
    pictures.nth(35).wait_for(timeout=PATIENCE_MS)
    assert pictures.count() == 36  # three groups of twelve
    assert all(text.strip() for text in pictures.all_inner_texts())  # a caption under each


def test_a_run_is_stopped_while_it_goes_on_and_started_again(page: Any, shipped: str) -> None:
    open_live(page, shipped)
    start(page, 1)
    page.get_by_text("Running:").wait_for(timeout=PATIENCE_MS)

    page.locator(".st-key-live_stop button").click()

    page.get_by_text("Stopped after").wait_for(timeout=PATIENCE_MS)
    start(page, 256)
    page.get_by_text(f"Finished: {SAMPLES} images of {SAMPLES}").wait_for(timeout=PATIENCE_MS)


def test_another_session_stays_quick_while_a_run_goes_on(
    page: Any, chromium: Any, shipped: str
) -> None:
    other = chromium.new_context(viewport={"width": 1440, "height": 900}).new_page()
    open_live(page, shipped)
    open_live(other, shipped)
    quiet_s = slider_seconds(other, "Home")

    start(page, 1)
    page.get_by_text("Running:").wait_for(timeout=PATIENCE_MS)
    beside_s = slider_seconds(other, "End")

    other.context.close()
    assert beside_s < quiet_s + 5  # the run takes more than a minute


def slider_seconds(page: Any, key: str) -> float:
    """From the press of a key on a slider to the changed promise."""
    promise = page.get_by_text("Start the run to count them")
    before = promise.inner_text()
    slider = page.locator(".st-key-t1 input[type=range]")
    slider.focus()
    begun = time.monotonic()
    page.keyboard.press(key)
    page.wait_for_function(
        "before => ![...document.querySelectorAll('p')].some(p => p.innerText === before)",
        arg=before,
        timeout=PATIENCE_MS,
    )
    return time.monotonic() - begun


@pytest.mark.parametrize("width, height, scheme", [(1440, 900, "light"), (390, 844, "dark")])
def test_nothing_is_wider_than_the_window(
    chromium: Any, shipped: str, width: int, height: int, scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(shipped)  # a server learns its pages' names from its first visitor
    page.wait_for_selector(".st-key-t1", timeout=PATIENCE_MS)
    page.goto(f"{shipped}/live?{NETWORK}")
    page.wait_for_selector(".st-key-live_start button:not([disabled])", timeout=PATIENCE_MS)
    start(page, 256)
    page.get_by_text(f"Finished: {SAMPLES} images of {SAMPLES}").wait_for(timeout=PATIENCE_MS)

    wide = page.evaluate(
        """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
            .filter(part => part.scrollWidth > part.clientWidth).length"""
    )
    clipped = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stMetric] *')]
            .filter(part => part.scrollWidth > part.clientWidth + 1
                && getComputedStyle(part).overflowX !== 'visible')
            .map(part => part.innerText)"""
    )

    context.close()
    assert wide == 0
    assert clipped == []
