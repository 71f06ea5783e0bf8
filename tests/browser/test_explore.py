"""Explore in a real browser: dragging, clicking, links, and that both sides agree."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid import energy, evaluation, policy, zoo
from hybrid.text import numbers
from hybrid.traces import trace
from tests.browser.waiting import PATIENCE_MS, click_point, said_by_address, settled

pytestmark = pytest.mark.browser

WIDTHS = (1, 2, 3, 4, 32)  # of trees-wide
HEADLINES = ("edge", "accuracy", "energy", "reduction", "latency", "uplink")
READY = ".st-key-explore_flow .js-plotly-plot"


@pytest.fixture(scope="module")
def follower_js() -> str:
    """Finds the follower's root, also inside a shadow root."""
    return """() => {
        const roots = [document];
        for (const host of document.querySelectorAll('.st-key-explore_follower *'))
            if (host.shadowRoot) roots.push(host.shadowRoot);
        for (const root of roots) {
            const found = root.querySelector('.follower');
            if (found?.follower) return found.follower;
        }
        return null;
    }"""


def open_explore(page: Any, address: str, query: str, follower_js: str) -> None:
    page.goto(f"{address}/?{query}")
    page.wait_for_selector(READY, timeout=PATIENCE_MS)
    page.wait_for_function(f"({follower_js})()?.held().length > 0", timeout=PATIENCE_MS)
    settled(page)  # the follower says that it runs, and Python runs once more


def metric(page: Any, key: str) -> list[str]:
    holder = page.locator(f".st-key-explore_{key}")
    return [
        holder.locator("[data-testid=stMetricValue]").inner_text(),
        holder.locator("[data-testid=stMetricDelta]").inner_text(),
    ]


def recorded(pretrained: Path, network: str, bits: int) -> trace.Trace:
    return trace.load(pretrained / network / f"hybrid-{bits}bit" / "trace-test.parquet")


def evaluate(
    pretrained: Path,
    bits: int,
    thresholds: tuple[float, ...],
    measure: str = "max_probability",
    scope: str = "compute",
) -> policy.OperatingPoint:
    """A point of trees-wide, without anything of the dashboard."""
    card = zoo.load_card(pretrained / "trees-wide" / "card.toml")
    variant = card.variants[f"hybrid-{bits}bit"]
    prices = evaluation.Prices(
        profile=energy.load_profile(energy.DEFAULT_PROFILE),
        link=energy.load_link(energy.DEFAULT_LINK),
        scope=scope,
    )
    return policy.operating_point(
        recorded(pretrained, "trees-wide", bits),
        thresholds,
        measure=measure,
        costs=evaluation.costs(variant, prices),
        twin_energy_pj=evaluation.twin_energy_pj(card, variant, prices),
        twin_accuracy=None,
    )


def slide_to(page: Any, key: str, value: float) -> None:
    """Press the slider's thumb and drag it to a value; the button stays down.

    The value of a slider over bit widths is the place among them.
    """
    track = page.locator(f".st-key-{key} [data-rac][role=group] > div").first.bounding_box()
    thumb = page.locator(f".st-key-{key} [data-testid=stSliderThumbValue]")
    slider = page.locator(f".st-key-{key} input[type=range]")
    most = float(slider.get_attribute("max"))
    now = float(slider.input_value()) / most
    middle = track["y"] + track["height"] / 2
    assert thumb.is_visible()
    page.mouse.move(track["x"] + track["width"] * now, middle)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * value / most, middle, steps=12)


def release(page: Any, key: str) -> None:
    """Let go of a slider's thumb, and wait until the address says where it stands."""
    page.mouse.up()
    value = float(page.locator(f".st-key-{key} input[type=range]").input_value())
    said_by_address(page, f"{key}={value}")


VERDICT = ".st-key-explore_verdict [data-testid=stCaptionContainer] p"


