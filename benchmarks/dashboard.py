"""What a user waits for: frames while dragging, figures after a move, twenty users, the start.

    python -m benchmarks.dashboard

Made-up traces of 10,000 samples and three early exits. A headless Chromium drags a slider; the
frame times are those of the follower's animation frames. `bare` is a Streamlit page with one slider
and one text. First figures are a headline and five charts; `charts` is a bare page that draws as
many, of the same size. It and ours are opened in turn, on a fresh server, from `streamlit run` on,
and warm: by a new browser on a server that has shown the page before. Users are clients of
the server's websocket that send what a released slider sends and wait until the run is finished;
then they look at it for PAUSE_S on average, as a person does. `most_runs_per_s` is without that.
"""

import contextlib
import itertools
import os
import random
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
from tests.chromium import find as find_chromium
from tests.ui.synthetic import write_pretrained

ROOT = Path(__file__).resolve().parent.parent
LINK = "network=trees-toy&bits=2&t1=0.5"
BARE = """import streamlit as st
value = st.slider("Exit 1", 0.0, 1.0, 0.5, 0.001, key="t1", bind="query-params")
with st.container(key="explore_edge"):
    st.metric("Value", f"{value:.3f}")
"""
CHARTS = """import numpy as np
import plotly.graph_objects as go
import streamlit as st
st.metric("Accuracy", "91.0 %")
x = np.linspace(0, 1, 200)
for number in range(5):
    traces = [go.Scatter(x=x, y=x**power, name=f"Line {power}") for power in range(1, 9)]
    figure = go.Figure(traces, layout=go.Layout(template="none", height=320))
    st.plotly_chart(figure, key=f"chart_{number}")
"""
FIRST_FIGURES = """() => document.querySelector('[data-testid=stMetricValue]')
    && document.querySelectorAll('.js-plotly-plot .main-svg').length >= 5
    && document.querySelectorAll('.js-plotly-plot').length >= 5"""
OPENINGS = 5
FOLLOWER_ID = "-explore_follower"  # how the component's widget id ends
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 32)
USERS = 20
MOVES = 15
PAUSE_S = 1.0

# Milliseconds from the key press to the first change of the headline's text, its note included:
# a few steps of a slider move some sample, but not always a tenth of a percent.
CHANGED_AFTER = """() => new Promise((done) => {
    const before = document.querySelector('.st-key-explore_edge').textContent;
    const input = document.querySelector('.st-key-t1 input[type=range]');
    let pressed = 0;
    input.addEventListener('keydown', () => { pressed = performance.now(); }, { once: true });
    const look = () => {
        const now = document.querySelector('.st-key-explore_edge')?.textContent;
        if (pressed && now && now !== before) done(performance.now() - pressed);
        else requestAnimationFrame(look);
    };
    look();
})"""
FOLLOWER = """() => {
    for (const host of document.querySelectorAll('.st-key-explore_follower *')) {
        const found = host.shadowRoot?.querySelector('.follower');
        if (found?.follower) return found.follower;
    }
    return null;
}"""


def main() -> None:
    """Print one row."""
    with tempfile.TemporaryDirectory() as folder:
        pretrained = write_pretrained(Path(folder), samples=10_000, exits=3, bits=WIDTHS)
        bare, charts = Path(folder) / "bare.py", Path(folder) / "charts.py"
        bare.write_text(BARE)
        charts.write_text(CHARTS)
        row: dict[str, object] = {"benchmark": "dashboard", **machine("streamlit", "plotly")}
        row |= openings(ROOT / "app.py", charts, pretrained)
        with server(ROOT / "app.py", pretrained) as ours, server(bare, pretrained) as theirs:
            row |= users(ours)
            row |= in_browser(ours, theirs)
    print(format_row(row))


def in_browser(ours: str, theirs: str) -> dict[str, float]:
    """Frame times while dragging, and the time from a move to changed figures."""
    with chromium() as page:
        page.goto(f"{ours}/?{LINK}")
        page.wait_for_function(f"({FOLLOWER})()?.held().length === {len(WIDTHS)}", timeout=60_000)
        page.wait_for_timeout(3000)
        frames = dragged_frames(page, "t1") | {
            f"bits_{name}": value for name, value in dragged_frames(page, "bits").items()
        }
        changed = moves(page, presses=40)
        page.goto(theirs)
        page.wait_for_selector(".st-key-explore_edge [data-testid=stMetricValue] p")
        page.wait_for_timeout(1500)
        bare = moves(page, presses=4)
    return frames | {
        "changed_ms": changed,
        "bare_changed_ms": bare,
        "changed_ratio": changed / bare,
    }


