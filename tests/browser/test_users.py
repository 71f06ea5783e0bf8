"""Twenty sessions at once move their sliders over the server's websocket, as browsers do."""

import threading
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.dashboard import Client
from hybrid import policy, trace

clients = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")

USERS, MOVES = 20, 5


def test_twenty_sessions_at_once_move_sliders_and_none_sees_an_error_or_another_s_point(
    address: str,
) -> None:
    seen: dict[int, list[str]] = {}
    threads = [threading.Thread(target=use, args=(address, n, seen)) for n in range(USERS)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen) == list(range(USERS))
    alone: dict[int, list[str]] = {}
    for number in range(USERS):
        use(address, number, alone)
    assert seen == alone


def use(address: str, number: int, seen: dict[int, list[str]]) -> None:
    """Move the first slider; what the headline said after each move."""
    stream = address.replace("http", "ws") + "/_stcore/stream"
    with clients.connect(stream, max_size=None) as connection:
        sliders, _ = rerun(connection, {})
        said = []
        for move in range(MOVES):
            _, headline = rerun(connection, {sliders[0]: (number * MOVES + move) / 100})
            said.append(headline)
    seen[number] = said


def rerun(
    connection: "clients.ClientConnection", values: dict[str, float]
) -> tuple[list[str], str]:
    """Ask for a run, wait for its end; the sliders' ids and the first headline figure."""
    asked = BackMsg()
    asked.rerun_script.query_string = "network=trees-toy&bits=2"
    for identity, value in values.items():
        state = asked.rerun_script.widget_states.widgets.add()
        state.id = identity
        state.double_array_value.data.append(value)
    connection.send(asked.SerializeToString())
    sliders, headline = [], ""
    while True:
        answer = ForwardMsg()
        answer.ParseFromString(bytes(connection.recv(timeout=60)))
        element = answer.delta.new_element
        assert not element.HasField("exception")
        assert not element.HasField("alert")
        if element.HasField("slider"):
            sliders.append(element.slider.id)
        if element.HasField("metric") and not headline:
            headline = f"{element.metric.body}, {element.metric.delta}"
        if answer.WhichOneof("type") == "script_finished":
            return sliders, headline


def test_with_the_follower_running_a_move_sends_the_headline_of_its_point_and_no_figure(
    address: str, pretrained: Path
) -> None:
    stream = address.replace("http", "ws") + "/_stcore/stream"
    with clients.connect(stream, max_size=None) as connection:
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
    with clients.connect(stream, max_size=None) as connection:
        client = Client(connection, "network=trees-toy&bits=3")

        runs = [client.open(0.8), client.move(0.4), client.move(0.5)]

    warned = [any(m.delta.new_element.HasField("alert") for m in sent) for sent in runs]
    assert warned == [True, True, False]
    assert runs[-1][-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
