"""What a cloud answers instead of logits: a status and a sentence."""

from dataclasses import dataclass, field

__all__ = ["STATUSES", "Refusal", "busy", "closing", "late"]

# The statuses that are answered; metrics count them.
STATUSES = (200, 400, 401, 404, 405, 408, 413, 415, 500, 503)
_LATE, _BUSY = 408, 503


@dataclass
class Refusal(Exception):  # noqa: N818  # most are an edge's error, not ours
    """A request that gets no logits.

    Args:
        status: of HTTP.
        sentence: for whoever reads the answer; without secrets.
        headers: beside those of every answer.
    """

    status: int
    sentence: str
    headers: dict[str, str] = field(default_factory=dict)


def busy(wait_s: float) -> Refusal:
    """There is no room, or the answer would be late."""
    again = max(1, round(wait_s))
    return Refusal(_BUSY, "The queue is full; try again later.", {"Retry-After": str(again)})


def late() -> Refusal:
    """The deadline passed while the request waited."""
    return Refusal(_LATE, "The deadline passed before the request was answered.")


def closing(status: int, sentence: str) -> Refusal:
    """A request of which more may come, so the connection ends with it."""
    return Refusal(status, sentence, {"Connection": "close"})
