"""What asks for the network is refused in every test; what stays on this machine is not."""

import socket
from contextlib import suppress

import pytest

from tests.offline import offline

ELSEWHERE = "198.51.100.7"  # no machine has it (RFC 5737)


@pytest.mark.parametrize("host", [ELSEWHERE, "example.org"])
def test_a_connection_beyond_this_machine_is_refused_with_a_sentence(host: str) -> None:
    with offline(), pytest.raises(pytest.fail.Exception, match=f"this one asked for {host}"):
        socket.create_connection((host, 80), timeout=1)


def test_what_was_refused_is_remembered_even_if_the_code_goes_on() -> None:
    with offline() as refused, suppress(BaseException):
        socket.create_connection((ELSEWHERE, 80), timeout=1)

    assert len(refused) == 1
    assert f"asked for {ELSEWHERE}" in refused[0]


def test_a_server_on_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, offline() as refused:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=20).close()

    assert refused == []


def test_sockets_are_as_before_after_an_error_inside() -> None:
    before = socket.socket.connect, socket.getaddrinfo

    with pytest.raises(ZeroDivisionError, match="inside"), offline():
        raise ZeroDivisionError("inside")

    assert (socket.socket.connect, socket.getaddrinfo) == before
