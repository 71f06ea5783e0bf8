"""A plan and the lines of an edge to a status: evidence, alarm, and what is certified now.

An image whose audit is still on its way holds up those after it, since audits that are late may
not be late at random. One that does not come is taken for the worst case in both directions: as an
agreement by the evidence and as a disagreement by the bounds.

An image that had to be answered by a fallback would have gone to the cloud, so it counts like one
that did: its loss under this promise is 0. To leave it out would not be fair: while the cloud is
down, only early answers would be left, which differ more often than all images do.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hybrid.errors import LineError
from hybrid.monitor.audit import weighted_losses
from hybrid.monitor.diagnostics import Diagnostics, Tally
from hybrid.monitor.evidence import Evidence, Path
from hybrid.monitor.lines import AnswerLine, AuditLine, parse_line
from hybrid.monitor.plan import Plan, Promise
from hybrid.monitor.recertify import Window, Windows

__all__ = ["Audits", "Monitor", "Refused", "Status"]

Floats = npt.NDArray[np.float64]

PATIENCE = 10_000  # images that wait for an audit
_EVERY = 100  # images between two points of the history, until it has too many
_MOST_POINTS = 10_000  # of the history: then every second one is dropped
_LATEST_S = 86_400.0  # between two lines, or the clock has jumped
_BACK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Audits:
    """Early answers that were drawn for an audit, and how it went."""

    drawn: int = 0
    agreed: int = 0
    differed: int = 0
    missing: int = 0  # did not come in time; taken for the worst case


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Lines that were left out, and what was odd about others."""

    damaged: int = 0
    unfinished: int = 0  # a last line that is still being written
    other_bundle: int = 0
    other_plan: int = 0  # thresholds or probabilities that are not the plan's
    no_plan: int = 0  # of an edge without one: its early answers cannot count, so none does
    repeated: int = 0
    late_audits: int = 0  # or of an image that was not drawn
    clock_jumps: int = 0  # only noted: nothing is computed from the clock


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a monitor knows after some images.

    Args:
        images: that the evidence includes.
        waiting: images after an audit that is still on its way.
        evidence_log10: log10 W; the alarm is at log10(1 / alpha).
        alarm_at: images at which W first was there; None if it never was.
        recent_log10: log10 of the e-CUSUM; its alarm is at log10(run length).
        recent_alarm_at: likewise.
        observed: weighted mean loss; NaN without images.
        windows: the latest bounds of what is certified, oldest first, which hold together with
            those before them.
        history: images, evidence_log10 and recent_log10 at every hundredth image; of a long one,
            at every 200th, 400th and so on.
    """

    promise: Promise
    images: int
    waiting: int
    fallbacks: int
    evidence_log10: float
    alarm_at: int | None
    recent_log10: float
    recent_alarm_at: int | None
    observed: float
    windows: tuple[Window, ...]
    audits: Audits
    refused: Refused
    diagnostics: Diagnostics
    history: tuple[tuple[int, float, float], ...] = field(repr=False)

    @property
    def alarm(self) -> bool:
        """Whether one of the alarms was raised."""
        return self.alarm_at is not None or self.recent_alarm_at is not None


@dataclass(slots=True)
class _Image:
    """An image in the queue; `loss` is None while its audit is on its way."""

    exit_index: int
    confidence: float
    probability: float
    audited: bool
    answered: int
    loss: float | None


class Monitor:
    """One device, watched by a plan.

    Args:
        plan: that the edge has too.
        patience: images that wait for an audit before it counts as missing.
    """

    def __init__(self, plan: Plan, *, patience: int = PATIENCE) -> None:
        self.plan = plan
        self._patience = patience
        self._queue: deque[_Image] = deque()
        self._pending: dict[str, _Image] = {}
        self._recent: dict[str, None] = {}  # names of the last images, in their order
        self._evidence = Evidence(plan.bets, epsilon=plan.promise.epsilon)
        self._windows = Windows(plan.window, highest=plan.most_loss, delta=plan.alpha)
        self._tally = Tally(plan)
        self._audits, self._refused = Audits(), Refused()
        self._fallbacks, self._sum = 0, 0.0
        self._clock: float | None = None
        self._alarms: list[int | None] = [None, None]
        self._last = (0.0, 0.0)
        self._history: list[tuple[int, float, float]] = [(0, 0.0, 0.0)]
        self._every = _EVERY

    def read(self, texts: Iterable[str], *, last_is_whole: bool = True) -> None:
        """Go on with lines as they were written; those that cannot be read are counted.

        Args:
            last_is_whole: False if the last one may still be being written.
        """
        found = list(texts)
        lines = []
        for place, text in enumerate(found):
            try:
                lines.append(parse_line(text))
            except LineError:
                half = not last_is_whole and place == len(found) - 1
                self._refuse("unfinished" if half else "damaged")
        self.add(lines)

    def add(self, lines: Iterable[AnswerLine | AuditLine]) -> None:
        """Go on with these lines, in the order in which they were written."""
        found = list(lines)
        for line, allowed in zip(found, self._allowed(found), strict=True):
            if not self.plan.is_of(line.bundle):
                self._refuse("other_bundle")
                continue
            self._look_at_clock(line.time_s)
            if isinstance(line, AuditLine):
                self._add_audit(line)
            elif not line.planned:
                self._refuse("no_plan")
            elif not allowed:
                self._refuse("other_plan")
            else:
                self._add_answer(line)
        self._settle()

    def _allowed(self, lines: list[AnswerLine | AuditLine]) -> list[bool]:
        """Of each line, whether an edge with this plan can have written it."""
        allowed = np.ones(len(lines), bool)
        early = [
            (place, line.exit_index, line.confidence, line.audit_probability)
            for place, line in enumerate(lines)
            if isinstance(line, AnswerLine) and line.source == "exit" and line.planned
        ]
        if early:
            places, *fields = zip(*early, strict=True)
            allowed[list(places)] = self.plan.allows(*fields)
        return allowed.tolist()

    def status(self) -> Status:
        """Everything that is known by now."""
        done = self._evidence.images
        wealth, recent = self._last
        here = (done, wealth, recent)
        return Status(
            promise=self.plan.promise,
            images=done,
            waiting=len(self._queue),
            fallbacks=self._fallbacks,
            evidence_log10=wealth,
            alarm_at=self._alarms[0],
            recent_log10=recent,
            recent_alarm_at=self._alarms[1],
            observed=self._sum / done if done else math.nan,
            windows=tuple(self._windows.found),
            audits=self._audits,
            refused=self._refused,
            diagnostics=self._tally.found(),
            history=(*self._history, here) if done != self._history[-1][0] else (*self._history,),
        )

    def _refuse(self, kind: str) -> None:
        self._refused = replace(self._refused, **{kind: getattr(self._refused, kind) + 1})

    def _count(self, kind: str) -> None:
        self._audits = replace(self._audits, **{kind: getattr(self._audits, kind) + 1})

    def _look_at_clock(self, time_s: float) -> None:
        if self._clock is not None and not -_BACK_S <= time_s - self._clock <= _LATEST_S:
            self._refuse("clock_jumps")
        self._clock = time_s

    def _add_answer(self, line: AnswerLine) -> None:
        if line.image in self._recent:
            self._refuse("repeated")
            return
        image = self._image(line)
        self._recent[line.image] = None
        if len(self._recent) > 2 * self._patience:
            del self._recent[next(iter(self._recent))]
        self._fallbacks += line.source == "fallback"
        self._queue.append(image)
        if image.audited:
            self._count("drawn")
            self._pending[line.image] = image
            if line.cloud_class is not None:
                self._learn(line.image, line.cloud_class)

    def _image(self, line: AnswerLine) -> _Image:
        if line.source != "exit":
            return _Image(self.plan.early, 0.0, 1.0, audited=False, answered=0, loss=0.0)
        assert line.audit_probability is not None  # parse_line promises it
        return _Image(
            line.exit_index,
            line.confidence,
            line.audit_probability,
            audited=line.audited,
            answered=line.class_index,
            loss=None if line.audited else 0.0,
        )

    def _add_audit(self, line: AuditLine) -> None:
        if line.image in self._pending:
            self._learn(line.image, line.cloud_class)
        else:
            self._refuse("late_audits")

    def _learn(self, name: str, cloud_class: int) -> None:
        image = self._pending.pop(name)
        image.loss = float(image.answered != cloud_class)
        self._count("differed" if image.loss else "agreed")

    def _settle(self) -> None:
        """Bet on all images up to the first whose audit is on its way, if it is not too late."""
        settled: list[_Image] = []
        while self._queue and (
            self._queue[0].loss is not None or len(self._queue) > self._patience
        ):
            settled.append(self._queue.popleft())
        if settled:
            self._bet(settled)
        missing = {id(one) for one in settled if one.loss is None}
        if missing:
            self._pending = {k: v for k, v in self._pending.items() if id(v) not in missing}

    def _bet(self, images: list[_Image]) -> None:
        exits = np.array([one.exit_index for one in images])
        confidences = np.array([one.confidence for one in images])
        left = exits < self.plan.early
        expected = np.zeros(len(images))
        expected[left] = self.plan.policy.expectation.at(exits[left], confidences[left])
        known = np.array([math.nan if one.loss is None else one.loss for one in images])
        lacking = np.isnan(known)
        drawn = np.array([one.audited for one in images])
        drawn |= ~left  # the loss of an image that goes to the cloud is known to be 0
        probability = np.array([one.probability for one in images])
        low, high = (
            weighted_losses(expected, probability, drawn, np.where(lacking, loss, known))
            for loss in (0.0, 1.0)
        )
        self._audits = replace(self._audits, missing=self._audits.missing + int(lacking.sum()))
        self._tally.add(exits, confidences)
        self._sum += float(high.sum())
        self._windows.add(high)
        self._note(self._evidence.add(low))

    def _note(self, path: Path) -> None:
        """Keep the alarms and a thinned history of the evidence."""
        logs = [values / math.log(10) for values in (path.wealth, path.recent)]
        before = self._evidence.images - len(logs[0])
        limits = -math.log10(self.plan.alpha), math.log10(self.plan.run_length)
        for which, (values, limit) in enumerate(zip(logs, limits, strict=True)):
            over = np.flatnonzero(values >= limit)
            if len(over) and self._alarms[which] is None:
                self._alarms[which] = before + int(over[0]) + 1
        images = before + 1 + np.arange(len(logs[0]))
        kept = images % self._every == 0
        rows = zip(images[kept], logs[0][kept], logs[1][kept], strict=True)
        self._history += [(int(at), float(wealth), float(recent)) for at, wealth, recent in rows]
        while len(self._history) > _MOST_POINTS:
            self._history = self._history[::2]
            self._every *= 2
        self._last = float(logs[0][-1]), float(logs[1][-1])
