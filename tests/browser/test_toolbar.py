"""The toolbar of figures, captioned images and kept points in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.waiting import PATIENCE_MS, click_point, said_by_address, settled

pytestmark = pytest.mark.browser

FIGURE = ".st-key-explore_tradeoff .js-plotly-plot"
QUERY = "network=trees-toy&bits=2&t1=0.6&t2=0.5"
RANGE = f"document.querySelector('{FIGURE}')._fullLayout.xaxis.range.join()"
DRAGMODE = f"document.querySelector('{FIGURE}')._fullLayout.dragmode"
# Where the present point is drawn, and where its axes place it, in pixels.
PRESENT = f"""() => {{
    const graph = document.querySelector('{FIGURE}');
    const at = graph._fullData.findIndex((trace) => trace.meta === 'present');
    const group = [...graph.querySelectorAll('g.trace')].find(
        (one) => one.__data__?.[0]?.trace?.index === at);
    const drawn = group.querySelector('path.point').getAttribute('transform').match(/-?[\\d.]+/g);
    const {{xaxis, yaxis}} = graph._fullLayout;
    const trace = graph._fullData[at];
    return [drawn.map(Number), [xaxis.d2p(trace.x[0]), yaxis.d2p(trace.y[0])]];
}}"""


@pytest.fixture(scope="module")
def digits(serve: Callable[[Path], str], root: Path) -> str:
    """A server over the networks that ship: made-up ones have no images."""
    return serve(root / "pretrained")


def open_explore(page: Any, address: str, query: str = QUERY) -> None:
    page.goto(f"{address}/?{query}")
    page.wait_for_selector(f"{FIGURE} .modebar", state="attached", timeout=PATIENCE_MS)
    settled(page)
    page.locator(FIGURE).hover()
    page.wait_for_selector(f"{FIGURE} .hybrid-svg", timeout=PATIENCE_MS)


def tool(page: Any, title: str) -> Any:
    return page.locator(f"{FIGURE} .modebar-btn[data-title='{title}']")


@pytest.mark.parametrize(
    "title, name, begins",
    [
        ("Download plot as a PNG", "hybrid.png", b"\x89PNG"),
        ("Download plot as an SVG", "hybrid.svg", b"<svg"),
    ],
)
def test_a_figure_is_saved(page: Any, address: str, title: str, name: str, begins: bytes) -> None:
    open_explore(page, address)

    with page.expect_download() as saved:
        tool(page, title).click()

    assert saved.value.suggested_filename == name
    assert saved.value.path().read_bytes().startswith(begins)


def test_a_zoomed_figure_still_follows_the_sliders_and_can_be_reset(
    page: Any, address: str
) -> None:
    open_explore(page, address)
    whole = page.evaluate(RANGE)

    tool(page, "Zoom in").click()
    page.wait_for_function(f"{RANGE} !== '{whole}'", timeout=PATIENCE_MS)
    zoomed = page.evaluate(RANGE)
    slider = page.locator(".st-key-t1 input[type=range]")
    slider.focus()
    for _ in range(5):
        slider.press("PageDown")
    settled(page)

    drawn, placed = page.evaluate(PRESENT)
    assert drawn == pytest.approx(placed, abs=0.02)
    assert page.evaluate(RANGE) == zoomed
    page.locator(FIGURE).hover()
    tool(page, "Reset axes").click()
    page.wait_for_function(f"{RANGE} === '{whole}'", timeout=PATIENCE_MS)


def test_a_point_of_a_zoomed_figure_can_be_clicked(page: Any, address: str) -> None:
    open_explore(page, address)
    tool(page, "Zoom in").click()
    settled(page)

    bits, *thresholds = click_point(page, FIGURE, "1 bit")

    said_by_address(page, f"bits={bits:g}", *(f"t{i + 1}=" for i in range(len(thresholds))))


def test_a_tool_in_use_is_put_away_by_a_second_click(page: Any, address: str) -> None:
    open_explore(page, address)
    assert page.evaluate(DRAGMODE) is False

    tool(page, "Zoom").click()
    page.wait_for_function(f"{DRAGMODE} === 'zoom'", timeout=PATIENCE_MS)
    page.locator(FIGURE).hover()
    tool(page, "Zoom").click()

    page.wait_for_function(f"{DRAGMODE} === false", timeout=PATIENCE_MS)


# Streamlit gives the figures of Choose, which report clicks, a tool that would take the finger.
@pytest.mark.parametrize("path, key", [("", "explore_tradeoff"), ("choose", "choose_trade")])
def test_a_finger_on_a_figure_scrolls_the_page(
    chromium: Any, address: str, path: str, key: str
) -> None:
    figure = f".st-key-{key} .js-plotly-plot"
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{address}/{path}?{QUERY}")
    page.wait_for_selector(f"{figure} .modebar", state="attached")
    settled(page)
    page.locator(figure).scroll_into_view_if_needed()
    settled(page)
    box = page.locator(f"{figure} .nsewdrag").bounding_box()
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = page.evaluate(scrolled)

    x, y = box["x"] + 0.7 * box["width"], box["y"] + 0.8 * box["height"]
    finger = context.new_cdp_session(page)
    for number in range(12):
        kind = "touchMove" if number else "touchStart"
        points = [{"x": x, "y": y - 10 * number}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    page.wait_for_function(f"{scrolled} > {before} + 50", timeout=PATIENCE_MS)
    shown = page.locator(".modebar").evaluate_all(
        "bars => bars.filter(bar => getComputedStyle(bar).opacity === '1')"
        ".map(bar => bar.closest('[class*=st-key]').className.match(/st-key-(\\w+)/)[1])"
    )
    assert shown == [key]
    context.close()


def test_an_image_of_explore_opens_in_try_an_image_and_back_returns(page: Any, digits: str) -> None:
    page.goto(f"{digits}/?network=digits-vgg&bits=2&t1=0.6&t2=0.6")
    images = page.locator(".st-key-explore_images_0 button")
    images.first.wait_for(timeout=PATIENCE_MS)
    settled(page)

    images.nth(2).click()
    said_by_address(page, "try_image", "image=test", "t1=0.6")
    page.get_by_text("digits test").wait_for(timeout=PATIENCE_MS)
    page.go_back()

    images.nth(2).wait_for(timeout=PATIENCE_MS)
    settled(page)
    assert "try_image" not in page.url
    assert "image=" not in page.url


def test_a_kept_point_is_in_the_address_and_back_takes_it_away(page: Any, address: str) -> None:
    open_explore(page, address)
    page.locator(".st-key-explore_kept_name input").fill("first one")
    page.locator(".st-key-explore_kept_keep button").first.click()
    said_by_address(page, "kept=first+one~trees-toy~2~0.6_0.5")

    page.reload()
    page.wait_for_selector(".st-key-explore_kept_first", timeout=PATIENCE_MS)
    settled(page)
    page.go_back()

    page.wait_for_selector(".st-key-explore_kept_first", state="detached", timeout=PATIENCE_MS)
    settled(page)
    assert "kept=" not in page.url