def dragged_frames(page: Page, slider: str) -> dict[str, float]:
    """Median and 95th percentile of the time between frames, and of the follower's own work."""
    box = page.locator(f".st-key-{slider} [data-rac][role=group] > div").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.wait_for_timeout(300)
    started = page.evaluate("performance.now()")
    for step in range(120):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.6 * abs(step % 100 - 50) / 50), middle)
    frames = page.evaluate(f"(from) => ({FOLLOWER})().frames.filter(([at]) => at >= from)", started)
    page.mouse.up()
    page.wait_for_timeout(1000)
    between = [after[0] - before[0] for before, after in itertools.pairwise(frames)]
    return {
        "frames": len(frames),
        "frame_ms": statistics.median(between),
        "frame_p95_ms": percentile(between, 0.95),
        "follower_ms": statistics.median(work for _, work in frames),
    }


def moves(page: Page, *, presses: int) -> float:
    """Median time from a key press on the slider to changed text, in ms.

    Args:
        presses: this many steps are certain to change the text; the first step may do so.
    """
    times = []
    for _ in range(MOVES):
        page.locator(".st-key-t1 input[type=range]").focus()
        handle = page.evaluate_handle(f"() => ({{ promise: ({CHANGED_AFTER})() }})")
        for _ in range(presses):
            page.keyboard.press("ArrowRight")
        times.append(float(page.evaluate("(held) => held.promise", handle)))
        page.wait_for_timeout(400)
    return statistics.median(times)


def users(ours: str) -> dict[str, float]:
    """From a released slider to the finished run, for one user and many, and with no pause at all.

    Each user moves once in PAUSE_S on average and looks at the figures before the next move. The
    server's maximum is measured with users who move again as soon as their last run has ended.
    """
    alone, _ = run_users(ours, 1, moves=3 * MOVES)
    many, _ = run_users(ours, USERS)
    at_once, seconds = run_users(ours, USERS, pause_s=0.0)
    return {
        "pause_s": PAUSE_S,
        "one_user_ms": statistics.median(alone),
        "one_user_p95_ms": percentile(alone, 0.95),
        f"{USERS}_users_ms": statistics.median(many),
        f"{USERS}_users_p95_ms": percentile(many, 0.95),
        "users_ratio": percentile(many, 0.95) / percentile(alone, 0.95),
        "most_runs_per_s": len(at_once) / seconds,
    }


def run_users(
    ours: str, count: int, *, pause_s: float = PAUSE_S, moves: int = MOVES
) -> tuple[list[float], float]:
    """Milliseconds per move for `count` users at once, and seconds until the last was done.

    Args:
        pause_s: mean time from one figure to the next move; drawn evenly from half to one and a
            half of it.
    """
    times: list[float] = []
    ready = threading.Barrier(count + 1)  # wait for all users' first runs, which draw everything

    def use(number: int) -> None:
        rng = random.Random(number)
        with connect(f"{ours.replace('http', 'ws')}/_stcore/stream", max_size=None) as socket_:
            client = Client(socket_)
            client.open(0.3)
            ready.wait()
            time.sleep(rng.uniform(0, pause_s))
            for move in range(moves):
                start = time.perf_counter()
                client.move(0.3 + 0.01 * (move + 1))
                times.append((time.perf_counter() - start) * 1e3)
                time.sleep(rng.uniform(0.5, 1.5) * pause_s)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - start


