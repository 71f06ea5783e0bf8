"""What a user waits for: frames while dragging, figures after a move, twenty users, the start.

    python -m benchmarks.dashboard

Made-up traces of 10,000 samples and three early exits. A headless Chromium drags a slider; the
frame times are those of the follower's animation frames. `bare` is a Streamlit page with one slider
and one text, `import` one that only imports streamlit, both in the same run. Users are clients of
the server's websocket that send what a released slider sends and wait until the run is finished.
"""

import contextlib
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from benchmarks.rows import format_row, machine
from tests.ui.synthetic import write_pretrained

ROOT = Path(__file__).resolve().parent.parent
LINK = "network=trees-toy&bits=2&t1=0.5"
BARE = """import streamlit as st
value = st.slider("Exit 1", 0.0, 1.0, 0.5, 0.001, key="t1", bind="query-params")
with st.container(key="explore_edge"):
    st.metric("Value", f"{value:.3f}")
"""
IMPORT = 'import streamlit as st\nst.text("Here")\n'
FOLLOWER_ID = "-explore_follower"  # how the component's widget id ends
USERS = 20
MOVES = 15

# Milliseconds from the key press to the first change of the headline's text.
CHANGED_AFTER = """() => new Promise((done) => {
    const text = document.querySelector('.st-key-explore_edge [data-testid=stMetricValue] p');
    const before = text.innerText;
    const input = document.querySelector('.st-key-t1 input[type=range]');
    let pressed = 0;
    input.addEventListener('keydown', () => { pressed = performance.now(); }, { once: true });
    const look = () => {
        const now = document.querySelector('.st-key-explore_edge [data-testid=stMetricValue] p');
        if (pressed && now && now.innerText !== before) done(performance.now() - pressed);
        else requestAnimationFrame(look);
    };
    look();
})"""
FOLLOWER = """() => {
    for (const host of document.querySelectorAll('.st-key-explore_follower *')) {
        const found = host.shadowRoot?.querySelector('.follower');
        if (found?.follower) return found.follower.frames;
    }
    return null;
}"""


def main() -> None:
    """Print one row."""
    with tempfile.TemporaryDirectory() as folder:
        pretrained = write_pretrained(Path(folder), samples=10_000, exits=3, bits=(2, 4))
        bare, imports = Path(folder) / "bare.py", Path(folder) / "imports.py"
        bare.write_text(BARE)
        imports.write_text(IMPORT)
        row: dict[str, object] = {"benchmark": "dashboard", **machine("streamlit", "plotly")}
        row |= starts(ROOT / "app.py", imports, pretrained)
        with server(ROOT / "app.py", pretrained) as ours, server(bare, pretrained) as theirs:
            row |= users(ours)
            row |= in_browser(ours, theirs)
    print(format_row(row))


def in_browser(ours: str, theirs: str) -> dict[str, float]:
    """Frame times while dragging, and the time from a move to changed figures."""
    with chromium() as page:
        page.goto(f"{ours}/?{LINK}")
        page.wait_for_function(f"({FOLLOWER})() !== null", timeout=60_000)
        page.wait_for_timeout(3000)
        frames = dragged_frames(page)
        changed = moves(page)
        page.goto(theirs)
        page.wait_for_selector(".st-key-explore_edge [data-testid=stMetricValue] p")
        page.wait_for_timeout(1500)
        bare = moves(page)
    return frames | {
        "changed_ms": changed,
        "bare_changed_ms": bare,
        "changed_ratio": changed / bare,
    }


def dragged_frames(page: Page) -> dict[str, float]:
    """Median and 95th percentile of the time between frames, and of the follower's own work."""
    box = page.locator(".st-key-t1 [data-rac][role=group] > div").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.wait_for_timeout(300)
    started = page.evaluate("performance.now()")
    for step in range(120):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.6 * abs(step % 100 - 50) / 50), middle)
    frames = page.evaluate(f"(from) => ({FOLLOWER})().filter(([at]) => at >= from)", started)
    page.mouse.up()
    page.wait_for_timeout(1000)
    between = [after[0] - before[0] for before, after in itertools.pairwise(frames)]
    return {
        "frames": len(frames),
        "frame_ms": statistics.median(between),
        "frame_p95_ms": percentile(between, 0.95),
        "follower_ms": statistics.median(work for _, work in frames),
    }


