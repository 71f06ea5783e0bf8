"""Waiting for what a page does: a pause of fixed length is too short on a busy machine."""

import time
from typing import Any

PATIENCE_MS = 120_000
QUIET_MS = 500
POLLING_MS = 50  # each frame would keep the page itself from its work
HOVER_MS = 3_000  # then the figure has moved, and the point is looked for again

_QUIET = """([text, quiet]) => {
    const running = document.querySelector('[data-testid=stApp]')?.dataset.testScriptState;
    const now = `${running} ${eval(text)}`;
    if (running !== 'notRunning' || window.lastSaid !== now) window.quietSince = performance.now();
    window.lastSaid = now;
    return performance.now() - window.quietSince >= quiet;
}"""


def settled(page: Any, watched: str = "location.href") -> None:
    """Wait until for half a second no run has gone on and what is watched has not changed.

    Args:
        page: the page.
        watched: an expression of JavaScript.
    """
    page.evaluate("() => { window.lastSaid = null; }")
    page.wait_for_function(_QUIET, arg=[watched, QUIET_MS], timeout=PATIENCE_MS, polling=POLLING_MS)


def said_by_address(page: Any, *parts: str) -> None:
    """Wait until the address says all these words, and the page stands still after it."""
    page.wait_for_function(
        "parts => parts.every(part => location.href.includes(part))",
        arg=list(parts),
        timeout=PATIENCE_MS,
    )
    settled(page)


def click_point(page: Any, figure: str, trace: str) -> list[float]:
    """Click the last point of a figure's trace that stands well inside its axes.

    The figure may move while it is drawn: the point is looked for again until the figure says that
    it has one of this trace under the pointer.

    Args:
        page: the page.
        figure: a selector of the figure.
        trace: the trace's name.

    Returns:
        customdata of the point that was clicked; empty where it has none.

    Raises:
        AssertionError: no such point within PATIENCE_MS.
    """
    from playwright.sync_api import TimeoutError as TookTooLong

    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        page.locator(figure).scroll_into_view_if_needed()
        settled(page, f"JSON.stringify(document.querySelector('{figure}').getBoundingClientRect())")
        where = page.evaluate(_FIND_POINT, [figure, trace])
        if where is None:
            continue
        x, y = where
        page.mouse.move(x - 40, y + 20)
        page.mouse.move(x, y, steps=5)
        try:
            under = page.wait_for_function(
                _UNDER, arg=[figure, trace, x, y], timeout=HOVER_MS, polling=100
            )
        except TookTooLong:
            continue
        custom = under.json_value()
        page.mouse.click(x, y)
        return list(custom)
    raise AssertionError(f"no point of {trace} could be clicked in {figure}")


_FIND_POINT = """([figure, name]) => {
    const graph = document.querySelector(figure);
    if (!graph?._fullLayout) return null;
    const {xaxis, yaxis} = graph._fullLayout;
    const box = graph.querySelector('.nsewdrag').getBoundingClientRect();
    const inside = (value, axis) => axis.d2p(value) > 5 && axis.d2p(value) < axis._length - 5;
    for (const trace of graph._fullData.filter(t => t.name === name && t.x)) {
        const place = [...trace.x].findLastIndex(
            (x, i) => inside(x, xaxis) && inside(trace.y[i], yaxis));
        if (place >= 0) return [box.x + xaxis.d2p(trace.x[place]),
                                box.y + yaxis.d2p(trace.y[place])];
    }
    return null;
}"""

_UNDER = """([figure, name, x, y]) => {
    const graph = document.querySelector(figure);
    const box = graph.querySelector('.nsewdrag').getBoundingClientRect();
    for (const point of graph._hoverdata ?? [])
        if (point.fullData.name === name
            && Math.abs(box.x + point.xaxis.d2p(point.x) - x) < 4
            && Math.abs(box.y + point.yaxis.d2p(point.y) - y) < 4)
            return Array.from(point.customdata ?? []);
    return null;
}"""
