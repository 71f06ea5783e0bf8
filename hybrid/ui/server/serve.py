"""Start the dashboard's server at an address and a port.

Streamlit reads the configuration and the static files next to the script, so the current folder
does not matter.
"""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

from streamlit.web import cli

from hybrid.errors import AddressError
from hybrid.ui.server import access

__all__ = ["DEFAULT_PORT", "app_script", "free_port", "serve", "url"]

DEFAULT_PORT = 8501
HERE = ("localhost", "127.0.0.1", "::1")  # names of this machine in a browser's address
_PORTS_TRIED = 100  # from the default on, where no port is asked for


def app_script() -> Path:
    """The path of app.py: inside the package in a wheel, next to it in a clone."""
    package = Path(__file__).resolve().parent.parent.parent
    packed = package / "dashboard" / "app.py"
    return packed if packed.is_file() else package.parent / "app.py"


def free_port(address: str, port: int | None = None) -> int:
    """The port if it can be listened on; without one, the first free port from 8501.

    Raises:
        AddressError: the port is in use or not allowed, or the address is not this machine's.
    """
    if port is not None:
        _check(address, port)
        return port
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED - 1):
        try:
            _check(address, candidate)
        except AddressError as error:
            if not error.in_use:
                raise
        else:
            return candidate
    _check(address, last := DEFAULT_PORT + _PORTS_TRIED - 1)
    return last


def serve(address: str, port: int, *, hosts: Sequence[str] = ()) -> None:
    """Serve the dashboard until it is stopped by Ctrl-C or SIGTERM.

    Args:
        hosts: the names by which browsers may open it; by default those of this machine, or any
            if other machines can connect.
    """
    options = [f"--server.address={address}", f"--server.port={port}"]
    names = hosts or (HERE if access.is_loopback_name(address) else ())
    options += [f"--server.allowedHosts={name}" for name in names]
    # The welcome message would ask an outside server for this machine's address.
    quiet = ["--logger.hideWelcomeMessage=true", "--logger.level=warning"]
    cli.main(
        ["run", str(app_script()), *options, *quiet], prog_name="streamlit", standalone_mode=False
    )


def url(address: str, port: int) -> str:
    """Where a browser on this machine finds the dashboard.

    >>> url("127.0.0.1", 8501), url("::", 80), url("0.0.0.0", 80)
    ('http://127.0.0.1:8501', 'http://[::1]:80', 'http://127.0.0.1:80')
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104  # all of them
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _check(address: str, port: int) -> None:
    """Listen briefly, as the server will."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except (socket.gaierror, UnicodeError):
        raise AddressError(address, port, unknown=True) from None
    except OSError as error:
        raise AddressError(
            address,
            port,
            in_use=error.errno == errno.EADDRINUSE,
            unknown=error.errno == errno.EADDRNOTAVAIL,
        ) from None
