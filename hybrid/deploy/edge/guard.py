"""A link that is left alone while it fails: breaker, at most one retry, and a budget for retries.

All calls take times by `time.monotonic`, which no change of the clock moves.
"""

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.links import Link, LinkError, Reply

__all__ = ["CLOSED", "OPEN", "PROBING", "Breaker", "Guarded", "RetryBudget"]

CLOSED, OPEN, PROBING = 0, 1, 2  # of a breaker, as the metrics have them
IN_A_ROW = 5  # failures that open a breaker
LAST, SHARE = 20, 0.5  # or this share of the last calls
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
JITTER = 0.2
RETRY_SHARE = 0.1
_MOST_SAVED = 10.0
_LEAST_S = 0.002  # left for another attempt, or it is not begun


class Breaker:
    """Whether to call at all.

    It opens after 5 failures in a row, or if half of the last 20 calls failed; waits 1 s, 2 s, …
    30 s, each up to 20 % shorter or longer; and lets one call through as a probe.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._clock, self._rng = clock, rng or np.random.default_rng()
        self._recent: deque[bool] = deque(maxlen=LAST)
        self._row = self._opened = 0
        self._until = 0.0
        self.state = CLOSED

    def allows(self) -> bool:
        """Whether a call may be made now; every call that was allowed is reported."""
        if self.state == CLOSED:
            return True
        if self.state == PROBING or self._clock() < self._until:
            return False
        self.state = PROBING
        return True

    def wait_s(self) -> float:
        """Seconds until a call may be made."""
        return max(0.0, self._until - self._clock()) if self.state != CLOSED else 0.0

    def succeeded(self) -> None:
        """The call that was allowed gave an answer."""
        if self.state == PROBING:
            self._recent.clear()
            self._opened, self.state = 0, CLOSED
        self._row = 0
        self._recent.append(True)

    def failed(self) -> None:
        """The call that was allowed gave none."""
        self._row += 1
        self._recent.append(False)
        often = len(self._recent) == LAST and self._recent.count(False) >= SHARE * LAST
        if self.state == PROBING or self._row >= IN_A_ROW or often:
            self._open()

    def _open(self) -> None:
        wait = min(FIRST_WAIT_S * 2**self._opened, LONGEST_WAIT_S)
        self._until = self._clock() + wait * self._rng.uniform(1 - JITTER, 1 + JITTER)
        self._opened = min(self._opened + 1, 10)
        self.state = OPEN


class RetryBudget:
    """Of ten calls, one may be tried again."""

    def __init__(self) -> None:
        self._saved = 1.0

    def earn(self) -> None:
        """A call was made."""
        self._saved = min(self._saved + RETRY_SHARE, _MOST_SAVED)

    def spend(self) -> bool:
        """Whether there is one retry left, which is then taken."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class Guarded:
    """A link with its breaker and its retry.

    Args:
        clock: the same as of the deadlines.
    """

    def __init__(
        self,
        link: Link,
        bundle: EdgeBundle,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        breaker: Breaker | None = None,
    ) -> None:
        self._link, self._bundle, self._clock, self._wait = link, bundle, clock, wait
        self._budget = RetryBudget()
        self.breaker = breaker or Breaker(clock=clock)

    def ask(self, packed: bytes, *, deadline: float) -> Reply:
        """As `Link.ask`, for this bundle; one deadline for both attempts."""
        if not self.breaker.allows():
            raise LinkError("breaker")
        self._budget.earn()
        try:
            reply = self._tried(packed, deadline)
        except LinkError:
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        return reply

    def close(self) -> None:
        """Let go of the link's connections."""
        self._link.close()

    def _tried(self, packed: bytes, deadline: float) -> Reply:
        try:
            return self._link.ask(self._bundle, packed, deadline=deadline)
        except LinkError as error:
            later = error.again_s
            if later is None or self._clock() + later + _LEAST_S > deadline:
                raise
            if not self._budget.spend():
                raise
            before = error.sent_bytes
        if later:
            self._wait(later)
        try:
            reply = self._link.ask(self._bundle, packed, deadline=deadline)
        except LinkError as error:
            error.sent_bytes += before
            raise
        return Reply(
            logits=reply.logits, cloud_ms=reply.cloud_ms, sent_bytes=before + reply.sent_bytes
        )