@pytest.mark.parametrize("measure", ["max_probability", "entropy"])
def test_browser_and_python_count_the_same_samples_at_200_random_positions_of_all_sliders(
    page: Any, address: str, pretrained: Path, follower_js: str, measure: str
) -> None:
    open_explore(page, address, f"network=trees-wide&bits=2&measure={measure}", follower_js)
    known = {bits: recorded(pretrained, "trees-wide", bits) for bits in WIDTHS}
    page.wait_for_function(f"({follower_js})().held().length === {len(WIDTHS)}")
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 10_001, (200, 3))
    codes[:2] = [[0, 0, 0], [10_000, 10_000, 10_000]]
    bits = rng.choice(WIDTHS, 200).tolist()

    counted = page.evaluate(
        f"(all) => {{ const f = ({follower_js})(); return all.map((t) => {{ const p = f.at(...t);"
        "return [p.exitCounts, p.rightCounts, p.accuracy, p.edgeFraction, [...p.byClass],"
        "p.words.edge, p.words.accuracy, p.words.energy]; }); }",
        list(zip(bits, codes.tolist(), strict=True)),
    )

    assert len(counted) == 200
    assert set(bits) == set(WIDTHS)
    for width, thresholds, got in zip(bits, codes / 10_000, counted, strict=True):
        exits, right, accuracy, edge, by_class, *words = got
        expected = policy.outcome(known[width], thresholds, measure)
        assert tuple(exits) == expected.exit_counts
        assert tuple(right) == expected.correct_counts
        assert (accuracy, edge) == (expected.accuracy, expected.edge_fraction)
        table = policy.per_class(known[width], thresholds, measure)
        assert by_class == table.exit_counts.ravel().tolist()
        spent = evaluate(pretrained, width, tuple(thresholds), measure)
        assert words[0][0] == numbers.percent(spent.outcome.edge_fraction, 1)
        assert words[1][0] == numbers.percent(spent.outcome.accuracy, 2)
        assert words[2] == [numbers.energy(spent.energy_pj), "compute"]


