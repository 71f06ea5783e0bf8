"""Requests of ASGI within bounds: headers, a body of so many bytes in so much time, a token."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hybrid.deploy import wire
from hybrid.deploy.cloud.refusals import Refusal, closing

__all__ = ["Receive", "check_token", "deadline_s", "header_bytes", "headers_of", "read_body"]

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_BAD, _NO_TOKEN, _TOO_LATE, _TOO_LARGE, _ENCODED = 400, 401, 408, 413, 415
_MOST_DIGITS = 15


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a request, names in lower case.

    Raises:
        Refusal: one of those that frame the body comes twice.
    """
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found and key in {wire.LENGTH.lower(), wire.DIGEST.lower(), "authorization"}:
            raise closing(_BAD, f"{key} comes twice.")
        found[key] = value.decode("latin-1")
    return found


def check_token(headers: Mapping[str, str], token: str) -> None:
    """Compare in constant time; an empty token lets everyone in.

    Raises:
        Refusal: it is another, or none came.
    """
    if not token:
        return
    kind, _, given = headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    if kind.lower() != "bearer" or not same:
        refusal = closing(_NO_TOKEN, "This cloud asks for its token: Authorization: Bearer …")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        raise refusal


async def read_body(
    headers: Mapping[str, str], receive: Receive, *, most_bytes: int, timeout_s: float
) -> bytes:
    """The whole body.

    Raises:
        Refusal: it is too large, takes too long, is compressed, or differs from its digest.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise closing(_ENCODED, "A compressed body is not taken here; send it as it is.")
    too_large = closing(_TOO_LARGE, f"A body has at most {most_bytes:,} bytes here.")
    if (_whole(headers, "content-length") or 0) > most_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise closing(_BAD, "The connection ended within the body.")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > most_bytes:
                    raise too_large
    except TimeoutError:
        raise closing(_TOO_LATE, f"The body did not come within {timeout_s:g} s.") from None
    whole = bytes(body)
    if wire.DIGEST.lower() in headers:
        try:
            wire.check_digest(headers[wire.DIGEST.lower()], whole)
        except ValueError as error:
            raise Refusal(_BAD, f"The request was damaged: {error}.") from None
    return whole


def header_bytes(headers: Mapping[str, str]) -> int | None:
    """How much of a body is its header in JSON; None if all of it is."""
    return _whole(headers, wire.LENGTH.lower())


def deadline_s(headers: Mapping[str, str], left_ms: float | None, timeout_s: float) -> float:
    """Seconds until a request's deadline: the least of what the header, the body and we say."""
    given_ms = _whole(headers, wire.DEADLINE.lower())
    said = [one / 1000 for one in (given_ms, left_ms) if one is not None]
    return min([timeout_s, *said])


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        raise closing(_BAD, f"{name} is a whole number, not {text[:20]!r}.")
    return int(text)
