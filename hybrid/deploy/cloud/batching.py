"""Micro-batching: requests of a few images in, one call of the model for many of them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.cloud.metrics import Metrics
from hybrid.deploy.cloud.refusals import Refusal, busy, late

__all__ = ["Batcher"]

Octets = NDArray[np.uint8]
Floats = NDArray[np.float32]
# A request is let in only if it would be answered in half of its time: a queue that is filled up to
# the deadline answers everything a little too late.
_MARGIN = 2.0
_SHARE = 0.1  # of the newest batch in the mean time per image
_FAILED = 500


@dataclass(eq=False)
class _Waiting:
    packed: Octets
    since_s: float
    until_s: float
    answer: "asyncio.Future[Floats]"


class Batcher:
    """A bounded queue before a model.

    While the model computes one batch, the next gathers. A request whose deadline cannot be met is
    refused at once, and one whose deadline has passed is not computed.

    Args:
        run: (n, bytes) uint8 to logits (n, classes); called in a thread, once at a time.
        max_batch: images of one call.
        max_wait_s: that an image waits for others while the model is idle.
        most_waiting: images in the queue.
    """

    def __init__(
        self,
        run: Callable[[Octets], Floats],
        metrics: Metrics,
        *,
        max_batch: int,
        max_wait_s: float,
        most_waiting: int,
    ) -> None:
        self._run, self._metrics = run, metrics
        self._max_batch, self._max_wait_s, self.most_waiting = max_batch, max_wait_s, most_waiting
        self._queue: deque[_Waiting] = deque()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._image_s = 0.0
        self._computing = 0
        self.waiting = 0
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def ask(self, packed: Octets, *, until_s: float) -> Floats:
        """The logits of (n, bytes).

        Args:
            until_s: the deadline, by `time.monotonic`.

        Raises:
            Refusal: no room, too late, or the model failed.
        """
        now_s = time.monotonic()
        expected_s = self._image_s * (self.waiting + self._computing)
        if now_s >= until_s:
            raise late()
        full = self.waiting + len(packed) > self.most_waiting
        if full or now_s + _MARGIN * expected_s > until_s:
            raise busy(expected_s)
        answer: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(packed, now_s, until_s, answer))
        self.waiting += len(packed)
        self._came.set()
        return await answer

    async def close(self) -> None:
        """Refuse what waits, and end."""
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker
        for one in self._queue:
            if not one.answer.done():
                one.answer.set_exception(busy(1))
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while True:
            await self._came.wait()
            if self._max_wait_s:
                await self._gather()
            batch = self._take()
            if batch:
                await self._answer(batch)
            if not self._queue:
                self._came.clear()

    async def _gather(self) -> None:
        """Wait for a whole batch, but not longer than the oldest image may wait for it."""
        left_s = self._queue[0].since_s + self._max_wait_s - time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                while self.waiting < self._max_batch:
                    self._came.clear()
                    await self._came.wait()

    def _take(self) -> list[_Waiting]:
        """The oldest requests that make one batch; those that no one waits for are dropped."""
        batch: list[_Waiting] = []
        images, now_s = 0, time.monotonic()
        while self._queue and images + len(self._queue[0].packed) <= self._max_batch:
            one = self._queue.popleft()
            self.waiting -= len(one.packed)
            if one.answer.done():  # cancelled
                continue
            if now_s >= one.until_s:
                one.answer.set_exception(late())
                continue
            self._metrics.seconds["queue"].add(now_s - one.since_s)
            batch.append(one)
            images += len(one.packed)
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        packed = np.concatenate([one.packed for one in batch])
        self._computing = len(packed)
        began_s = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            logits = await loop.run_in_executor(self._thread, self._run, packed)
        except asyncio.CancelledError:
            self._fail(batch, "The server ends.")
            raise
        except Exception:  # whatever it is, the next batch is answered
            self._fail(batch, "The model failed.")
            return
        finally:
            self._computing = 0
        took_s = time.monotonic() - began_s
        self._metrics.count_batch(len(packed), took_s)
        self._learn(took_s / len(packed))
        finite = np.asarray(np.isfinite(logits).all(axis=1))
        start, now_s = 0, time.monotonic()
        for one in batch:
            rows = slice(start, start + len(one.packed))
            start = rows.stop
            if now_s >= one.until_s:
                self._refuse([one], late())
            elif not finite[rows].all():
                self._fail([one], "A logit is not a number.")
            elif not one.answer.done():
                one.answer.set_result(logits[rows])

    def _fail(self, batch: list[_Waiting], sentence: str) -> None:
        self._refuse(batch, Refusal(_FAILED, sentence))

    def _refuse(self, batch: list[_Waiting], refusal: Refusal) -> None:
        for one in batch:
            if not one.answer.done():
                one.answer.set_exception(refusal)

    def _learn(self, image_s: float) -> None:
        """Keep the mean time per image, from which a wait is foretold."""
        before = self._image_s or image_s
        self._image_s = before + _SHARE * (image_s - before)