def test_the_curves_the_browser_draws_are_the_sweeps_that_python_computes(
    page: Any, address: str, pretrained: Path, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-wide&bits=4", follower_js)
    known = recorded(pretrained, "trees-wide", 4)
    grid = np.arange(201) / 200

    for number in range(3):
        drawn = page.evaluate(
            f"(n) => {{ const s = ({follower_js})().sweep(4, n, [9000, 7000, 4000]);"
            "return [[...s.accuracy], [...s.edgeFraction]]; }",
            number,
        )
        expected = policy.sweep(known, exit=number, others=(0.9, 0.7, 0.4), grid=grid)
        np.testing.assert_allclose(drawn[0], 100 * expected.accuracy, rtol=1e-12)
        np.testing.assert_allclose(drawn[1], 100 * expected.edge_fraction, rtol=1e-12)
    together = page.evaluate(
        f"() => {{ const s = ({follower_js})().sweepTogether(4);"
        "return [[...s.accuracy], [...s.edgeFraction]]; }"
    )
    expected = policy.sweep(known, grid=grid)
    np.testing.assert_allclose(together[0], 100 * expected.accuracy, rtol=1e-12)
    np.testing.assert_allclose(together[1], 100 * expected.edge_fraction, rtol=1e-12)


# What the figures hold: the present point, the highlighted line, the flow, bars and curves.
HELD = """() => {
    const graph = (key) => document.querySelector(`.st-key-explore_${key} .js-plotly-plot`);
    const of = (key, meta, axis) =>
        [...graph(key)._fullData.find((trace) => trace.meta === meta)[axis]];
    return {
        present: [of('tradeoff', 'present', 'x')[0], of('tradeoff', 'present', 'y')[0]],
        highlight: of('tradeoff', 'highlight', 'y'),
        flow: [...graph('flow').data[0].link.value],
        parts: of('parts', 'parts', 'x'),
        classes: of('classes', 'class_accuracy', 'x'),
        all: of('threshold', 'accuracy_all', 'y'),
        marks: of('threshold', 'accuracy_marks', 'y'),
    };
}"""


@pytest.mark.parametrize("bits", [4, 1, 32])
def test_everything_follows_the_bit_width_while_it_is_dragged(
    page: Any, address: str, pretrained: Path, follower_js: str, bits: int
) -> None:
    page.set_viewport_size({"width": 1440, "height": 1600})  # every figure is on the screen
    open_explore(page, address, "network=trees-wide&bits=2&t1=0.6&t2=0.5&t3=0.4", follower_js)
    page.wait_for_function(f"({follower_js})().held().length === {len(WIDTHS)}")

    bound_before = page.locator(".st-key-explore_bound").inner_text()
    slide_to(page, "bits", WIDTHS.index(bits))
    settled(page, f"JSON.stringify(({HELD})())")
    dragged = page.evaluate(HELD)
    texts = {key: metric(page, key) for key in HEADLINES}
    verdict = page.locator(VERDICT).inner_text()
    bound = page.locator(".st-key-explore_bound").inner_text()
    assert "bits=2" in page.url  # Python has not been asked
    page.mouse.up()
    said_by_address(page, f"bits={bits}")

    now = evaluate(pretrained, bits, (0.6, 0.5, 0.4))
    outcome = now.outcome
    assert texts["edge"][1] == f"{sum(outcome.exit_counts[:-1]):,} of 10,000"
    assert texts["accuracy"][0] == numbers.percent(outcome.accuracy, 2)
    assert texts["energy"][0] == numbers.energy(now.energy_pj)
    assert dragged["flow"][:4] == list(outcome.exit_counts)
    known = recorded(pretrained, "trees-wide", bits)
    assert dragged["present"][1] == pytest.approx(100 * outcome.accuracy)
    assert dragged["marks"] == pytest.approx([100 * outcome.accuracy] * 3)
    by_class = policy.per_class(known, (0.6, 0.5, 0.4))
    assert dragged["classes"] == pytest.approx((100 * by_class.accuracy).tolist())
    common = policy.sweep(known, grid=np.arange(201) / 200)
    assert dragged["all"] == pytest.approx((100 * common.accuracy).tolist())
    scale = dragged["present"][0] / now.energy_pj  # the figure's unit
    assert sum(dragged["parts"]) == pytest.approx(scale * now.energy_pj)
    # On release Python says the same, and draws no figure again.
    assert {key: metric(page, key) for key in HEADLINES} == texts
    assert page.locator(VERDICT).inner_text() == verdict
    assert page.evaluate(HELD) == dragged
    assert page.locator(".st-key-explore_bound").inner_text() == bound != bound_before
    stands = [float(page.locator(f".st-key-t{i} input").input_value()) for i in (1, 2, 3)]
    assert stands == [0.6, 0.5, 0.4]


def test_a_price_moves_the_figures_and_no_trace_is_sent_again(
    page: Any, address: str, pretrained: Path, follower_js: str
) -> None:
    received: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda f: received.extend([f])))
    open_explore(page, address, "network=trees-wide&bits=2", follower_js)
    page.wait_for_function(f"({follower_js})().held().length === {len(WIDTHS)}")
    settled(page)
    opened, edge = b"".join(received), metric(page, "edge")
    received.clear()

    page.get_by_role("radio", name="device").click()
    said_by_address(page, "scope=device")

    header = b'"grid": 10000, "id": "trees-wide/hybrid-'
    assert opened.count(header) == len(WIDTHS)
    assert b"".join(received).count(header) == 0
    assert metric(page, "reduction")[1] == "device"
    assert metric(page, "edge") == edge
    slide_to(page, "bits", WIDTHS.index(4))
    settled(page, f"JSON.stringify(({HELD})())")
    now = evaluate(pretrained, 4, (0.8, 0.8, 0.8), scope="device")
    assert metric(page, "energy")[0] == numbers.energy(now.energy_pj)
    page.mouse.up()


