"""The bound and a point's own certificate in a real browser, while a slider is dragged."""

from collections.abc import Callable
from typing import Any

import pytest

from hybrid.text.certificate import band_sentence
from hybrid.ui.explore import bands
from hybrid.ui.view import View
from tests.browser.waiting import PATIENCE_MS, settled

pytestmark = pytest.mark.browser

OWN = "[class*=st-key-explore_own_at_]"


@pytest.fixture
def sentence(pretrained: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The words of trees-toy at 2 bits."""
    monkeypatch.setenv("HYBRID_PRETRAINED", str(pretrained))

    def at(*thresholds: float) -> str:
        view = View(network="trees-toy", bits=2, thresholds=thresholds)
        return band_sentence(bands.band(view), thresholds)

    return at


def test_the_bound_follows_a_slider_and_a_points_own_certificate_fades_elsewhere(
    page: Any, address: str, sentence: Callable[..., str]
) -> None:
    page.goto(f"{address}/?network=trees-toy&bits=2")
    page.wait_for_selector(f"text={sentence(0.8, 0.8)}", timeout=PATIENCE_MS)
    page.wait_for_selector(".st-key-explore_flow .js-plotly-plot", timeout=PATIENCE_MS)
    settled(page)
    page.get_by_role("button", name="Certify this point").click()
    page.wait_for_selector(f"{OWN} >> text=question 1 to these 2,000 images", timeout=PATIENCE_MS)
    settled(page)

    track = page.locator(".st-key-t1 [data-rac][role=group] > div").first.bounding_box()
    middle = track["y"] + track["height"] / 2
    page.mouse.move(track["x"] + track["width"] * 0.8, middle)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.63, middle, steps=8)

    page.wait_for_function(f"() => document.querySelector('{OWN}').style.opacity === '0.3'")
    dragged = float(page.locator(".st-key-t1 input[type=range]").input_value())
    assert dragged < 0.7
    page.wait_for_selector(f"text={sentence(dragged, 0.8)}", timeout=PATIENCE_MS)
    page.mouse.up()
    settled(page)
    page.get_by_role("button", name="Certify this point").wait_for(timeout=PATIENCE_MS)
    page.wait_for_selector(f"text={sentence(dragged, 0.8)}", timeout=PATIENCE_MS)
