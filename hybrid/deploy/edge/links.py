"""What a link from an edge to its cloud gives, and what can go wrong with it.

A link is anything with `ask`, `another` and `close`; `Loopback` is one within this process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.edge.bundle import EdgeBundle

__all__ = ["REASONS", "Link", "LinkError", "Loopback", "Reply", "checked"]

Floats = NDArray[np.float32]

# Why an image was not answered by the cloud. The words are in lines and metrics.
REASONS = {
    "no link": "the edge was started without a cloud",
    "breaker": "the last calls failed, so none was made",
    "deadline": "no answer in time",
    "name": "the cloud's name has no address",
    "refused": "no connection",
    "reset": "the connection broke",
    "certificate": "the cloud's certificate is not trusted, expired or of another name",
    "token": "the cloud refused the token (401, 403)",
    "version": "the cloud has other weights (404, 409)",
    "request": "the cloud refused the request (another 4xx)",
    "busy": "the cloud has no room (408, 429, 503)",
    "server": "the cloud failed (another 5xx)",
    "answer": "the answer is not one: damaged, cut short, of another request or another protocol",
    "shape": "not one logit per class",
    "not finite": "a logit is not a number",
}


class LinkError(Exception):
    """The cloud gave no answer that can be used.

    Args:
        reason: one of `REASONS`.
        sent_bytes: of the request, before it failed.
        again_s: seconds after which another attempt can help: 0 where nothing was sent; None
            where none can.
    """

    def __init__(self, reason: str, *, sent_bytes: int = 0, again_s: float | None = None) -> None:
        assert reason in REASONS
        self.reason, self.sent_bytes, self.again_s = reason, sent_bytes, again_s
        super().__init__(REASONS[reason])


@dataclass(frozen=True, kw_only=True, eq=False)
class Reply:
    """What the cloud answered.

    Args:
        logits: (classes,), finite.
        cloud_ms: that the cloud says it took; None if it does not say.
        sent_bytes: of the request, with its headers.
    """

    logits: Floats
    cloud_ms: float | None = None
    sent_bytes: int = 0


class Link(Protocol):
    """A way to the cloud of one bundle."""

    def ask(self, bundle: EdgeBundle, packed: bytes, *, deadline: float) -> Reply:
        """The cloud's answer to the bytes of one image.

        Args:
            deadline: by `time.monotonic`; nothing takes longer.

        Raises:
            LinkError: there is none.
        """

    def another(self) -> "Link":
        """A link to the same cloud that may be used at the same time."""

    def close(self) -> None:
        """Let go of connections; the link may be used again."""


class Loopback:
    """A cloud in this process.

    Args:
        cloud: bytes (n, payload bytes) uint8 to logits (n, classes) float32.
    """

    def __init__(self, cloud: Callable[[NDArray[np.uint8]], Floats]) -> None:
        self._cloud = cloud

    def ask(self, bundle: EdgeBundle, packed: bytes, *, deadline: float) -> Reply:  # noqa: ARG002
        """As in `Link`; it cannot be interrupted, so it may be late."""
        given = np.frombuffer(packed, np.uint8)[None]
        logits = checked(self._cloud(given), bundle, sent_bytes=len(packed))
        return Reply(logits=logits, sent_bytes=len(packed))

    def another(self) -> "Loopback":
        """The same link."""
        return self

    def close(self) -> None:
        """Nothing to let go of."""


def checked(logits: Floats, bundle: EdgeBundle, *, sent_bytes: int = 0) -> Floats:
    """The logits of one image, (1, classes) to (classes,).

    Raises:
        LinkError: of another shape, or not all finite.
    """
    if logits.shape != (1, len(bundle.classes)):
        raise LinkError("shape", sent_bytes=sent_bytes)
    if not np.isfinite(logits).all():
        raise LinkError("not finite", sent_bytes=sent_bytes)
    one: Floats = logits[0]
    return one
