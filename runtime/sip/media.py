"""The audio of one call: telephone to room, and agent (or the box's own sounds) to telephone.

No buffer holds more than 100 ms, and a full one drops its oldest frame: a stall becomes a gap and never a
delay that stays.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from livekit import rtc

from runtime.sip.audiosocket import AudioSocketConnection
from runtime.sip.sdk_audio import SdkAudio
from runtime.sip.sounds import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ, SILENCE

_ROOM_FRAME_BYTES: Final = FRAME_BYTES // 2
"""The room takes 10 ms at a time."""
_MAX_QUEUED_FRAMES: Final = 100 // FRAME_MS
_FRAME_SECONDS: Final = FRAME_MS / 1000
_LATE_SECONDS: Final = 0.06
"""So late an agent's frame may be before silence takes its place."""
_AHEAD_SECONDS: Final = 0.1
_SPEECH_LEVEL: Final = 600
_MAX_GAPS: Final = 500


@dataclass(slots=True)
class MediaStatistics:
    """Counts of 20 ms frames (phone side) and the gaps between a caller's speech and the agent's answer."""

    from_phone: int = 0
    from_phone_dropped: int = 0
    to_phone_agent: int = 0
    to_phone_own: int = 0
    to_phone_silence: int = 0
    to_phone_dropped: int = 0
    answer_gaps_ms: list[int] = field(default_factory=list[int])
    """From the caller's last loud frame to the agent's first loud frame after it, as they pass the bridge."""


