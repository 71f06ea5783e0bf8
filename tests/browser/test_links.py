"""Links to pages as the very first request of a fresh server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000


@pytest.mark.parametrize("name", ["choose", "try_image", "your_data", "live", "networks"])
def test_a_link_to_any_page_is_the_first_request_of_a_fresh_server(
    chromium: Any, serve: Callable[[Path], str], pretrained: Path, name: str
) -> None:
    # Not the fixture `page`: Streamlit itself first looks for its health below the page's path.
    page = chromium.new_page()

    page.goto(f"{serve(pretrained)}/{name}?network=trees-toy&bits=4&t1=0.61&scope=device")

    page.get_by_role("link", name="Explore").wait_for(timeout=PATIENCE_MS)
    page.get_by_text("Hardware profile").first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(1500)
    assert page.get_by_text("Page not found").count() == 0
    assert f"/{name}?" in page.url
    assert "t1=0.61" in page.url
    page.close()