def moves(page: Page) -> float:
    """Median time from a key press on the slider to changed text, in ms."""
    times = []
    for _ in range(MOVES):
        page.locator(".st-key-t1 input[type=range]").focus()
        handle = page.evaluate_handle(f"() => ({{ promise: ({CHANGED_AFTER})() }})")
        for _ in range(4):  # one step may not move a single sample
            page.keyboard.press("ArrowRight")
        times.append(float(page.evaluate("(held) => held.promise", handle)))
        page.wait_for_timeout(400)
    return statistics.median(times)


def users(ours: str) -> dict[str, float]:
    """95th percentile of a finished run after a released slider, for one user and for many."""
    alone = percentile(run_users(ours, 1), 0.95)
    many = percentile(run_users(ours, USERS), 0.95)
    return {"one_user_p95_ms": alone, f"{USERS}_users_p95_ms": many, "users_ratio": many / alone}


def run_users(ours: str, count: int) -> list[float]:
    """Milliseconds of every move of so many users, who all move at their own pace."""
    times: list[float] = []

    def use(number: int) -> None:
        with connect(f"{ours.replace('http', 'ws')}/_stcore/stream", max_size=None) as socket_:
            kept: set[str] = set()
            sliders = rerun(socket_, {}, kept)
            for move in range(MOVES):
                time.sleep(0.5 + 0.05 * (number % 10))  # a user looks before the next move
                wanted = dict.fromkeys(sliders, 0.3 + 0.02 * move)
                start = time.perf_counter()
                rerun(socket_, wanted, kept)
                times.append((time.perf_counter() - start) * 1e3)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def rerun(connection: ClientConnection, sliders: dict[str, float], kept: set[str]) -> list[str]:
    """Ask for a run with these sliders, wait until it is finished; the ids of its sliders.

    Args:
        kept: hashes of the messages that this client has, as a browser tells the server.
    """
    asked = BackMsg()
    asked.rerun_script.query_string = LINK
    asked.rerun_script.cached_message_hashes.extend(kept)
    for identity, value in sliders.items():
        state = asked.rerun_script.widget_states.widgets.add()
        state.id = identity
        if identity.endswith(FOLLOWER_ID):
            state.json_value = '{"alive": true}'  # what the follower says of itself
        else:
            state.double_array_value.data.append(value)
    connection.send(asked.SerializeToString())
    found = list(sliders)
    while True:
        answer = ForwardMsg()
        answer.ParseFromString(bytes(connection.recv(timeout=60)))
        if answer.metadata.cacheable:
            kept.add(answer.hash)
        element = answer.delta.new_element
        for identity in (element.slider.id, element.bidi_component.id):
            if identity and identity not in found:
                found.append(identity)
        if answer.WhichOneof("type") == "script_finished":
            return found


def starts(ours: Path, imports: Path, pretrained: Path) -> dict[str, float]:
    """Seconds from `streamlit run` to first figures, and for a page that only imports streamlit."""
    with chromium() as page:
        taken = [
            (
                started(page, ours, pretrained, ".st-key-explore_flow .js-plotly-plot"),
                started(page, imports, pretrained, "[data-testid=stText]"),
            )
            for _ in range(3)
        ]
    first, bare = (statistics.median(column) for column in zip(*taken, strict=True))
    return {"first_figures_s": first, "import_only_s": bare, "start_ratio": first / bare}


def started(page: Page, script: Path, pretrained: Path, selector: str) -> float:
    """Seconds until the selector is seen."""
    start = time.perf_counter()
    with server(script, pretrained) as address:
        page.goto(address)
        page.wait_for_selector(selector, timeout=60_000)
        return time.perf_counter() - start


@contextlib.contextmanager
def server(script: Path, pretrained: Path) -> Iterator[str]:
    """A Streamlit server that answers; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += [f"--server.port={port}", "--server.headless=true", "--server.address=127.0.0.1"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"HYBRID_PRETRAINED": str(pretrained)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()


def wait_for(url: str) -> None:
    """Until the server answers, a minute at most."""
    for _ in range(1200):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """A page of a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-background-networking", "--no-first-run"],
        )
        yield browser.new_page(viewport={"width": 1440, "height": 900})
        browser.close()


def percentile(values: list[float], fraction: float) -> Any:
    """The value that this fraction does not exceed."""
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


if __name__ == "__main__":
    main()
