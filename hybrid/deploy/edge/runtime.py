"""The edge: pixels in, an answer within the deadline out, as one line of `hybrid.monitor`.

    with EdgeRuntime(Path("bundle"), Http("https://cloud:8443")) as edge:
        line = edge.answer(pixels)

An image is answered by the first exit that is confident enough, else by the cloud, else by the most
confident exit: a fallback, which says so, why, and which certificate includes it.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.edge.audits import Auditor
from hybrid.deploy.edge.bundle import CLOUD_DOWN, CLOUD_THERE, EdgeBundle, load_bundle
from hybrid.deploy.edge.device import Device, Exited
from hybrid.deploy.edge.guard import Breaker, Guarded
from hybrid.deploy.edge.links import Link, LinkError, Reply
from hybrid.deploy.edge.metrics import Metrics
from hybrid.deploy.edge.spool import Spool
from hybrid.errors import ImageError
from hybrid.monitor.audit import AuditPolicy
from hybrid.monitor.lines import AnswerLine, AuditLine
from hybrid.traces.confidence import MEASURES, softmax

__all__ = ["DEADLINE_MS", "EdgeRuntime"]

DEADLINE_MS = 200.0
_MARGIN_S = 0.002  # kept of the deadline to write the answer
_NOT_ASKED = {"no link", "breaker"}


class EdgeRuntime:
    """The edge of a bundle with its link to the cloud. Only one image is answered at a time.

    Args:
        bundle: its folder, or what `load_bundle` gave.
        link: to the cloud; without one, no image is sent.
        deadline_ms: from the call of `answer` to its return.
        policy: which early answers are audited, from `load_policy`; none without it.
        spool: folder for audits that wait; needed for a policy.
        write: called with each audit that the cloud answered, from another thread.
        cache: see `Device`.
        breaker: of the answers; by default one of its own.
        now: the time that lines have, in seconds since 1970; nothing is computed from it.

    Raises:
        BundleError, FormError: see `load_bundle` and `Device`.
        FileError: see `Spool`.
    """

    def __init__(
        self,
        bundle: Path | EdgeBundle,
        link: Link | None = None,
        *,
        deadline_ms: float = DEADLINE_MS,
        policy: AuditPolicy | None = None,
        spool: Path | None = None,
        write: Callable[[AuditLine], None] | None = None,
        cache: Path | None = None,
        breaker: Breaker | None = None,
        now: Callable[[], float] = time.time,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, EdgeBundle) else load_bundle(bundle)
        self.device = Device(self.bundle, cache=cache)
        self.metrics = Metrics(self.bundle)
        self._deadline_s, self._now = deadline_ms / 1000, now
        self._link = Guarded(link, self.bundle, breaker=breaker) if link is not None else None
        self._boot, self._images = secrets.token_hex(4), 0
        self._one_at_a_time = threading.Lock()
        self.auditor: Auditor | None = None
        if policy is not None and link is not None:
            assert spool is not None and write is not None  # noqa: PT018  # as the docstring says
            self.auditor = Auditor(
                policy,
                Spool(spool / self.bundle.weights[:12]),
                Guarded(link.another(), self.bundle),
                self.bundle.weights,
                write=self._counted(write),
                now=now,
                rng=rng,
            )

    def answer(self, pixels: NDArray[np.uint8], *, file: str = "") -> AnswerLine:
        """Answer one image within the deadline, whatever the cloud does.

        Args:
            pixels: (height, width, channels), as the bundle's input.
            file: where the image is from, for the line.

        Raises:
            ImageError: pixels of another shape or kind.
        """
        self._check(pixels)
        self.written()
        with self._one_at_a_time:
            started = time.monotonic()
            exits = self.device.run(pixels)
            if exits[-1].leaves:
                line = self._early(exits[-1], started)
            else:
                line = self._staying(exits, started)
            line = replace(line, file=file)
            self.metrics.count(line)
            return line

    def written(self) -> None:
        """The last answer is where its readers find it, so its audit may be sent.

        The next call of `answer` says the same.
        """
        if self.auditor is not None:
            self.auditor.release()

    def gauges(self) -> dict[str, float]:
        """What is so now, for the metrics: the breaker's state and the audits that wait."""
        breaker = self._link.breaker.state if self._link else 0
        waiting = self.auditor.waiting() if self.auditor else 0
        lost = self.auditor.lost if self.auditor else 0
        return {"breaker_state": breaker, "audits_waiting": waiting, "audits_lost": lost}

    def close(self) -> None:
        """End the thread that sends audits, and connections."""
        if self.auditor is not None:
            self.auditor.close()
        if self._link is not None:
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self, pixels: NDArray[np.uint8]) -> None:
        shape = self.bundle.shape
        if pixels.shape != shape or pixels.dtype != np.uint8:
            given = f"{pixels.dtype} of {' × '.join(map(str, pixels.shape))}"
            raise ImageError(
                f"An image of this bundle is uint8 of {' × '.join(map(str, shape))} (height, "
                f"width, channels), not {given}; see `hybrid.data.preprocess`."
            )

    def _early(self, exited: Exited, started: float) -> AnswerLine:
        line = self._line(exited, "exit", _ms_since(started))
        if self.auditor is None:
            return line
        chance, drawn = self.auditor.draw(exited.exit_index, exited.confidence)
        if drawn:
            self.auditor.keep(line.image, self.device.packed())
        return replace(line, audit_probability=chance, audited=drawn)

    def _staying(self, exits: list[Exited], started: float) -> AnswerLine:
        packed = self.device.packed()
        device_ms, asked = _ms_since(started), time.monotonic()
        try:
            if self._link is None:
                raise LinkError("no link")
            reply = self._link.ask(packed, deadline=started + self._deadline_s - _MARGIN_S)
        except LinkError as error:
            best = max(exits, key=lambda one: one.confidence)  # the first of the most confident
            line = self._line(best, "fallback", device_ms)
            waited = None if error.reason in _NOT_ASKED else _ms_since(asked)
            return replace(line, reason=error.reason, wire_ms=waited, sent_bytes=error.sent_bytes)
        return self._of_cloud(reply, device_ms, _ms_since(asked))

    def _of_cloud(self, reply: Reply, device_ms: float, asked_ms: float) -> AnswerLine:
        probabilities = softmax(reply.logits[None], self.bundle.temperature)
        answered = Exited(
            exit_index=self.bundle.early,
            class_index=int(reply.logits.argmax()),
            confidence=float(MEASURES[self.bundle.measure](probabilities)[0]),
            leaves=True,
        )
        cloud_ms = None if reply.cloud_ms is None else min(reply.cloud_ms, asked_ms)
        return replace(
            self._line(answered, "cloud", device_ms),
            wire_ms=asked_ms - (cloud_ms or 0.0),
            cloud_ms=cloud_ms,
            sent_bytes=reply.sent_bytes,
        )

    def _line(self, answered: Exited, source: str, device_ms: float) -> AnswerLine:
        self._images += 1
        covers = CLOUD_DOWN if source == "fallback" else CLOUD_THERE
        return AnswerLine(
            bundle=self.bundle.weights,
            image=f"{self._boot}-{self._images:07d}",
            time_s=self._now(),
            class_index=answered.class_index,
            confidence=answered.confidence,
            exit_index=answered.exit_index,
            source=source,
            device_ms=device_ms,
            certificate=covers if covers in self.bundle.certified else "",
            planned=self.auditor is not None,
        )

    def _counted(self, write: Callable[[AuditLine], None]) -> Callable[[AuditLine], None]:
        def counted(line: AuditLine) -> None:
            write(line)
            self.metrics.count_audit()

        return counted


def _ms_since(start: float) -> float:
    return (time.monotonic() - start) * 1000
