"""Explore as deployed in a real browser: what is dragged is the form."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid import policy, zoo
from tests.browser.test_explore import follower_js, metric, open_explore, release, slide_to
from tests.browser.waiting import PATIENCE_MS, said_by_address, settled

__all__ = ["follower_js"]

pytestmark = pytest.mark.browser

WIDTHS = (1, 2, 3, 4, 8)


@pytest.fixture(scope="module")
def shipped_address(serve: Callable[[Path], str], root: Path) -> str:
    """A server over the networks that ship."""
    return serve(root / "pretrained")


def test_the_browser_counts_the_form_while_a_slider_is_dragged(
    page: Any, shipped_address: str, follower_js: str
) -> None:
    open_explore(page, shipped_address, "network=digits-vgg&bits=1", follower_js)
    page.locator(".st-key-form").get_by_text("As deployed").click()
    said_by_address(page, "form=deployed")
    page.wait_for_function(
        f"({follower_js})().held().join() === '{','.join(map(str, WIDTHS))}'",
        timeout=PATIENCE_MS,
    )  # 32 bits have no form
    settled(page)
    slide_to(page, "t1", 0.97)
    settled(page, "document.querySelector('.st-key-explore_edge').innerText")
    dragged = metric(page, "edge")
    counted = page.evaluate(
        f"(all) => all.map((t) => ({follower_js})().at(...t).exitCounts)",
        [[bits, [code, 9_700]] for bits in WIDTHS for code in (5_000, 9_000, 9_900, 9_999)],
    )
    release(page, "t1")

    assert metric(page, "edge") == dragged
    expected = [
        policy.outcome(zoo.trace("digits-vgg", f"deployed-{bits}bit"), (code / 10_000, 0.97))
        for bits in WIDTHS
        for code in (5_000, 9_000, 9_900, 9_999)
    ]
    assert counted == [list(one.exit_counts) for one in expected]
    limits = (float(page.locator(".st-key-t1 input[type=range]").input_value()), 0.8)
    point = policy.outcome(zoo.trace("digits-vgg", "deployed-1bit"), limits)
    assert dragged[1] == f"{sum(point.exit_counts[:-1]):,} of 359"
