"""Choose in a real browser: from limits to a point in Explore, a TOML file and a report."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid.choosing import Limits, choose, collect_candidates
from hybrid.choosing.curves import LEVELS
from tests.browser.waiting import PATIENCE_MS, click_point, said_by_address, settled

pytestmark = pytest.mark.browser

ANSWER = ".st-key-choose_answer"


def open_choose(page: Any, address: str, query: str) -> None:
    # Through the first page: below a page's path Streamlit first looks for its health in vain.
    page.goto(f"{address}/?{query}", timeout=PATIENCE_MS)
    page.wait_for_selector(".st-key-explore_flow .js-plotly-plot", timeout=PATIENCE_MS)
    page.get_by_role("link", name="Choose", exact=True).click()
    page.wait_for_selector(f"{ANSWER} .st-key-choose_report button", timeout=PATIENCE_MS)
    settled(page)


def set_limit(page: Any, key: str, value: str) -> None:
    box = page.locator(f".st-key-choose_{key} input")
    box.fill(value)
    box.press("Enter")
    said_by_address(page, f"{key}={value}")


def download(page: Any, key: str) -> Path:
    with page.expect_download(timeout=PATIENCE_MS) as started:
        page.locator(f".st-key-{key} button").click()
    return Path(started.value.path())


def shown(best: Any) -> str:
    """The thresholds of a point as the page writes them."""
    return ", ".join(f"{t:.8f}".rstrip("0").rstrip(".") for t in best.thresholds)


@pytest.fixture
def expected(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HYBRID_PRETRAINED", str(pretrained))
    limits = Limits(max_loss_points=12.0, confidence=0.9, max_energy_uj=12.0)
    best = choose(collect_candidates(["trees-toy"]), limits).best
    assert best is not None
    assert best.mode in {"hybrid", "edge"}
    return best


def test_limits_lead_to_a_point_a_file_and_a_report(
    page: Any, chromium: Any, address: str, expected: Any, tmp_path: Path
) -> None:
    open_choose(page, address, "network=trees-toy&bits=1")
    for key, value in (("loss", "12"), ("confidence", "90"), ("energy_uj", "12")):
        set_limit(page, key, value)
    page.locator(ANSWER).get_by_text(shown(expected)).first.wait_for(timeout=PATIENCE_MS)

    point = tomllib.loads(download(page, "choose_toml").read_text())
    report = download(page, "choose_report")

    assert point["network"] == "trees-toy"
    assert (point["variant"], tuple(point["thresholds"])) == (expected.variant, expected.thresholds)
    assert point["limits"] == {"max_loss_points": 12, "confidence": 0.9, "max_energy_uj": 12}
    assert point["certificate"]["confidence"] == 0.9
    opened = tmp_path / "report.html"
    opened.write_bytes(report.read_bytes())
    offline = chromium.new_context(offline=True)  # the page itself must not lose its server
    beside = offline.new_page()
    beside.goto(f"file://{opened}", timeout=PATIENCE_MS)
    beside.wait_for_selector("#trade .main-svg", timeout=PATIENCE_MS)
    assert "With 90 % confidence" in beside.content()
    offline.close()


def test_the_choice_opens_in_explore_and_the_limits_are_there_on_the_way_back(
    page: Any, address: str, expected: Any
) -> None:
    query = "network=trees-toy&bits=4"
    open_choose(page, address, query)
    for key, value in (("loss", "12"), ("confidence", "90"), ("energy_uj", "12")):
        set_limit(page, key, value)
    page.locator(ANSWER).get_by_text(shown(expected)).first.wait_for(timeout=PATIENCE_MS)

    page.locator(f"{ANSWER} .st-key-choose_open button").click()

    page.wait_for_selector(".st-key-explore_flow .js-plotly-plot", timeout=PATIENCE_MS)
    said_by_address(page, f"bits={expected.bits}")
    sliders = [page.locator(f".st-key-t{i + 1} input[type=range]").input_value() for i in (0, 1)]
    assert tuple(float(value) for value in sliders) == expected.thresholds
    page.go_back()
    page.wait_for_selector(f"{ANSWER} .st-key-choose_report button", timeout=PATIENCE_MS)
    assert page.locator(".st-key-choose_energy_uj input").input_value() == "12"
    page.wait_for_function("location.search.includes('energy_uj=12')", timeout=PATIENCE_MS)
    page.locator(ANSWER).get_by_text(shown(expected)).first.wait_for(timeout=PATIENCE_MS)


def test_a_limit_without_sense_takes_the_answer_away_and_an_emptied_one_stays_empty(
    page: Any, address: str
) -> None:
    open_choose(page, address, "network=trees-toy&bits=4")

    for value in ("500", "-1"):
        set_limit(page, "loss", value)
        page.get_by_text(f"{value} is not possible: give 0 to 100").wait_for(timeout=PATIENCE_MS)
        assert page.locator(ANSWER).count() == 0

    box = page.locator(".st-key-choose_loss input")
    box.fill("")
    box.press("Enter")
    page.locator(ANSWER).wait_for(timeout=PATIENCE_MS)
    said_by_address(page, "loss=&")
    assert box.input_value() == ""


def test_a_click_on_the_curve_sets_the_limit(page: Any, address: str) -> None:
    open_choose(page, address, "network=trees-toy&bits=4")
    before = page.locator(".st-key-choose_loss input").input_value()

    click_point(page, ".st-key-choose_curve .js-plotly-plot", "Without it")

    page.wait_for_function(
        "before => document.querySelector('.st-key-choose_loss input').value !== before",
        arg=before,
        timeout=PATIENCE_MS,
    )
    limit = page.locator(".st-key-choose_loss input").input_value()
    said_by_address(page, f"loss={limit}")
    assert float(limit) in LEVELS


def test_a_click_marks_a_candidate_and_dragging_along_an_axis_keeps_what_is_inside(
    page: Any, address: str
) -> None:
    open_choose(page, address, "network=trees-toy&bits=4")
    page.wait_for_selector(".st-key-choose_axes .parcoords", timeout=PATIENCE_MS)

    click_point(page, ".st-key-choose_trade .js-plotly-plot", "Hybrid")

    page.locator(".st-key-choose_marked").wait_for(timeout=PATIENCE_MS)
    assert "Marked: trees-toy, hybrid" in page.locator(".st-key-choose_marked").inner_text()
    axes = page.locator(".st-key-choose_axes")
    axes.scroll_into_view_if_needed()
    settled(page, "document.querySelector('.st-key-choose_axes').getBoundingClientRect().y")
    third = axes.locator(".axis-brush").nth(2).bounding_box()
    middle = third["x"] + third["width"] / 2
    page.mouse.move(middle, third["y"] + third["height"] * 0.9)
    page.mouse.down()
    page.mouse.move(middle, third["y"] + third["height"] * 0.6, steps=6)
    page.mouse.up()
    page.wait_for_function(
        "document.querySelector('.st-key-choose_axes .js-plotly-plot')"
        "._fullData[0].dimensions[2].constraintrange != null",
        timeout=PATIENCE_MS,
    )


def test_a_link_to_choose_says_its_limits(
    chromium: Any, serve: Callable[[Path], str], pretrained: Path
) -> None:
    page = chromium.new_page()

    page.goto(f"{serve(pretrained)}/choose?network=trees-toy&loss=&energy_uj=9&among=trees-wide")

    page.locator(ANSWER).get_by_text("trees-wide").first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_function(
        "document.querySelector('.st-key-choose_energy_uj input')?.value === '9'",
        timeout=PATIENCE_MS,
    )
    assert page.locator(".st-key-choose_loss input").input_value() == ""
    assert "trees-wide" in page.locator(".st-key-choose_among").inner_text()
    page.close()
