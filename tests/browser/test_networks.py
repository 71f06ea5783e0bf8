"""Networks in a real browser: nothing is clipped, nothing scrolls sideways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.waiting import PATIENCE_MS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shipped(serve: Callable[[Path], str], root: Path) -> str:
    """A server over the networks that ship."""
    return serve(root / "pretrained")


@pytest.mark.parametrize("width, height, scheme", [(1440, 900, "light"), (390, 844, "dark")])
def test_nothing_is_clipped_and_nothing_scrolls_sideways(
    chromium: Any, shipped: str, width: int, height: int, scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{shipped}/networks?network=digits-vgg&bits=2&variant=hybrid-4bit")
    page.wait_for_selector(".st-key-networks_structure .js-plotly-plot", timeout=PATIENCE_MS)

    chosen = page.locator("[class*=st-key-networks_variant_] [aria-checked=true]").inner_text()
    clipped = page.evaluate("""() => [
        ...document.querySelectorAll('[data-testid=stMain] :is(p, label, [data-testid=stMetric] *)')
    ].filter((part) => part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0
        && getComputedStyle(part).display !== 'inline'
        && getComputedStyle(part).overflowX !== 'visible').map((part) => part.innerText)""")
    wide = page.evaluate("""() => {
        const main = document.querySelector('[data-testid=stMain]');
        return Math.max(main.scrollWidth - main.clientWidth,
                        document.documentElement.scrollWidth - innerWidth);
    }""")
    context.close()

    assert chosen == "Hybrid 4 bit"
    assert clipped == []
    assert wide <= 0
