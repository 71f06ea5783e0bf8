"""Back and Forward: one press, one step, on every page; address and page always agree.

Each step changes one thing, presses Back once, Forward once, and reads all of the page each time.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.waiting import PATIENCE_MS, POLLING_MS, click_point, settled
from tests.own_images import write_user_split

pytestmark = pytest.mark.browser

READY = ".st-key-explore_flow .js-plotly-plot"
START = "network=trees-toy&bits=4&t1=0.61&t2=0.33"

# The address, and all values of the page, also of folded parts: figures, sliders, choices, fields.
SHOWN = """JSON.stringify([
    location.pathname + location.search,
    ...['[data-testid=stMetricValue]', '[role=radiogroup] [aria-checked=true]',
        '[data-testid=stTable]'].map(
        (kind) => [...document.querySelectorAll(kind)].map((one) => one.textContent)),
    ...['input[type=range]', '[data-testid=stNumberInput] input'].map(
        (kind) => [...document.querySelectorAll(kind)].map((one) => one.value)),
    [...document.querySelectorAll('[data-testid=stSelectbox], [data-testid=stMultiSelect]')].map(
        (one) => one.textContent + (one.querySelector('input')?.value ?? '')),
])"""


def shown(page: Any) -> str:
    """All of the page, once it stands still."""
    settled(page, SHOWN)
    return str(page.evaluate(SHOWN))


def await_shown(page: Any, wanted: str) -> None:
    """Wait until the page shows this; a page that never does fails with what it shows instead."""
    from playwright.sync_api import TimeoutError as TookTooLong

    with suppress(TookTooLong):
        page.wait_for_function(
            f"wanted => {SHOWN} === wanted", arg=wanted, timeout=PATIENCE_MS, polling=POLLING_MS
        )
    assert page.evaluate(SHOWN) == wanted


def changed(page: Any, change: Callable[[Any], None]) -> tuple[str, str]:
    """The page before and after a change that shows in its address."""
    before, url = shown(page), page.url
    change(page)
    page.wait_for_function("url => location.href !== url", arg=url, timeout=PATIENCE_MS)
    after = shown(page)
    assert after != before
    return before, after


def are_steps(page: Any, changes: Mapping[str, Callable[[Any], None]]) -> None:
    """Make each change; one press of Back undoes it and one of Forward brings it again."""
    for change in changes.values():
        before, after = changed(page, change)

        page.go_back(wait_until="commit")
        await_shown(page, before)
        page.go_forward(wait_until="commit")
        await_shown(page, after)
        assert shown(page) == after  # and it stays


def choose_option(key: str, option: str) -> Callable[[Any], None]:
    def choose(page: Any) -> None:
        page.locator(f".st-key-{key}").get_by_text(option, exact=True).click()

    return choose


def select(key: str, option: str) -> Callable[[Any], None]:
    def pick(page: Any) -> None:
        page.locator(f".st-key-{key} input").first.click()
        page.get_by_role("option", name=option, exact=True).click()

    return pick


def drag(key: str, value: float) -> Callable[[Any], None]:
    """Drag a slider's thumb to a value, by way of others."""

    def move(page: Any) -> None:
        track = page.locator(f".st-key-{key} [data-rac][role=group] > div").first.bounding_box()
        now = float(page.locator(f".st-key-{key} input[type=range]").input_value())
        middle = track["y"] + track["height"] / 2
        page.mouse.move(track["x"] + track["width"] * now, middle)
        page.mouse.down()
        page.mouse.move(track["x"] + track["width"] * value, middle, steps=12)
        page.mouse.up()

    return move


def press_left(key: str) -> Callable[[Any], None]:
    return lambda page: page.locator(f".st-key-{key} input[type=range]").press("ArrowLeft")


def fewer_bits(page: Any) -> None:
    """The next smaller bit width; some pages fold the sliders away."""
    slider = page.locator(".st-key-bits input[type=range]")
    if not slider.count() or not page.locator(".st-key-bits").is_visible():
        page.locator("[data-testid=stExpander] summary").first.click()
    slider.press("ArrowLeft")


def fill(key: str, value: str) -> Callable[[Any], None]:
    def enter(page: Any) -> None:
        field = page.locator(f".st-key-{key} input")
        field.fill(value)
        field.press("Enter")

    return enter


def click_frontier(page: Any) -> None:
    assert click_point(page, ".st-key-explore_tradeoff .js-plotly-plot", "1 bit")


def follow(name: str) -> Callable[[Any], None]:
    """Go to another page; it has come once the view is in its address."""

    def go(page: Any) -> None:
        left = page.evaluate("location.pathname")
        page.get_by_role("link", name=name, exact=True).first.click()
        page.wait_for_function(
            "left => location.pathname !== left && location.search.includes('bits=')",
            arg=left,
            timeout=PATIENCE_MS,
        )

    return go


