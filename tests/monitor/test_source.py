"""Where the lines come from: files that grow, stdin, addresses; half-written lines wait."""

import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hybrid.errors import LineError
from hybrid.monitor.source import batches


class EnoughError(Exception):
    """Raised where a test has seen enough."""


def texts(path: Path) -> list[str]:
    return [text for batch in batches(str(path)) for text in batch.texts]


def test_a_file_is_read_to_its_end(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_text("".join(f"{number}\n" for number in range(25_000)))

    assert texts(path) == [str(number) for number in range(25_000)]


def test_a_last_line_without_an_end_is_marked(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_text('one\n{"ha')

    (batch,) = batches(str(path))

    assert batch.texts == ("one", '{"ha')
    assert not batch.last_is_whole


def test_bytes_that_are_no_text_are_a_line_all_the_same(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_bytes(b"\xff\xfe\n\x00\n")

    assert len(texts(path)) == 2


def test_a_line_without_an_end_is_handed_on_in_parts(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_bytes(1_050_000 * b"x" + b"\nnext\n")

    *parts, last = texts(path)

    assert "".join(parts) == 1_050_000 * "x"
    assert max(map(len, parts)) <= 100_000
    assert last == "next"


def test_of_long_lines_fewer_are_in_memory_at_once(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_text(200 * (90_000 * "x" + "\n"))

    found = [sum(map(len, batch.texts)) for batch in batches(str(path))]

    assert sum(found) == 200 * 90_000
    assert max(found) < 5_000_000


def test_an_empty_file_has_no_lines(tmp_path: Path):
    (tmp_path / "edge.jsonl").touch()

    assert texts(tmp_path / "edge.jsonl") == []


def followed(path: Path, steps: list[str | None]) -> list[str]:
    """The lines that are seen while a file is written in steps; None empties it."""
    todo = iter(steps)

    def wait(_: float) -> None:
        step = next(todo, "")
        if step == "":
            raise EnoughError
        with path.open("w" if step is None else "a") as file:
            file.write(step or "")

    found: list[str] = []
    with pytest.raises(EnoughError):  # noqa: PT012  # following never ends by itself
        for batch in batches(str(path), follow=True, wait=wait):
            found += batch.texts
    return found


def test_a_line_is_followed_only_once_it_is_whole(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_text("a\nb")

    assert followed(path, ["c", "d\ne", "\nf\ng"]) == ["a", "bcd", "e", "f"]


def test_a_followed_line_without_an_end_is_not_held_for_ever(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_text(250_000 * "x")

    assert followed(path, [150_000 * "y" + "\n"]) == [250_000 * "x", 150_000 * "y"]


def test_a_file_that_was_emptied_is_followed_from_its_start(tmp_path: Path):
    path = tmp_path / "edge.jsonl"
    path.write_text("first\nsecond\n")

    assert followed(path, [None, "x\n"]) == ["first", "second", "x"]


def test_a_file_that_was_replaced_is_followed_from_its_start(tmp_path: Path):
    path, other = tmp_path / "edge.jsonl", tmp_path / "other.jsonl"
    path.write_text("a\n")
    other.write_text("longer than before\n")

    found, rounds = [], iter([lambda: other.replace(path), lambda: None])

    def wait(_: float) -> None:
        step = next(rounds, None)
        if step is None:
            raise EnoughError
        step()

    with pytest.raises(EnoughError):  # noqa: PT012
        for batch in batches(str(path), follow=True, wait=wait):
            found += batch.texts

    assert found == ["a", "longer than before"]


def test_stdin_is_read(monkeypatch: pytest.MonkeyPatch):
    class Stdin:
        buffer = io.BytesIO(b"a\nb\n")

    monkeypatch.setattr(sys, "stdin", Stdin)

    assert [text for batch in batches("-") for text in batch.texts] == ["a", "b"]


@pytest.fixture
def address() -> Iterator[str]:
    """A server that sends two lines and half a third."""

    class Lines(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/lines" else 404)
            self.end_headers()
            self.wfile.write(b"a\nb\nhal")

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Lines)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_read(address: str):
    found = list(batches(f"{address}/lines"))

    assert [batch.texts for batch in found] == [("a",), ("b",), ("hal",)]
    assert [batch.last_is_whole for batch in found] == [True, True, False]


def test_an_address_without_lines_is_an_error(address: str):
    with pytest.raises(LineError, match=r"/other sends no lines \(Not Found\); start `hybrid edge"):
        list(batches(f"{address}/other"))


def test_an_address_that_nothing_listens_on_is_an_error(address: str):
    closed = address.rpartition(":")[0] + ":1"

    with pytest.raises(LineError, match="sends no lines"):
        list(batches(closed))
