"""Links to pages as the very first request of a fresh server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.waiting import PATIENCE_MS, said_by_address, settled

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    "name", ["choose", "try_image", "your_data", "live", "deploy", "monitor", "networks"]
)
def test_a_link_to_any_page_is_the_first_request_of_a_fresh_server(
    chromium: Any, serve: Callable[[Path], str], pretrained: Path, name: str
) -> None:
    # Not the fixture `page`: the console notes two 404s. Streamlit's script looks for its server's
    # _stcore/health and _stcore/host-config below the page's path first, then above it; only a
    # route of our own could answer there, and `streamlit run app.py` has no setting for one.
    page = chromium.new_page()

    page.goto(f"{serve(pretrained)}/{name}?network=trees-toy&bits=4&t1=0.61&scope=device")

    page.get_by_role("link", name="Explore").wait_for(timeout=PATIENCE_MS)
    page.get_by_text("Hardware profile").first.wait_for(timeout=PATIENCE_MS)
    settled(page)
    assert page.get_by_text("Page not found").count() == 0
    assert f"/{name}?" in page.url
    assert "t1=0.61" in page.url
    page.close()


def test_a_link_with_explores_name_leads_to_explore(
    chromium: Any, serve: Callable[[Path], str], pretrained: Path
) -> None:
    page = chromium.new_page()  # not the fixture, as above
    address = serve(pretrained)

    for _ in range(2):  # the first request of a fresh server, and one of a server that knows
        page.goto(f"{address}/explore?network=trees-toy&bits=4&t1=0.61&t2=0.33&scope=device")

        page.wait_for_selector(".st-key-explore_flow .js-plotly-plot", timeout=PATIENCE_MS)
        settled(page)
        assert page.get_by_text("Page not found").count() == 0
        for part in ("bits=4", "t1=0.61", "t2=0.33", "scope=device"):
            assert part in page.url
        assert page.locator(".st-key-t1 input[type=range]").input_value() == "0.61"
    page.close()


def test_a_page_changed_before_the_first_run_has_ended_keeps_the_links_view(
    chromium: Any, serve: Callable[[Path], str], pretrained: Path
) -> None:
    page = chromium.new_page()
    page.goto(f"{serve(pretrained)}/?network=trees-toy&bits=4&t1=0.61&t2=0.33&measure=margin")

    page.get_by_role("link", name="Networks").click(timeout=PATIENCE_MS)  # at once
    page.get_by_text("Stages, exits and cut").wait_for(timeout=PATIENCE_MS)
    settled(page)
    address = page.url
    page.locator(".st-key-bits input[type=range]").focus()
    page.keyboard.press("ArrowLeft")  # from 4 to 2 bits
    said_by_address(page, "bits=2")
    page.get_by_role("link", name="Explore").click()
    page.wait_for_selector(".st-key-explore_flow .js-plotly-plot", timeout=PATIENCE_MS)
    settled(page)

    for part in ("network=trees-toy", "bits=4", "t1=0.61", "t2=0.33", "measure=margin"):
        assert part in address
    for part in ("network=trees-toy", "bits=2", "t1=0.61", "t2=0.33", "measure=margin"):
        assert part in page.url
    thresholds = page.locator(".st-key-t1 input[type=range], .st-key-t2 input[type=range]")
    sliders = thresholds.evaluate_all("all => all.map(one => one.value)")
    assert sliders == ["0.61", "0.33"]
    page.close()
