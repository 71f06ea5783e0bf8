"""The certificate in a real browser: it fades while a slider is elsewhere, and can be gone to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid import certificates
from hybrid.traces import trace
from tests.browser.waiting import PATIENCE_MS, settled

pytestmark = pytest.mark.browser

WORDS = "[class*=st-key-explore_certificate_at_]"


@pytest.fixture(scope="module")
def sentence(pretrained: Path) -> Callable[..., str]:
    """The words of trees-toy at 2 bits; there are 3 + 5 + 3 bit widths and 3 measures on offer."""
    known = trace.load(pretrained / "trees-toy" / "hybrid-2bit" / "trace-certify.parquet")

    def at(*thresholds: float) -> str:
        return certificates.certify(known, thresholds, delta=0.05, comparisons=121 * 33).sentence

    return at


def test_a_certificate_fades_while_dragging_and_the_nearest_is_one_click_away(
    page: Any, address: str, sentence: Callable[..., str]
) -> None:
    page.goto(f"{address}/?network=trees-toy&bits=2")
    words = page.locator(WORDS)
    page.wait_for_selector(WORDS, timeout=PATIENCE_MS)
    page.wait_for_selector(".st-key-explore_flow .js-plotly-plot", timeout=PATIENCE_MS)
    settled(page)
    assert sentence(0.8, 0.8) in words.inner_text()

    track = page.locator(".st-key-t1 [data-rac][role=group] > div").first.bounding_box()
    middle = track["y"] + track["height"] / 2
    page.mouse.move(track["x"] + track["width"] * 0.8, middle)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.63, middle, steps=8)

    page.wait_for_function(f"() => document.querySelector('{WORDS}').style.opacity === '0.3'")
    page.mouse.up()
    page.wait_for_selector("text=Not certified at these thresholds", timeout=PATIENCE_MS)
    page.wait_for_function(f"() => document.querySelector('{WORDS}').style.opacity === ''")

    page.locator(".st-key-explore_certified button").click()

    page.wait_for_selector(f"text={sentence(0.6, 0.8)}", timeout=PATIENCE_MS)
    assert page.locator(".st-key-t1 input[type=range]").input_value() == "0.6"
    assert page.locator(".st-key-explore_certified").count() == 0
