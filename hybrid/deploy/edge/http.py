"""The link over the network: Open Inference Protocol v2 with binary tensors, over HTTP/1.1.

One persistent connection. All attempts, look-ups and handshakes of a call share its deadline. A
SHA-256 of the body goes along in both directions, so that a flipped bit is an error.
"""

import http.client
import math
import ssl
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hybrid.deploy import wire
from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.links import LinkError, Reply, checked
from hybrid.deploy.edge.sockets import Resolver, TimedSocket, connected
from hybrid.errors import CloudError

__all__ = ["Http", "trusting"]

_MOST_BYTES = 1 << 20  # of an answer
_STATUS = {401: "token", 403: "token", 404: "version", 409: "version"}
_BUSY = {408, 429, 503}
_AGAIN = {429, 503}  # the cloud has not begun, so nothing is done twice
_OK, _CLIENT, _SERVER = 200, 400, 500


@dataclass(frozen=True, kw_only=True)
class _Request:
    path: str
    body: bytes
    headers: dict[str, str]
    name: str


class Http:
    """A cloud at an address.

    Args:
        url: `http://host:port` or `https://host:port`.
        token: sent with each request; never written anywhere else.
        tls: what is trusted, from `trusting`; the system's authorities by default.

    Raises:
        CloudError: no such address; a token that is none, or that would travel without TLS.
    """

    def __init__(self, url: str, *, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._scheme, self._host, self._port = _parts(url)
        _check_token(token, plain=self._scheme == "http" and not _is_loopback(self._host))
        self._url, self._token = url, token
        self._tls = (tls or ssl.create_default_context()) if self._scheme == "https" else None
        self._resolver = Resolver(self._host, self._port)
        self._connection: http.client.HTTPConnection | None = None
        self._socket: TimedSocket | None = None

    def another(self) -> "Http":
        """A link with a connection of its own."""
        return Http(self._url, token=self._token, tls=self._tls)

    def close(self) -> None:
        """Close the connection; the next call opens one."""
        if self._connection is not None:
            self._connection.close()
        if self._socket is not None:
            self._socket.abort()
        self._connection = self._socket = None

    def ask(self, bundle: EdgeBundle, packed: bytes, *, deadline: float) -> Reply:
        """As in `hybrid.deploy.edge.links.Link`."""
        link, socket = self._ready(deadline)
        before = socket.sent_bytes
        request = self._request(bundle, packed, deadline)
        try:
            with socket.together():
                link.request("POST", request.path, request.body, request.headers)
            response = link.getresponse()
            body = response.read(_MOST_BYTES + 1)
            if len(body) > _MOST_BYTES or not response.isclosed():
                raise LinkError("answer", sent_bytes=socket.sent_bytes - before)
            reply = _reply(response, body, request.name, bundle, socket.sent_bytes - before)
        except LinkError as error:
            if error.reason in {"answer", "deadline"}:
                self.close()
            raise
        except TimeoutError:
            raise self._broken("deadline", socket.sent_bytes - before) from None
        except ssl.SSLError as error:  # with TLS 1.3 our certificate is looked at after our request
            reason = "certificate" if _is_of_certificate(error) else "reset"
            raise self._broken(reason, socket.sent_bytes - before) from None
        except http.client.HTTPException as error:
            reason = "reset" if isinstance(error, http.client.RemoteDisconnected) else "answer"
            raise self._broken(reason, socket.sent_bytes - before) from None
        except (OSError, ValueError) as error:
            reason = "reset" if isinstance(error, OSError) else "answer"
            raise self._broken(reason, socket.sent_bytes - before) from None
        if response.will_close:
            self.close()
        return reply

    def _broken(self, reason: str, sent_bytes: int) -> LinkError:
        """The error of a connection that is no use any more: a late answer must not be read."""
        self.close()
        again_s = 0.0 if reason == "reset" and not sent_bytes else None
        return LinkError(reason, sent_bytes=sent_bytes, again_s=again_s)

    def _ready(self, deadline: float) -> tuple[http.client.HTTPConnection, TimedSocket]:
        """The kept connection, or a new one."""
        if self._socket is not None and self._connection is not None:
            if not self._socket.is_stale():
                self._socket.deadline = deadline
                return self._connection, self._socket
            self.close()
        self._socket = self._connect(deadline)
        self._connection = http.client.HTTPConnection(self._host, self._port)
        self._connection.sock = self._socket
        self._connection.auto_open = 0
        return self._connection, self._socket

    def _connect(self, deadline: float) -> TimedSocket:
        addresses = self._resolver.addresses(deadline - time.monotonic())
        if not addresses:
            late = time.monotonic() >= deadline
            raise LinkError("deadline" if late else "name", again_s=None if late else 0.0)
        try:
            return connected(addresses, deadline=deadline, tls=self._tls, host=self._host)
        except TimeoutError:
            self._resolver.forget()
            raise LinkError("deadline") from None
        except ssl.SSLCertVerificationError:
            raise LinkError("certificate") from None
        except ssl.SSLError as error:
            reason = "certificate" if _is_of_certificate(error) else "refused"
            raise LinkError(reason) from None
        except (OSError, ValueError):
            self._resolver.forget()
            raise LinkError("refused", again_s=0.0) from None

    def _request(self, bundle: EdgeBundle, packed: bytes, deadline: float) -> _Request:
        left_ms = max(1, int(1000 * (deadline - time.monotonic())))
        name = uuid.uuid4().hex
        header = wire.request_header(name, len(packed), left_ms)
        body = header + packed
        headers = {
            "Content-Type": "application/octet-stream",
            wire.LENGTH: str(len(header)),
            wire.DIGEST: wire.digest(body),
            wire.DEADLINE: str(left_ms),
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        path = wire.infer_path(bundle.model, bundle.weights)
        return _Request(path=path, body=body, headers=headers, name=name)


def trusting(
    authority: Path | None, *, cert: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """A context that trusts the certificates of a file, or those of the system.

    Args:
        cert, key: shown to a cloud that wants to know who asks; both or none.

    Raises:
        CloudError: a file has none, or only one of `cert` and `key` is given.
    """
    try:
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
    except (OSError, ssl.SSLError) as error:
        raise CloudError(
            f"{authority} holds no certificates ({error.strerror or error}); give a PEM file."
        ) from None
    if (cert is None) != (key is None):
        raise CloudError("A certificate of this device needs its key; give --cert and --key.")
    if cert is not None and key is not None:
        try:
            context.load_cert_chain(cert, key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CloudError(
                f"{cert} and {key} are not a certificate and its key ({reason}); give PEM files, "
                "the key without a password."
            ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")


def _is_of_certificate(error: ssl.SSLError) -> bool:
    """Whether the other side refused our certificate, or missed one."""
    reason = error.reason or ""
    return "CERTIFICATE" in reason or "UNKNOWN_CA" in reason


def _parts(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise _no_address(url) from None
    alone = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not alone:
        raise _no_address(url)
    return parts.scheme, parts.hostname, port


def _no_address(url: str) -> CloudError:
    return CloudError(
        f"{url[:80]} is no address of a cloud; give one such as https://cloud.example:8443."
    )


def _check_token(token: str, *, plain: bool) -> None:
    """Refuse a token that cannot be a header, or that others could read on the way."""
    if not all("!" <= letter <= "~" for letter in token):
        raise CloudError("The token has letters that no header can have; use printable ASCII.")
    if token and plain:
        raise CloudError(
            "A token is sent only over https, or to this machine; give the cloud's https address."
        )


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _reply(
    response: http.client.HTTPResponse, body: bytes, name: str, bundle: EdgeBundle, sent_bytes: int
) -> Reply:
    """The logits of an answer, if it is one, whole, of this request and of these weights."""
    if response.status != _OK:
        raise _refusal(response, sent_bytes)
    try:
        wire.check_digest(response.headers.get(wire.DIGEST, ""), body)
        length = int(response.headers[wire.LENGTH])
        logits = wire.read_logits(body, length, name=name, version=bundle.weights)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LinkError("answer", sent_bytes=sent_bytes) from None
    return Reply(
        logits=checked(logits, bundle, sent_bytes=sent_bytes),
        cloud_ms=_cloud_ms(response.headers.get("Server-Timing", "")),
        sent_bytes=sent_bytes,
    )


def _refusal(response: http.client.HTTPResponse, sent_bytes: int) -> LinkError:
    status, again_s = response.status, None
    if status in _AGAIN:
        again_s = _seconds(response.headers.get("Retry-After", ""))
    if status in _BUSY:
        return LinkError("busy", sent_bytes=sent_bytes, again_s=again_s)
    if status in _STATUS:
        return LinkError(_STATUS[status], sent_bytes=sent_bytes)
    if status >= _SERVER:
        return LinkError("server", sent_bytes=sent_bytes)
    return LinkError("request" if status >= _CLIENT else "answer", sent_bytes=sent_bytes)


def _seconds(text: str) -> float | None:
    """A Retry-After in seconds; None for a date or anything else."""
    return float(text) if text.isdecimal() and len(text) < 9 else None


def _cloud_ms(timing: str) -> float | None:
    """The duration of `infer` in a Server-Timing header."""
    for one in timing.split(","):
        name, *rest = (part.strip() for part in one.split(";"))
        for word in rest:
            key, _, value = word.partition("=")
            if (name, key) == ("infer", "dur"):
                try:
                    found = float(value)
                except ValueError:
                    return None
                return found if 0 <= found < math.inf else None
    return None