WATCH_SCOPE = """() => {
    window.seen = [];
    const look = () => {
        const now = document.querySelector('.st-key-explore_now');
        const chosen = document.querySelector('.st-key-scope [aria-checked=true]').textContent;
        const note = now.textContent.includes('compute') ? 'compute' : 'device';
        window.seen.push([chosen, note, now.style.opacity]);
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


def test_figures_of_other_prices_fade_until_python_has_answered(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2", follower_js)
    settled(page)
    page.evaluate(WATCH_SCOPE)

    page.get_by_role("radio", name="device").click()
    said_by_address(page, "scope=device")
    settled(page)

    seen = page.evaluate("window.seen")
    old = [opacity for chosen, note, opacity in seen if chosen != note]
    assert old[1:]
    assert set(old[1:]) == {"0.3"}  # the first may be of the frame in which it was chosen
    assert seen[-1] == ["device", "device", ""]


def test_figures_follow_the_pointer_and_python_says_the_same_on_release(
    page: Any, address: str, pretrained: Path, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2", follower_js)
    before = metric(page, "edge")
    flow = "document.querySelector('.st-key-explore_flow .js-plotly-plot').data[0].link.value"
    flow_before = page.evaluate(f"[...{flow}]")

    slide_to(page, "t1", 0.35)
    page.wait_for_function(
        "([key, before]) => !document.querySelector(key).innerText.includes(before)",
        arg=[".st-key-explore_edge", before[1]],
        timeout=PATIENCE_MS,
    )
    settled(page, f"JSON.stringify([...{flow}])")
    dragged = {key: metric(page, key) for key in HEADLINES}
    verdict = page.locator(VERDICT).inner_text()
    flow_dragged = page.evaluate(f"[...{flow}]")
    address_while_dragging = page.url
    release(page, "t1")

    assert dragged["edge"] != before
    assert flow_dragged != flow_before
    assert "t1=0.8&" in address_while_dragging
    threshold = float(page.locator(".st-key-t1 input[type=range]").input_value())
    assert f"t1={threshold}" in page.url
    assert {key: metric(page, key) for key in HEADLINES} == dragged
    assert page.locator(VERDICT).inner_text() == verdict
    expected = policy.outcome(recorded(pretrained, "trees-toy", 2), (threshold, 0.8))
    assert flow_dragged[:3] == list(expected.exit_counts)
    assert dragged["edge"][1] == f"{sum(expected.exit_counts[:-1]):,} of 2,000"


def test_what_the_browser_cannot_count_fades_until_python_has_drawn_it(
    page: Any, address: str, pretrained: Path, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-mixed&bits=2", follower_js)
    opacity = "document.querySelector('.st-key-explore_now')?.style.opacity"

    slide_to(page, "bits", 0)  # one bit has a single exit, for which there are too many sliders
    page.wait_for_function(f"() => {opacity} === '0.3'")
    page.mouse.up()
    said_by_address(page, "bits=1")

    known = recorded(pretrained, "trees-mixed", 1)
    expected = policy.outcome(known, (0.8,))
    page.wait_for_function(f"() => {opacity} === ''")
    assert metric(page, "edge")[1] == f"{expected.exit_counts[0]:,} of 500"
    assert page.locator(".st-key-t2").count() == 0

    slide_to(page, "bits", 2)  # four bits have no trace
    page.wait_for_function(f"() => {opacity} === '0.3'")
    page.mouse.up()
    page.get_by_text("There is no trace of trees-mixed hybrid-4bit on test").wait_for()
    assert page.locator(".st-key-explore_now").count() == 0


def test_a_slider_that_cannot_matter_is_named_while_another_is_dragged(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2", follower_js)
    line = page.locator(".st-key-explore_reach")
    assert "changes nothing" not in line.inner_text()

    slide_to(page, "t1", 0)

    page.wait_for_function("() => document.querySelector('.st-key-t2').style.opacity === '0.3'")
    dragged = line.inner_text()
    release(page, "t1")
    assert "No image reaches Exit 2 at these thresholds, so its slider changes nothing." in dragged
    assert line.inner_text() == dragged


def test_undo_takes_back_a_dragged_bit_width_and_a_dragged_threshold(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2", follower_js)
    before = {key: metric(page, key) for key in HEADLINES}
    for slider, value in (("bits", 0), ("t2", 0.3)):
        slide_to(page, slider, value)
        page.mouse.up()
        settled(page)
    after = {key: metric(page, key) for key in HEADLINES}

    for _ in range(2):
        page.locator(".st-key-undo button:visible").click()
        settled(page)

    assert after != before
    assert {key: metric(page, key) for key in HEADLINES} == before
    assert page.locator(".st-key-bits input").input_value() == "1"  # of 1, 2 and 4 bits
    assert page.locator(".st-key-t2 input").input_value() == "0.8"


def test_on_a_phone_the_sliders_fit_a_thumb_and_stay_in_view(
    chromium: Any, address: str, follower_js: str
) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    open_explore(page, address, "network=trees-wide&bits=2", follower_js)

    page.locator(".st-key-explore_classes").scroll_into_view_if_needed()
    settled(page, "document.querySelector('[data-testid=stMain]').scrollTop")
    boxes = page.evaluate("""() => [...document.querySelectorAll(
        '.st-key-thresholds [data-rac][role=group] > div, .st-key-thresholds button[role=radio],'
        + '.st-key-undo button, .st-key-reset button')]
        .filter((target) => target.offsetWidth).map((target) => {
            const box = target.getBoundingClientRect();
            const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return [box.width, box.height, box.top, box.bottom, target.contains(top)];
        })""")
    scrolled = page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop")
    context.close()

    assert scrolled > 500
    assert len(boxes) == 4 + 2 + 2  # sliders, modes, undo and reset
    for width, height, top, bottom, on_top in boxes:
        assert min(width, height) >= 44
        assert 0 <= top < bottom <= 844 / 2
        assert on_top


def test_the_button_to_a_better_point_fades_while_the_verdict_names_another_one(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2&t1=1&t2=1", follower_js)
    before = page.locator(VERDICT).inner_text()
    opacity = "getComputedStyle(document.querySelector('[class*=st-key-explore_better_]')).opacity"
    assert page.evaluate(opacity) == "1"

    slide_to(page, "t1", 0.3)
    page.wait_for_function(f"Number({opacity}) < 1", timeout=PATIENCE_MS)
    dragged = page.locator(VERDICT).inner_text()
    release(page, "t1")

    assert dragged != before
    assert page.locator(VERDICT).inner_text() == dragged
    button = page.locator("[class*=st-key-explore_better_]")
    assert button.count() == 0 or page.evaluate(opacity) == "1"


# Of each figure the attributes of its shapes that the follower writes, as plain numbers.
SHAPES = """() => {
    const figure = (key) => document.querySelector(`.st-key-explore_${key} .js-plotly-plot`);
    const all = (key, selector) => [...figure(key).querySelectorAll(selector)];
    const of = (shapes, name) =>
        shapes.map((shape) => (shape.getAttribute(name).match(/-?[0-9.]+/g) ?? []).map(Number));
    return {
        tradeoff: of(all('tradeoff', 'g.trace:last-of-type path.point'), 'transform'),
        threshold: of(all('threshold', 'g.trace path.point'), 'transform'),
        parts: of(all('parts', 'g.point > path'), 'd'),
        classes: of(all('classes', 'g.point > path'), 'd'),
        accuracy: of(all('classes', 'path.point'), 'transform'),
        nodes: of(all('flow', '.sankey-node'), 'transform'),
        heights: of(all('flow', '.node-rect'), 'height'),
        links: of(all('flow', '.sankey-link'), 'd').map((path) => path.slice(0, 2)),
    };
}"""

# The same attributes, emptied, so that whatever stands there afterwards was written.
EMPTIED = """() => {
    for (const mark of document.querySelectorAll('.js-plotly-plot g.trace path.point'))
        mark.setAttribute('transform', 'translate(0,0)');
    for (const bar of document.querySelectorAll('.js-plotly-plot g.point > path:not(.point)'))
        bar.setAttribute('d', 'M0,0V0H0V0Z');
    for (const node of document.querySelectorAll('.sankey-node')) {
        const [across] = node.getAttribute('transform').match(/-?[0-9.]+/);
        node.setAttribute('transform', `translate(${across},0)`);
        node.querySelector('.node-rect').setAttribute('height', 0);
    }
    for (const link of document.querySelectorAll('.sankey-link')) link.setAttribute('d', 'M0,0');
}"""


def test_the_shapes_written_while_dragging_are_those_plotly_draws(
    page: Any, address: str, follower_js: str
) -> None:
    page.set_viewport_size({"width": 1440, "height": 1600})  # every figure is on the screen
    open_explore(page, address, "network=trees-wide&bits=2&t1=0.5&t2=0.6&t3=0.7", follower_js)
    drawn = page.evaluate(SHAPES)
    page.evaluate(EMPTIED)

    slid = page.evaluate(f"({follower_js})().slide()")

    assert slid == dict.fromkeys(
        [f"explore_{key}" for key in ("tradeoff", "threshold", "parts", "classes", "flow")], True
    )
    for key, written in page.evaluate(SHAPES).items():
        assert len(written) == len(drawn[key]) > 0
        for one, other in zip(written, drawn[key], strict=True):
            np.testing.assert_allclose(one, other, atol=0.6, err_msg=key)  # of a pixel


def test_an_arrow_key_moves_the_point_and_the_screen_reader_hears_one_sentence(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2&t1=0.5", follower_js)
    slider = page.locator(".st-key-t1 input[type=range]")

    slider.focus()
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    said_by_address(page, "t1=0.5025")

    assert slider.input_value() == "0.5025"
    spoken = page.locator(".st-key-explore_follower output")
    edge, accuracy = metric(page, "edge")[0], metric(page, "accuracy")[0]
    assert spoken.inner_text().startswith(f"{edge} answered at the edge, accuracy {accuracy}")
    assert spoken.get_attribute("aria-live") == "polite"


def test_a_click_on_the_frontier_moves_bit_width_and_sliders_there(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=1", follower_js)
    figure = ".st-key-explore_tradeoff .js-plotly-plot"

    bits, *thresholds = click_point(page, figure, "4 bits")

    said_by_address(page, f"bits={bits:.0f}")
    stands = [float(page.locator(f".st-key-t{i} input").input_value()) for i in (1, 2)]
    assert stands == thresholds


def test_a_copied_link_is_the_first_request_of_a_fresh_server(
    page: Any, serve: Callable[[Path], str], pretrained: Path, follower_js: str
) -> None:
    query = "network=trees-toy&bits=4&t1=0.61&t2=0.33&scope=device&measure=margin&sliders=each"

    open_explore(page, serve(pretrained), query, follower_js)

    known = recorded(pretrained, "trees-toy", 4)
    expected = policy.outcome(known, (0.61, 0.33), "margin")
    assert metric(page, "edge")[1] == f"{sum(expected.exit_counts[:-1]):,} of 2,000"
    assert metric(page, "reduction")[1] == "device"
    assert page.locator("nav, [data-testid=stTopNavLinkContainer]").count()
    for part in query.split("&"):
        assert part in page.url


def test_the_shared_controls_keep_their_values_on_another_page(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2&t1=0.4&scope=device", follower_js)

    page.get_by_role("link", name="Networks").click()
    page.get_by_text("Stages, exits and cut").wait_for()
    settled(page)
    page.get_by_role("link", name="Explore").click()
    page.wait_for_selector(READY)
    settled(page)

    assert page.locator(".st-key-t1 input[type=range]").input_value() == "0.4"
    assert "t1=0.4" in page.url
    assert "scope=device" in page.url


@pytest.mark.parametrize("width, height, scheme", [(1440, 900, "light"), (390, 844, "dark")])
def test_nothing_is_clipped_and_nothing_scrolls_sideways(
    chromium: Any, address: str, follower_js: str, width: int, height: int, scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    open_explore(page, address, "network=trees-wide&bits=2&scope=compute+%2B+memory", follower_js)

    clipped = page.evaluate("""() => [
        ...document.querySelectorAll('[data-testid=stMain] p')
    ].filter((p) => p.scrollWidth > p.clientWidth + 1 && p.clientWidth > 0
        && getComputedStyle(p).display !== 'inline').map((p) => p.innerText)""")
    sizes = page.evaluate("""() => {
        const main = document.querySelector('[data-testid=stMain]');
        return [main.scrollWidth - main.clientWidth,
                document.documentElement.scrollWidth - innerWidth];
    }""")
    context.close()

    assert clipped == []
    assert max(sizes) <= 0


def test_the_colours_in_the_browser_are_those_of_the_theme(
    page: Any, address: str, follower_js: str
) -> None:
    open_explore(page, address, "network=trees-toy&bits=2", follower_js)

    colours = page.evaluate(
        "document.querySelector('.st-key-explore_flow .js-plotly-plot')._fullData[0].node.color"
    )

    assert colours[1:3] == ["#1f5fd0", "#d97a12"]