class Client:
    """A session over the server's websocket that sends the messages of a browser."""

    def __init__(self, connection: ClientConnection, link: str = LINK) -> None:
        self.connection, self.link = connection, link
        self.page = self.fragment = ""  # the page's hash, and the part of it that a slider is
        self.sliders: dict[str, str] = {}  # by id: the option it is at, empty for a threshold
        self.follower = ""  # its id
        self.kept: set[str] = set()  # hashes of messages that need not be sent again

    def open(self, threshold: float) -> list[ForwardMsg]:
        """The page's first run, then the one in which the follower reports that it is running."""
        return [*self._run(threshold), *self._run(threshold)]

    def move(self, threshold: float) -> list[ForwardMsg]:
        """Release every slider at a threshold and wait for the run; returns the messages."""
        return self._run(threshold, fragment=self.fragment)

    def _run(self, threshold: float, fragment: str = "") -> list[ForwardMsg]:
        asked = BackMsg()
        asked.rerun_script.query_string = self.link
        asked.rerun_script.page_script_hash = self.page
        asked.rerun_script.fragment_id = fragment
        asked.rerun_script.cached_message_hashes.extend(self.kept)
        for identity, held in self.sliders.items():
            state = asked.rerun_script.widget_states.widgets.add()
            state.id = identity
            if held:
                state.string_array_value.data.append(held)
            else:
                state.double_array_value.data.append(threshold)
        if self.follower:
            state = asked.rerun_script.widget_states.widgets.add()
            state.id, state.json_value = self.follower, '{"alive": true}'
        self.connection.send(asked.SerializeToString())
        sent = [self._read()]
        # A run that continues with fragments only first reports that it has stopped early.
        while sent[-1].WhichOneof("type") != "script_finished" or (
            sent[-1].script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
        ):
            sent.append(self._read())
        return sent

    def _read(self) -> ForwardMsg:
        """The next message; the widgets and the page that it names are kept."""
        answer = ForwardMsg()
        answer.ParseFromString(bytes(self.connection.recv(timeout=60)))
        if answer.metadata.cacheable:
            self.kept.add(answer.hash)
        element = answer.delta.new_element
        self.page = answer.navigation.page_script_hash or self.page
        if element.bidi_component.id.endswith(FOLLOWER_ID):
            self.follower = element.bidi_component.id
        if element.HasField("slider"):
            slider = element.slider
            self.sliders[slider.id] = ""
            if slider.options:  # it sends an option's text
                first = slider.options[int(slider.default[0])]
                self.sliders[slider.id] = next(iter(slider.raw_value), first)
            self.fragment = answer.delta.fragment_id
        return answer


def openings(ours: Path, charts: Path, pretrained: Path) -> dict[str, float]:
    """Seconds to the first figures, of ours and of the bare page with charts, in turn."""
    both = (ours, charts)
    fresh = [[fresh_figures(script, pretrained) for script in both] for _ in range(OPENINGS)]
    with server(ours, pretrained) as our_address, server(charts, pretrained) as their_address:
        addresses = (our_address, their_address)
        for address in addresses:
            first_figures(address)
        warm = [[first_figures(address) for address in addresses] for _ in range(2 * OPENINGS)]
    return compared("fresh", fresh) | compared("warm", warm)


def compared(name: str, pairs: list[list[float]]) -> dict[str, float]:
    """Medians of both columns, and the median of the ratios of what was measured in turn."""
    ours, charts = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        f"{name}_figures_s": ours,
        f"{name}_charts_s": charts,
        f"{name}_ratio": statistics.median(one / other for one, other in pairs),
    }


def fresh_figures(script: Path, pretrained: Path) -> float:
    """Seconds from `streamlit run` to the first figures."""
    start = time.perf_counter()
    with server(script, pretrained) as address:
        started = time.perf_counter() - start
        return started + first_figures(address)


def first_figures(address: str) -> float:
    """Seconds from a new browser's request to the headline and five charts."""
    with chromium() as page:
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_function(FIRST_FIGURES, timeout=60_000, polling="raf")
        return time.perf_counter() - start


@contextlib.contextmanager
def server(script: Path, pretrained: Path) -> Iterator[str]:
    """A running Streamlit server; its address."""
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
    """Wait until the server answers, at most a minute."""
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
            executable_path=find_chromium(),
            args=["--no-sandbox", "--disable-background-networking", "--no-first-run"],
        )
        yield browser.new_page(viewport={"width": 1440, "height": 900})
        browser.close()


def percentile(values: list[float], fraction: float) -> Any:
    """The value that this fraction does not exceed."""
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


if __name__ == "__main__":
    main()
