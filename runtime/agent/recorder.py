"""Records a call: caller left, agent right, written to the encrypted spool by a thread of its own.

It records from the answer on; what is spoken before the spool is open waits in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import structlog

from appliance.calls.domain import RecordingGrant
from appliance.errors import TrunklineError, Unavailable
from appliance.recordings.spool import SpoolWriter
from runtime.agent.timeline import AGENT, CALLER, SAMPLE_RATE_HZ, Placement, Samples, StereoTimeline

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)

_WRITE_EVERY_SECONDS = 0.5
_BEHIND_SECONDS = 1.0
"""What is younger is not written yet: audio that is queued at the sender may still be taken back."""
_RETRY_SECONDS = 2.0


class CallRecorder:
    """One call's recording. `place_*` never wait; times are of `time.monotonic()`.

    `grant` asks the tool API for the recording's place and key; it is asked again until it answers. A disk
    that does not take the recording ends the recording and never the call.
    """

    def __init__(
        self, spool_dir: Path, call_id: UUID, attempt: int, grant: Callable[[], Awaitable[RecordingGrant]]
    ) -> None:
        self._spool_dir = spool_dir
        self._call_id = call_id
        self._attempt = attempt
        self._ask = grant
        self._timeline = StereoTimeline()
        self._caller = Placement()
        self._agent = Placement()
        self._started_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        self._writer: SpoolWriter | None = None
        self._failed = False
        self._held = False
        self.grant: RecordingGrant | None = None

    def start(self) -> None:
        """The call is answered: position 0 of the recording is now, and the spool is asked for.

        A call that was never answered has no recording.
        """
        if self._started_at is None:
            self._started_at = time.monotonic()
            self._task = asyncio.create_task(self._write(), name="recorder")

    def position_ms(self, at: float) -> int:
        """Milliseconds of the recording at a monotonic time."""
        return 0 if self._started_at is None else int((at - self._started_at) * 1000)

    def hold(self, on: bool) -> None:
        """While the call is held the caller's channel is silence."""
        self._held = on
        self._caller.restart()

    def place_caller(self, samples: Samples, received_at: float) -> None:
        """A frame of the caller (16 kHz mono) whose last sample arrived at `received_at`."""
        if self._started_at is None or self._held or self._failed:
            return
        by_clock = self._sample(received_at) - len(samples)
        self._timeline.place(CALLER, self._caller.position(by_clock, len(samples)), samples)

    def place_agent(self, samples: Samples, plays_at: float) -> None:
        """A frame of the agent (16 kHz mono) whose first sample is sent at `plays_at`."""
        if self._started_at is None or self._failed:
            return
        by_clock = self._sample(plays_at)
        self._timeline.place(AGENT, self._agent.position(by_clock, len(samples)), samples)

    def agent_cut(self, at: float) -> None:
        """The sender dropped what it would have sent from `at` on."""
        if self._started_at is not None:
            self._timeline.erase_after(AGENT, self._sample(at))
        self._agent.restart()

    async def close(self, *, timeout_seconds: float = 4.0) -> None:
        """Writes the rest and seals the spool. What does not succeed in time is left to the jobs worker."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        try:
            async with asyncio.timeout(timeout_seconds):
                if self._writer is None and self._started_at is not None and not self._failed:
                    await self._open_writer()
                if self._writer is not None:
                    await self._flush(self._sample(time.monotonic()))
                    await self._in_thread(self._writer.close)
        except (TimeoutError, TrunklineError, OSError) as error:
            _log.warning("recording not sealed by the worker", reason=type(error).__name__)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=False)

    def _sample(self, at: float) -> int:
        assert self._started_at is not None
        return max(int((at - self._started_at) * SAMPLE_RATE_HZ), 0)

    async def _write(self) -> None:
        while self._writer is None and not self._failed:
            try:
                await self._open_writer()
            except Unavailable as error:
                _log.warning("recording has no place yet", reason=error.code)
                await asyncio.sleep(_RETRY_SECONDS)
            except (OSError, TrunklineError) as error:
                self._fail(error)
        while not self._failed:
            await asyncio.sleep(_WRITE_EVERY_SECONDS)
            try:
                await self._flush(self._sample(time.monotonic() - _BEHIND_SECONDS))
            except (OSError, TrunklineError) as error:
                self._fail(error)

    async def _open_writer(self) -> None:
        if self.grant is None:
            self.grant = await self._ask()
        grant = self.grant

        def opened() -> SpoolWriter:
            return SpoolWriter.create(self._spool_dir, grant, call_id=self._call_id, attempt=self._attempt)

        self._writer = await self._in_thread(opened)

    async def _flush(self, position: int) -> None:
        samples = self._timeline.take(position)
        if len(samples) and self._writer is not None:
            writer = self._writer
            content = samples.tobytes()
            await self._in_thread(lambda: writer.append(content))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _fail(self, error: Exception) -> None:
        self._failed = True
        _log.error("recording given up", reason=type(error).__name__)
