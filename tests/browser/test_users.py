"""Twenty sessions at once move their sliders over the server's websocket, as browsers do."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus

from benchmarks.dashboard import Client
from hybrid import policy
from hybrid.traces import trace

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

pytestmark = pytest.mark.slow  # twenty sessions at once

clients = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")

USERS, MOVES = 20, 5
FIRST = 60  # visitors of a server that has served none
FEW_FILES = 60  # visitors, of a server that may open few
PAGES = ("first", "choose", "networks", "your_data", "try_image", "live")


def test_the_first_visitors_of_a_fresh_server_all_at_once_see_no_error(
    serve: Callable[[Path], str], pretrained: Path
) -> None:
    stream = serve(pretrained).replace("http", "ws") + "/_stcore/stream"
    together = threading.Barrier(FIRST)

    def visit(number: int) -> list[str]:
        with connected(stream) as connection:
            asked = BackMsg()
            asked.rerun_script.query_string = "network=trees-toy"
            asked.rerun_script.page_name = PAGES[number % len(PAGES)]
            together.wait()
            connection.send(asked.SerializeToString())
            return exceptions(connection)

    with ThreadPoolExecutor(FIRST) as visitors:
        found = list(visitors.map(visit, range(FIRST)))

    assert found == [[] for _ in range(FIRST)]


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_a_server_that_may_open_256_files_refuses_visitors_with_a_sentence_and_lives_on(
    serve: Callable[..., str], pretrained: Path
) -> None:
    server = serve(pretrained, "prlimit", "--nofile=256:256")
    stream = server.replace("http", "ws") + "/_stcore/stream"

    def alerts(connection: "ClientConnection") -> list[str]:
        asked = BackMsg()
        asked.rerun_script.query_string = "network=trees-toy"
        asked.rerun_script.page_name = "your_data"
        connection.send(asked.SerializeToString())
        return shown(connection, "alert", "body")

    with ExitStack() as stay:
        told, turned_away = [], 0
        for _ in range(FEW_FILES):
            try:
                visitor = stay.enter_context(connected(stream))
            except InvalidStatus:
                turned_away += 1
            else:
                told.append(alerts(visitor))
    with connected(stream) as later:
        again = alerts(later)

    refused = [bool(words) and "the most that it serves at once" in words[0] for words in told]
    assert refused == sorted(refused)  # the first are served
    assert refused.count(False) >= 4
    assert refused.count(True) >= 4
    assert turned_away >= 4
    assert not any("serves at once" in words for words in again)


def connected(stream: str) -> "ClientConnection":
    """A connection that, like a browser's, never gives up because the server is slow."""
    return clients.connect(stream, max_size=None, open_timeout=300, ping_interval=None)


def exceptions(connection: "ClientConnection") -> list[str]:
    """What a run shows as errors that nobody expected, until it has ended."""
    return shown(connection, "exception", "message")


def shown(connection: "ClientConnection", kind: str, words: str) -> list[str]:
    """The words of all elements of a kind that a run shows, until it has ended."""
    found = []
    while True:
        message = ForwardMsg()
        message.ParseFromString(connection.recv())
        if message.WhichOneof("type") == "script_finished":
            if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                continue  # another run follows at once
            return found
        element = message.delta.new_element
        if element.HasField(kind):
            found.append(getattr(getattr(element, kind), words))


def test_twenty_sessions_at_once_move_sliders_and_none_sees_an_error_or_another_s_point(
    address: str, pretrained: Path
) -> None:
    use(address, 0, {})  # what is read once is read by one
    seen: dict[int, list[str]] = {}
    threads = [threading.Thread(target=use, args=(address, n, seen)) for n in range(USERS)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    known = trace.load(pretrained / "trees-toy" / "hybrid-2bit" / "trace-test.parquet")
    assert seen == {
        number: [
            f"{sum(policy.outcome(known, (at, at)).exit_counts[:-1]):,} of 2,000"
            for at in thresholds(number)
        ]
        for number in range(USERS)
    }


def thresholds(number: int) -> list[float]:
    """Where a user moves the sliders, one place after the other; no two users alike."""
    return [(number * MOVES + move) / 100 for move in range(MOVES)]


def use(address: str, number: int, seen: dict[int, list[str]]) -> None:
    """Move the sliders; what the headline said after each move, where no run had an error."""
    stream = address.replace("http", "ws") + "/_stcore/stream"
    with connected(stream) as connection:
        client = Client(connection, "network=trees-toy&bits=2")
        client.open(1.0)  # nobody moves there: a move that changes nothing sends nothing
        said = []
        for at in thresholds(number):
            elements = [message.delta.new_element for message in client.move(at)]
            assert not any(e.HasField("exception") or e.HasField("alert") for e in elements)
            said.append(next(e.metric.delta for e in elements if e.HasField("metric")))
    seen[number] = said


def test_with_the_follower_running_a_move_sends_the_headline_of_its_point_and_no_figure(
    address: str, pretrained: Path
) -> None:
    stream = address.replace("http", "ws") + "/_stcore/stream"
    with connected(stream) as connection:
        client = Client(connection, "network=trees-toy&bits=2")
        client.open(0.3)

        sent = client.move(0.4)

    elements = [message.delta.new_element for message in sent]
    said = [element.metric.delta for element in elements if element.HasField("metric")]
    known = trace.load(pretrained / "trees-toy" / "hybrid-2bit" / "trace-test.parquet")
    counted = policy.outcome(known, (0.4, 0.4))
    assert said[0] == f"{sum(counted.exit_counts[:-1]):,} of 2,000"
    assert not any(element.HasField("plotly_chart") for element in elements)
    assert sent[-1].script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY


def test_a_move_takes_away_what_a_link_had_wrong_also_with_the_follower_running(
    address: str,
) -> None:
    stream = address.replace("http", "ws") + "/_stcore/stream"
    with connected(stream) as connection:
        client = Client(connection, "network=trees-toy&bits=3")

        runs = [client.open(0.8), client.move(0.4), client.move(0.5)]

    warned = [any(m.delta.new_element.HasField("alert") for m in sent) for sent in runs]
    assert warned == [True, True, False]
    assert runs[-1][-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
