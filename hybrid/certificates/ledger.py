"""Questions to the images that certify, numbered on this machine for ever.

Each answer may be wrong with a small chance, and these chances add up over all that was ever asked
of the same images. The i-th question spends delta * 6 / (pi^2 i^2) of them, and all of these add up
to delta, however many questions follow. The same question again has its old number and costs
nothing. Questions at another delta share the numbers, so all answers at 99 % confidence hold
together with 99 %, whatever was asked at 95 %.

This counts questions that do not depend on the answers before them. How often the answers to a
user who lets each question depend on them are wrong was counted: see docs/certificates.md.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from hybrid.errors import CertificateError
from hybrid.files import parse_json, read_text, replacing

__all__ = ["FORMAT", "Ledger", "Question", "spent"]

FORMAT = 1
_PATIENCE_S = 20


_MOST_BYTES = 64_000_000  # of the file, some hundred thousand questions


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a certificate was asked for.

    Args:
        weights_sha256: of the variant.
        thresholds: one per early exit; equal as float32 is equal.
        measure: of the confidence.
        method: a name of METHODS.
        delta: of all answers together.
    """

    weights_sha256: str
    thresholds: tuple[float, ...]
    measure: str
    method: str
    delta: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        as_compared = [float(np.float32(one)) for one in self.thresholds]
        return asdict(self) | {"thresholds": as_compared}


def spent(number: int, delta: float) -> float:
    """The part of delta that the question of this number spends; the first has number 1.

    >>> round(spent(1, 0.05), 4), round(spent(10, 0.05), 6)
    (0.0304, 0.000304)
    """
    return delta * 6 / (math.pi * number) ** 2


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The questions to one set of images, in a file that may not exist yet."""

    path: Path

    @property
    def asked(self) -> int:
        """How many questions were asked.

        Raises:
            CertificateError: the file is damaged.
        """
        return len(self._read()["questions"])

    def number(self, question: Question) -> int | None:
        """The number of a question that was asked, from 1; None if it was not.

        Raises:
            CertificateError: the file is damaged.
        """
        asked = self._read()["questions"]
        wanted = question.to_dict()
        return asked.index(wanted) + 1 if wanted in asked else None

    def ask(self, question: Question) -> int:
        """The question's number; a new question takes the next one.

        Raises:
            CertificateError: the file is damaged or cannot be written.
        """
        self._note(question.to_dict())
        number = self.number(question)
        assert number is not None  # it was just written
        return number

    def _note(self, question: dict[str, Any]) -> None:
        """Add a question, if it is new; one process at a time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock"), timeout=_PATIENCE_S):
                kept = self._read()
                if question in kept["questions"]:
                    return
                kept["questions"].append(question)
                with replacing(self.path) as draft:
                    draft.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        except (OSError, Timeout) as error:
            reason = getattr(error, "strerror", None) or "another process holds it"
            raise CertificateError(
                f"The question cannot be noted in {self.path} ({reason}), so nothing is "
                "certified; make the folder writable, or name another with HYBRID_TRACES."
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = parse_json(read_text(self.path, most_bytes=_MOST_BYTES))
            if kept["format"] != FORMAT:
                raise ValueError(f"format {kept['format']}, not {FORMAT}")
            if not isinstance(kept["questions"], list):
                raise TypeError("no list of questions")
        except (FileNotFoundError, NotADirectoryError):
            return {"format": FORMAT, "questions": []}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CertificateError(
                f"{self.path} cannot be read ({error}), so the next question has no number and "
                "nothing is certified; restore the file, or delete it to count from 1 again."
            ) from error
        return kept
