"""`hybrid dashboard`: where it listens, and what it says where it cannot."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybrid.cli.main import app
from hybrid.ui.server import serve


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The addresses and ports that a server was started at; none is."""
    started: list[tuple[str, int]] = []
    monkeypatch.setattr(serve, "serve", lambda address, port, **_: started.append((address, port)))
    return started


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port: int = other.getsockname()[1]
        yield port


@pytest.fixture
def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_only_this_machine_can_open_it(served: list[tuple[str, int]], free: int):
    finished = CliRunner().invoke(app, ["dashboard", "--port", str(free)])

    assert finished.exit_code == 0, finished.output
    assert served == [("127.0.0.1", free)]
    assert finished.stderr == f"The dashboard is at http://127.0.0.1:{free}; Ctrl-C stops it.\n"


def test_another_address_is_asked_for_by_name(served: list[tuple[str, int]], free: int):
    finished = CliRunner().invoke(app, ["dashboard", "--port", str(free), "--address", "0.0.0.0"])

    assert served == [("0.0.0.0", free)]
    assert f"http://127.0.0.1:{free};" in finished.stderr


def test_a_port_in_use_is_refused(served: list[tuple[str, int]], taken: int):
    finished = CliRunner().invoke(app, ["dashboard", "--port", str(taken)])

    assert finished.exit_code == 2
    assert finished.stderr == (
        f"Port {taken} on 127.0.0.1 is in use; choose another one with --port.\n"
    )
    assert served == []


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_out_of_range_is_refused(served: list[tuple[str, int]], port: str):
    finished = CliRunner().invoke(app, ["dashboard", "--port", port])

    assert finished.exit_code == 2
    assert "Invalid value for '--port'" in finished.stderr
    assert served == []


@pytest.mark.parametrize("address", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_refused(
    served: list[tuple[str, int]], address: str, monkeypatch: pytest.MonkeyPatch
):
    known = socket.getaddrinfo

    def looked_up(host: str, *arguments: object, **options: object) -> object:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)

    finished = CliRunner().invoke(app, ["dashboard", "--address", address])

    assert finished.exit_code == 2
    assert finished.stderr.startswith(f"{address} is not an address of this machine; use 127.0.0.1")
    assert served == []


def test_without_a_port_the_first_free_one_is_taken(
    served: list[tuple[str, int]], taken: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serve, "DEFAULT_PORT", taken)

    CliRunner().invoke(app, ["dashboard"])

    [(_, port)] = served
    assert port > taken


def test_the_app_of_a_clone_is_the_one_beside_the_package(root: Path):
    assert serve.app_script() == root / "app.py"


def test_the_version_is_printed_alone():
    finished = CliRunner().invoke(app, ["--version"])

    assert finished.exit_code == 0
    assert finished.stdout.startswith("hybrid ")
    assert finished.stdout.count("\n") == 1