class Media:
    """Made at the beginning of the call, closed at its end; the two sides may come, go and be replaced."""

    def __init__(self, sdk: SdkAudio, capture: Callable[[bytes], Awaitable[None]]) -> None:
        self.statistics = MediaStatistics()
        self.held = False
        self._sdk = sdk
        self._capture = capture
        self._connection: AudioSocketConnection | None = None
        self._from_phone: deque[bytes] = deque(maxlen=_MAX_QUEUED_FRAMES)
        self._phone_wake = asyncio.Event()
        self._agent_frames: deque[bytes] = deque(maxlen=_MAX_QUEUED_FRAMES)
        self._agent_wake = asyncio.Event()
        self._agent_task: asyncio.Task[None] | None = None
        self._own: Iterator[bytes] | None = None
        self._own_done: Callable[[], None] | None = None
        self._own_yields = False
        self._pumps: list[asyncio.Task[None]] = []
        self.last_from_phone = time.monotonic()
        """When the telephone was last heard, by `time.monotonic`."""
        self._caller_spoke_at = 0.0
        self._last_loud_to_phone = 0.0

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._pumps = [loop.create_task(self._pump_to_room()), loop.create_task(self._pump_to_phone())]

    async def close(self) -> None:
        tasks = [*self._pumps, *([self._agent_task] if self._agent_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._own = self._own_done = None
        if self._connection is not None:
            self._connection.close()

    def summary(self) -> dict[str, int]:
        """The statistics as numbers for the log."""
        gaps = sorted(self.statistics.answer_gaps_ms)
        counts = {
            "from_phone": self.statistics.from_phone,
            "from_phone_dropped": self.statistics.from_phone_dropped,
            "to_phone_agent": self.statistics.to_phone_agent,
            "to_phone_own": self.statistics.to_phone_own,
            "to_phone_silence": self.statistics.to_phone_silence,
            "to_phone_dropped": self.statistics.to_phone_dropped,
            "answers": len(gaps),
        }
        return counts | ({"answer_gap_p50_ms": gaps[len(gaps) // 2]} if gaps else {})

    # The sides

    def connect_phone(self, connection: AudioSocketConnection, on_closed: Callable[[], None]) -> None:
        self._connection = connection
        self.last_from_phone = time.monotonic()
        connection.attach(self._hear_phone, on_closed)

    def connect_agent(self, track: rtc.RemoteAudioTrack | None) -> None:
        """From now on this track is what the caller hears; None: nobody speaks."""
        if self._agent_task is not None:
            self._agent_task.cancel()
            self._agent_task = None
        self._agent_frames.clear()
        if track is not None:
            self._agent_task = asyncio.get_running_loop().create_task(self._hear_agent(track))

    # The box's own sounds

    def play(
        self,
        frames: Iterator[bytes],
        *,
        done: Callable[[], None] | None = None,
        yields_to_agent: bool = False,
    ) -> None:
        """Plays instead of the agent, until it is over or stopped; with `yields_to_agent` until it speaks."""
        self._own, self._own_done, self._own_yields = frames, done, yields_to_agent
        self._agent_wake.set()

    def stop_playing(self) -> None:
        self._own = self._own_done = None

    async def drained(self, *, longest_seconds: float) -> None:
        """Waits until the agent's last words have been sent: 300 ms without a loud frame."""
        deadline = time.monotonic() + longest_seconds
        await asyncio.sleep(0.1)
        while (now := time.monotonic()) < deadline and now - self._last_loud_to_phone < 0.3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    # Telephone to room

    def _hear_phone(self, pcm: bytes) -> None:
        now = time.monotonic()
        self.last_from_phone = now
        self.statistics.from_phone += 1
        if self.held:
            return
        if _is_loud(pcm):
            self._caller_spoke_at = now
        if len(self._from_phone) == self._from_phone.maxlen:
            self.statistics.from_phone_dropped += 1
        self._from_phone.append(pcm)
        self._phone_wake.set()

    async def _pump_to_room(self) -> None:
        rest = b""
        while True:
            await self._phone_wake.wait()
            self._phone_wake.clear()
            while self._from_phone:
                rest += self._from_phone.popleft()
                whole = len(rest) - len(rest) % _ROOM_FRAME_BYTES
                for start in range(0, whole, _ROOM_FRAME_BYTES):
                    await self._capture(rest[start : start + _ROOM_FRAME_BYTES])
                rest = rest[whole:]

    # Agent to telephone

    async def _hear_agent(self, track: rtc.RemoteAudioTrack) -> None:
        async with self._sdk.stream(
            track, rate_hz=SAMPLE_RATE_HZ, frame_ms=FRAME_MS, most_frames=_MAX_QUEUED_FRAMES
        ) as stream:
            async for event in stream:
                if len(self._agent_frames) == self._agent_frames.maxlen:
                    self.statistics.to_phone_dropped += 1
                self._agent_frames.append(bytes(event.frame.data))
                self._agent_wake.set()

    async def _pump_to_phone(self) -> None:
        """Sends an agent's frame as soon as it is there, and own sounds or silence every 20 ms.

        The agent's frames come paced by the room; `due` only keeps a burst after a stall from running more
        than 100 ms ahead of the clock.
        """
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            patience = 0.0 if self._own is not None else _LATE_SECONDS
            if not (self._agent_frames and self._own is None):
                await self._wait_for_agent(due + patience)
            now = loop.time()
            if self._own is not None and not (self._own_yields and self._agent_speaks()):
                self._agent_frames.clear()
                if now >= due:
                    self._send_own()
                    due = max(due + _FRAME_SECONDS, now - _AHEAD_SECONDS)
            elif self._agent_frames:
                self.stop_playing()
                frame = self._agent_frames.popleft()
                if due > now + _AHEAD_SECONDS:
                    self.statistics.to_phone_dropped += 1
                    continue
                self._send_agent(frame, now)
                due = max(due + _FRAME_SECONDS, now)
            elif now >= due + _LATE_SECONDS:
                self._send(SILENCE)
                self.statistics.to_phone_silence += 1
                due = max(due + _FRAME_SECONDS, now - _LATE_SECONDS)

    async def _wait_for_agent(self, until: float) -> None:
        """Until a frame of the agent's is there, or the loop's clock says `until`."""
        self._agent_wake.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._agent_wake.wait()
        except TimeoutError:
            return

    def _agent_speaks(self) -> bool:
        return any(_is_loud(frame) for frame in self._agent_frames)

    def _send_agent(self, frame: bytes, now: float) -> None:
        self.statistics.to_phone_agent += 1
        if _is_loud(frame):
            self._last_loud_to_phone = now
            if self._caller_spoke_at:
                gap_ms = int((time.monotonic() - self._caller_spoke_at) * 1000)
                self._caller_spoke_at = 0.0
                if len(self.statistics.answer_gaps_ms) < _MAX_GAPS:
                    self.statistics.answer_gaps_ms.append(gap_ms)
        self._send(frame)

    def _send_own(self) -> None:
        assert self._own is not None
        frame = next(self._own, None)
        if frame is None:
            done, self._own, self._own_done = self._own_done, None, None
            if done is not None:
                done()
            return
        self.statistics.to_phone_own += 1
        self._send(frame)

    def _send(self, frame: bytes) -> None:
        if self._connection is not None:
            self._connection.send(frame)


def _is_loud(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm, dtype="<i2")
    return bool(samples.size) and int(np.abs(samples.astype(np.int32)).max()) > _SPEECH_LEVEL