@pytest.fixture
def explore(page: Any, address: str) -> Any:
    """Explore as a link opens it, after another site."""
    page.goto("data:text/html,before")
    page.goto(f"{address}/?{START}", timeout=PATIENCE_MS)
    page.wait_for_selector(READY, timeout=PATIENCE_MS)
    shown(page)
    return page


def test_one_press_undoes_any_change_of_explore(explore: Any) -> None:
    are_steps(
        explore,
        {
            "bit width": fewer_bits,
            "threshold, dragged": drag("t1", 0.3),
            "threshold, by a key": press_left("t2"),
            "scope": choose_option("scope", "device"),
            "hardware profile": select("profile", "horowitz-45nm-fp32"),
            "link profile": select("link", "lora-sf7"),
            "confidence measure": select("measure", "Margin"),
            "point of the frontier": click_frontier,
            "slider mode": choose_option("sliders", "Shared"),
            "network": select("network", "trees-wide"),
        },
    )


def test_changes_are_undone_one_by_one_and_then_the_dashboard_is_left(explore: Any) -> None:
    steps = [shown(explore)]
    changes = (drag("t1", 0.2), fewer_bits, drag("t1", 0.9))
    steps += [changed(explore, change)[1] for change in changes]
    assert len(set(steps)) == 4

    for step in reversed(steps[:-1]):
        explore.go_back(wait_until="commit")
        await_shown(explore, step)
    explore.go_back(wait_until="commit")

    explore.wait_for_url("data:text/html,before")


def test_a_reload_shows_the_same_and_back_still_undoes(explore: Any) -> None:
    before, after = changed(explore, drag("t1", 0.3))

    explore.reload()
    await_shown(explore, after)
    explore.go_back(wait_until="commit")

    await_shown(explore, before)


def test_an_address_without_a_query_is_completed_without_a_further_step(
    page: Any, address: str
) -> None:
    page.goto("data:text/html,before")
    page.goto(address, timeout=PATIENCE_MS)
    page.wait_for_function("location.search.includes('bits=')", timeout=PATIENCE_MS)
    opened = shown(page)

    page.reload()
    await_shown(page, opened)
    page.go_back(wait_until="commit")

    page.wait_for_url("data:text/html,before")


def test_one_press_leads_to_the_page_before_with_its_settings(explore: Any) -> None:
    pages = [shown(explore)]
    for name in ("Networks", "Choose", "Try an image", "Your data", "Live run"):
        follow(name)(explore)
        pages.append(shown(explore))
    assert len(set(pages)) == 6

    for page in reversed(pages[:-1]):
        explore.go_back(wait_until="commit")
        await_shown(explore, page)
    for page in pages[1:]:
        explore.go_forward(wait_until="commit")
        await_shown(explore, page)


def test_settings_changed_on_another_page_are_those_of_before_after_back(explore: Any) -> None:
    before = shown(explore)
    follow("Networks")(explore)
    networks, _ = changed(explore, fewer_bits)

    explore.go_back(wait_until="commit")
    await_shown(explore, networks)
    explore.go_back(wait_until="commit")

    await_shown(explore, before)


def test_one_press_undoes_a_change_of_networks(explore: Any) -> None:
    follow("Networks")(explore)

    are_steps(
        explore,
        {
            "variant": choose_option("networks_variant_trees-toy_4", "Static 4 bit"),
            "bit width, and the variant with it": fewer_bits,
        },
    )


def test_one_press_undoes_a_limit_of_choose(explore: Any) -> None:
    follow("Choose")(explore)
    explore.wait_for_selector("[data-testid=stTable]:visible", timeout=PATIENCE_MS)

    are_steps(
        explore,
        {
            "limit": fill("choose_loss", "12"),
            "limit that was empty": fill("choose_energy_uj", "20"),
            "networks": select("choose_among", "trees-wide"),
            "scope": choose_option("scope", "device"),
        },
    )


@pytest.fixture
def with_split(
    serve: Callable[[Path], str], pretrained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server with images of the user's, recorded for every bit width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_TRACES", str(tmp_path_factory.mktemp("traces")))
        patch.setenv("HYBRID_PRETRAINED", str(pretrained))
        write_user_split("trees-toy", "mine")
        yield serve(pretrained)


def test_back_from_a_split_opened_in_explore_leads_to_your_data(page: Any, with_split: str) -> None:
    page.goto(f"{with_split}/?{START}", timeout=PATIENCE_MS)
    page.wait_for_selector(READY, timeout=PATIENCE_MS)
    follow("Your data")(page)
    are_steps(page, {"saved split": choose_option("your_split_trees-toy", "mine")})
    page.get_by_role("button", name="Open in Explore").wait_for(timeout=PATIENCE_MS)
    before = shown(page)

    page.get_by_role("button", name="Open in Explore").click()
    page.wait_for_function("location.search.includes('split=mine')", timeout=PATIENCE_MS)
    page.wait_for_selector(READY, timeout=PATIENCE_MS)
    shown(page)
    page.go_back(wait_until="commit")

    await_shown(page, before)
