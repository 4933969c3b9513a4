"""Who speaks next: clauses of all calls wait in one bounded queue for the one engine.

What is needed first goes first: a call's first clause at once, a later one by the time when the sound before
it will have been heard. Clauses that wait together are made together, where the engine can. A clause whose
listener is gone is dropped before it is begun, and a streaming engine stops at its next chunk.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from appliance.errors import AtCapacity, TrunklineError, Unavailable
from models.tts.clause import Encoded, Engine, Samples
from models.tts.metrics import Metrics

_log = structlog.get_logger(__name__)
_GATHER_SECONDS = 0.004
_STUCK_SECONDS = 30.0
BACKGROUND = float("inf")


@dataclass(order=True)
class _Job:
    due: float
    number: int
    encoded: Encoded = field(compare=False)
    queued_at: float = field(compare=False)
    out: asyncio.Queue[Samples | TrunklineError | None] = field(compare=False)
    gone: threading.Event = field(compare=False, default_factory=threading.Event)


class Scheduler:
    """One engine, one thread, one queue. `run` owns them until it is cancelled."""

    def __init__(self, engine: Engine, metrics: Metrics, *, queue_limit: int) -> None:
        self.engine = engine
        self._metrics = metrics
        self._queue_limit = queue_limit
        self._waiting: list[_Job] = []
        self._numbers = itertools.count()
        self._something = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "engine")
        self._busy_since: float | None = None

    @property
    def stuck(self) -> bool:
        """Whether the engine has been at one piece of work for much longer than any takes."""
        return self._busy_since is not None and time.monotonic() - self._busy_since > _STUCK_SECONDS

    @property
    def waiting(self) -> int:
        return sum(1 for job in self._waiting if job.due != BACKGROUND)

    async def speak(
        self, encoded: Encoded, *, due: float = 0.0, first: bool = True
    ) -> AsyncGenerator[Samples, None]:
        """The engine's samples for one clause. `due` is on the monotonic clock; 0 means now.

        A call's `first` clause is refused with AtCapacity when too many wait; later ones belong to a call
        that was taken, and wait. Raises Unavailable when the engine fails.
        """
        if first and self.waiting >= self._queue_limit:
            raise AtCapacity(
                f"{self._queue_limit} clauses wait for the voice already.", retry_after_seconds=1
            )
        job = _Job(due or time.monotonic(), next(self._numbers), encoded, time.monotonic(), asyncio.Queue())
        heapq.heappush(self._waiting, job)
        self._metrics.queue.set(self.waiting)
        self._something.set()
        try:
            while (made := await job.out.get()) is not None:
                if isinstance(made, TrunklineError):
                    raise made
                yield made
        finally:
            job.gone.set()

    async def run(self) -> None:
        """Serves the queue for ever."""
        try:
            while True:
                await self._something.wait()
                await asyncio.sleep(_GATHER_SECONDS)
                batch = self._next_batch()
                if not batch:
                    self._something.clear()
                    continue
                await self._serve(batch)
        finally:
            for job in self._waiting:
                job.out.put_nowait(Unavailable("The voice is stopping."))
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _next_batch(self) -> list[_Job]:
        batch: list[_Job] = []
        limit = max(1, self.engine.max_batch)
        while self._waiting and len(batch) < limit:
            if batch and self._waiting[0].due == BACKGROUND and batch[0].due != BACKGROUND:
                break
            job = heapq.heappop(self._waiting)
            if not job.gone.is_set():
                batch.append(job)
                if job.due == BACKGROUND:
                    break
        self._metrics.queue.set(self.waiting)
        return batch

    async def _serve(self, batch: Sequence[_Job]) -> None:
        loop = asyncio.get_running_loop()
        self._busy_since = begun = time.monotonic()
        for job in batch:
            self._metrics.stage("wait", begun - job.queued_at)
        self._metrics.batch.observe(len(batch))
        try:
            if self.engine.max_batch:
                await loop.run_in_executor(self._thread, self._render, batch, loop)
            else:
                await loop.run_in_executor(self._thread, self._stream, batch[0], loop)
        finally:
            self._busy_since = None
        self._metrics.stage("render", time.monotonic() - begun)

    def _render(self, batch: Sequence[_Job], loop: asyncio.AbstractEventLoop) -> None:
        try:
            sounds = self.engine.render([job.encoded for job in batch])
        except Exception as error:
            for job in batch:
                loop.call_soon_threadsafe(job.out.put_nowait, _told(error))
            return
        for job, sound in zip(batch, sounds, strict=True):
            loop.call_soon_threadsafe(job.out.put_nowait, sound)
            loop.call_soon_threadsafe(job.out.put_nowait, None)

    def _stream(self, job: _Job, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for chunk in self.engine.stream(job.encoded):
                if job.gone.is_set():
                    break
                if job.due == BACKGROUND and self.waiting:
                    # A caller waits: what nobody waits for is given up, and made when it is asked for.
                    raise Unavailable("Something more urgent came.")
                loop.call_soon_threadsafe(job.out.put_nowait, chunk)
            loop.call_soon_threadsafe(job.out.put_nowait, None)
        except Exception as error:
            loop.call_soon_threadsafe(job.out.put_nowait, _told(error))


def _told(error: Exception) -> TrunklineError:
    if isinstance(error, TrunklineError):
        return error
    _log.error("engine failed", error=type(error).__name__)
    return Unavailable("The voice failed at this clause.", remedy="See the voice server's log.")
