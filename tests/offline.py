"""No test reaches the network: what tries is refused, and its test fails even if that is caught."""

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["is_local", "offline"]

INTERNET = (socket.AF_INET, socket.AF_INET6)


@contextmanager
def offline() -> Iterator[list[str]]:
    """Refuse every connection and look-up beyond this machine; the sentences of those refused.

    Raises:
        pytest.fail.Exception: something was refused. `except Exception` does not catch it; who
            catches it all the same finds the sentence in the list.
    """
    refused: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _only_local_peers(name, refused))
        patch.setattr(socket, "getaddrinfo", _only_local_names(refused))
        yield refused


def is_local(host: str | bytes | None) -> bool:
    """Whether an address, or a name to look up, is this machine's own.

    >>> [is_local(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", None)]
    [True, True, True, True, True]
    >>> [is_local(host) for host in ("www.cs.toronto.edu", "93.184.215.14")]
    [False, False]
    """
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name in {"localhost", socket.gethostname()}:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _only_local_peers(name: str, refused: list[str]) -> Callable[..., Any]:
    real = getattr(socket.socket, name)

    def connect(self: socket.socket, address: Any) -> Any:
        # A datagram socket that "connects" sends nothing: it is how a machine asks for its address.
        if self.family in INTERNET and self.type == socket.SOCK_STREAM and not is_local(address[0]):
            self.close()  # whoever made it does not expect what comes now
            _refuse(f"{address[0]}, port {address[1]}", refused)
        return real(self, address)

    return connect


def _only_local_names(refused: list[str]) -> Callable[..., Any]:
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if not is_local(host) and not _is_number(host):  # a number needs no look-up
            _refuse(str(host), refused)
        return real(host, *arguments, **options)

    return getaddrinfo


def _is_number(host: Any) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refuse(peer: str, refused: list[str]) -> None:
    sentence = f"Tests work without a network, and this one asked for {peer}; replace what asks."
    refused.append(sentence)
    pytest.fail(sentence)
