"""Audits on the edge: which early answers the plan draws, and the thread that sends them."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.guard import Guarded
from hybrid.deploy.edge.links import LinkError
from hybrid.deploy.edge.spool import Audit, Spool
from hybrid.errors import LineError
from hybrid.files import parse_json, read_text
from hybrid.monitor.audit import AuditPolicy, policy_of
from hybrid.monitor.lines import AuditLine

__all__ = ["Auditor", "load_policy"]

DEADLINE_S = 10.0  # of one audit; no one waits for it
_PAUSE_S = 1.0  # after one that failed
_TRIES = 5  # of an audit that the cloud refuses although it takes others
_OF_THE_IMAGE = {"request", "shape", "not finite"}


def load_policy(path: Path, bundle: EdgeBundle) -> AuditPolicy:
    """With which probabilities the plan of a monitor draws the answers of this bundle.

    Raises:
        LineError: no plan, a damaged one, or one for another bundle.
    """
    try:
        row = parse_json(read_text(path))
        policy = policy_of(row["policy"])
        about = (row["bundle"], tuple(row["thresholds"]), row["measure"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LineError(
            f"{path} is no plan; write one with `hybrid monitor --save-plan`."
        ) from error
    if about != (bundle.weights, bundle.thresholds, bundle.measure):
        raise LineError(
            f"{path} is a plan for other weights, thresholds or another measure than those of "
            f"{bundle.folder}; write one for this bundle with `hybrid monitor --save-plan`."
        )
    return policy


class Auditor:
    """Draws, keeps and sends the audits of an edge.

    An audit is in the spool before its answer is given, and leaves it after `write` has the
    cloud's answer: a process that is killed loses none, and repeats at most one.

    Args:
        link: of its own; the answers have another.
        write: called with each audit that came back, from the thread that sends.
        now: seconds since 1970.
    """

    def __init__(
        self,
        policy: AuditPolicy,
        spool: Spool,
        link: Guarded,
        weights: str,
        *,
        write: Callable[[AuditLine], None],
        now: Callable[[], float] = time.time,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._policy, self._spool, self._link, self._weights = policy, spool, link, weights
        self._write, self._now, self._rng = write, now, rng or np.random.default_rng()
        self._changed = threading.Condition()
        self._closed, self._tries, self._held = False, 0, 0
        self.sent = self.lost = 0
        self._thread = threading.Thread(target=self._run, name="audits", daemon=True)
        self._thread.start()

    def draw(self, exit_index: int, confidence: float) -> tuple[float, bool]:
        """The probability of an early answer to be audited, and whether it is."""
        (chance,), (drawn,) = self._policy.draw([exit_index], [confidence], self._rng)
        return float(chance), bool(drawn)

    def keep(self, image: str, packed: bytes) -> None:
        """Put a drawn image into the spool; one for which there is no room is counted as lost.

        It is sent after `release`: a reader of the lines must meet the answer before its audit.
        """
        audit = Audit(image=image, weights=self._weights, packed=packed)
        with self._changed:
            kept = self._spool.put(audit)
            self._held += kept
            self.lost += not kept

    def release(self) -> None:
        """The answers of all audits in the spool are written."""
        with self._changed:
            if self._held:
                self._held = 0
                self._changed.notify_all()

    def waiting(self) -> int:
        """How many audits are in the spool."""
        return len(self._spool)

    def finish(self, wait_s: float) -> int:
        """Wait until all audits are sent, but not longer than this; how many are left."""
        self.release()
        with self._changed:
            self._changed.wait_for(lambda: not len(self._spool), wait_s)
            return len(self._spool)

    def close(self) -> None:
        """Send no more; what waits stays in the spool."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=_PAUSE_S)
        self._link.close()

    def _run(self) -> None:
        while (audit := self._next()) is not None:
            try:
                reply = self._link.ask(audit.packed, deadline=time.monotonic() + DEADLINE_S)
            except LinkError as error:
                self._failed(error)
            else:
                self._answered(audit, int(reply.logits.argmax()))

    def _answered(self, audit: Audit, cloud_class: int) -> None:
        line = AuditLine(
            bundle=audit.weights, image=audit.image, time_s=self._now(), cloud_class=cloud_class
        )
        try:
            self._write(line)
        except (OSError, ValueError):  # no room on the disk, or a file that was closed
            self._pause(_PAUSE_S)
            return
        with self._changed:
            self.sent, self._tries = self.sent + 1, 0
            self._spool.drop_first()
            self._changed.notify_all()

    def _next(self) -> Audit | None:
        """The oldest audit, once there is one; None when closed."""
        with self._changed:
            while not self._closed:
                audit = self._spool.first() if len(self._spool) > self._held else None
                if audit is not None:
                    return audit
                self._changed.notify_all()
                self._changed.wait()
        return None

    def _failed(self, error: LinkError) -> None:
        """Wait before the next attempt; give up an audit that alone is refused."""
        with self._changed:
            self._tries += error.reason in _OF_THE_IMAGE
            if self._tries >= _TRIES:
                self.lost, self._tries = self.lost + 1, 0
                self._spool.drop_first()
        self._pause(max(_PAUSE_S, self._link.breaker.wait_s()))

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)
