"""Start a cloud: a bundle, an address and its secrets in; a server that runs until it is stopped.

Beyond the loopback, a token and TLS are required.
"""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn

from hybrid.deploy.cloud.app import CloudApp
from hybrid.deploy.cloud.connections import Bounded, bounded_files
from hybrid.errors import AddressError, CloudError

__all__ = ["Tls", "check_safe", "listening", "serve"]

_BACKLOG = 1024
_AT_ONCE = 128  # connections that asyncio accepts before it looks at the first of them
_KEEP_ALIVE_S = 60
_END_S = 5
_HANDSHAKE_S = 5.0  # of TLS; until it is over a connection is counted nowhere
_REFUSED = {errno.EADDRINUSE: "in use", errno.EADDRNOTAVAIL: "unknown"}


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Files in PEM.

    Args:
        client_ca: the authority whose certificates clients must have; without one, they need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later with this certificate.

        Raises:
            CloudError: a file is missing, damaged, or of another key.
        """
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise CloudError(
                f"{self.certificate} and {self.key} are not a certificate and its key "
                f"({_why(error)}); give PEM files, the key without a password."
            ) from None
        if self.client_ca is not None:
            try:
                made.load_verify_locations(self.client_ca)
            except (OSError, ssl.SSLError) as error:
                raise CloudError(
                    f"{self.client_ca} holds no certificates ({_why(error)}); give a PEM file."
                ) from None
            made.verify_mode = ssl.CERT_REQUIRED
        return made


def check_safe(host: str, *, token: str, tls: Tls | None) -> None:
    """Refuse an address that others reach, unless there are a token and TLS.

    Raises:
        AddressError: it is no address of this machine.
        CloudError: token or TLS is missing.
    """
    _, _, place = _resolved(host, 0)
    if ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback:
        return
    if not token or tls is None:
        raise CloudError(
            f"{host} can be reached from other machines; give --token-file, --tls-cert and "
            "--tls-key, or listen on 127.0.0.1."
        )


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        AddressError: the port is in use or not allowed, or the address is not of this machine.
    """
    family, kind, place = _resolved(host, port)
    # asyncio turns Nagle's algorithm off only where it knows that this is TCP; it costs 40 ms.
    made = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without it an answer's body waits 40 ms for its head's receipt:
        # asyncio sets it only on sockets that were made with a protocol number.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind(place)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        why = _REFUSED.get(error.errno or 0, "")
        raise AddressError(host, port, in_use=why == "in use", unknown=why == "unknown") from None
    return made


def serve(
    app: CloudApp,
    sock: socket.socket,
    *,
    tls: ssl.SSLContext | None,
    timeout_s: float,
    started: Callable[[], None],
) -> None:
    """Answer until a signal ends it.

    Args:
        timeout_s: of a request's head.
        started: called once requests are answered.
    """
    config = uvicorn.Config(
        app,
        http=cast("Any", partial(Bounded, most=bounded_files(), head_s=timeout_s)),
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_AT_ONCE,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_END_S,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    _Server(config, started, min(timeout_s, _HANDSHAKE_S)).run(sockets=[sock])


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], handshake_s: float
    ) -> None:
        super().__init__(config)
        self._on_start, self._handshake_s = started, handshake_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        if self.config.is_ssl:  # asyncio waits a minute, and uvicorn has no word for it
            loop.create_server = partial(  # type: ignore[method-assign]
                loop.create_server, ssl_handshake_timeout=self._handshake_s
            )
        await super().startup(sockets)
        for one in sockets or []:  # asyncio has made it as short as what it accepts at once
            one.listen(_BACKLOG)
        self._on_start()


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, socket.SocketKind, Any]:
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError, OverflowError):
        raise AddressError(host, port, unknown=True) from None
    return family, kind, place


def _no_password() -> str:
    """A key with a password would ask for it at the terminal."""
    return ""


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
