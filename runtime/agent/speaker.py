"""The agent's voice into the room: paced, recorded as it is sent, and able to speak without the framework.

The framework's speech comes through `capture_frame`; what must be heard even when the session or an engine is
stuck (apologies, fillers) comes through `announce` and needs nothing but this object.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice import io
from typing_extensions import override

from runtime.agent.heard import SpokenText, heard_part
from runtime.agent.recorder import CallRecorder

SAMPLE_RATE_HZ = 24_000
_FRAME_MS = 20
_FRAME_SAMPLES = SAMPLE_RATE_HZ * _FRAME_MS // 1000
_QUEUE_MS = 80
"""What the sender holds: enough for a stall of the loop, little enough for a quick barge-in."""
_STARVED_SECONDS = 0.3


@dataclass
class _Announcement:
    frames: deque[rtc.AudioFrame]
    done: asyncio.Future[None]


class Speaker(io.AudioOutput):
    """The audio output of the session.

    `on_audible(on, at)` tells when the caller begins and ceases to hear the agent (monotonic seconds).
    """

    def __init__(self, recorder: CallRecorder, on_audible: Callable[[bool, float], None]) -> None:
        super().__init__(
            label="room",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=SAMPLE_RATE_HZ,
        )
        self._recorder = recorder
        self._on_audible = on_audible
        self._source = rtc.AudioSource(SAMPLE_RATE_HZ, 1, queue_size_ms=_QUEUE_MS)
        self._downsampler = rtc.AudioResampler(
            SAMPLE_RATE_HZ, 16_000, quality=rtc.AudioResamplerQuality.MEDIUM
        )
        self._chunks = utils.audio.AudioByteStream(SAMPLE_RATE_HZ, 1, _FRAME_SAMPLES)
        self._frames: deque[rtc.AudioFrame] = deque()
        self._announcements: deque[_Announcement] = deque()
        self._work = asyncio.Event()
        self._paused = False
        self._held = False
        self._segment_open = False
        self._segment_flushed = False
        self._segment_started = False
        self._played_seconds = 0.0
        self._captured_seconds = 0.0
        self.spoken_text = SpokenText()
        """Gets the words that belong to the captured audio."""
        self._generation = 0
        self._audible = False
        self._task: asyncio.Task[None] | None = None

    async def publish(self, room: rtc.Room) -> None:
        """Publishes the track and begins to send."""
        track = rtc.LocalAudioTrack.create_audio_track("agent", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        await room.local_participant.publish_track(track, options)
        self._task = asyncio.create_task(self._send(), name="speaker")

    async def aclose(self) -> None:
        if self._task is not None:
            await utils.aio.cancel_and_wait(self._task)
        for announcement in self._announcements:
            announcement.done.cancel()
        await self._source.aclose()

    @property
    def audible(self) -> bool:
        """Whether the caller hears the agent now."""
        return self._audible

    @property
    def has_the_floor(self) -> bool:
        """Whether the agent speaks, or waits in mid-sentence whether the caller means to interrupt."""
        return self._audible or (self._paused and self._segment_open)

    def hold(self, on: bool) -> None:
        """While the call is held nothing is sent; speech goes on where it stopped."""
        self._held = on
        self._work.set()

    def announce(self, pcm: bytes) -> asyncio.Future[None]:
        """Speaks prepared audio (24 kHz mono, 16 bit) before anything else; the future is done when it has
        been played."""
        frames: deque[rtc.AudioFrame] = deque()
        step = _FRAME_SAMPLES * 2
        for at in range(0, len(pcm), step):
            piece = pcm[at : at + step].ljust(step, b"\0")
            frames.append(rtc.AudioFrame(piece, SAMPLE_RATE_HZ, 1, _FRAME_SAMPLES))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._announcements.append(_Announcement(frames, done))
        self._work.set()
        return done

    @override
    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._segment_open:
            self._segment_open = True
            self._segment_flushed = False
            self._segment_started = False
            self._played_seconds = 0.0
            self._captured_seconds = 0.0
        self._captured_seconds += frame.duration
        self._frames.extend(self._chunks.push(frame.data))
        self._work.set()

    @override
    def flush(self) -> None:
        super().flush()
        self._frames.extend(self._chunks.flush())
        if self._segment_open:
            self._segment_flushed = True
        self._work.set()

    @override
    def clear_buffer(self) -> None:
        self._chunks.clear()
        self._frames.clear()
        if not self._segment_open:
            return
        queued = self._source.queued_duration
        self._source.clear_queue()
        self._recorder.agent_cut(time.monotonic())
        heard_seconds = max(self._played_seconds - queued, 0.0)
        whole_seconds = self._captured_seconds if self._segment_flushed else None
        heard = heard_part(self.spoken_text.text, heard_seconds, whole_seconds)
        self._end_segment(heard_seconds, heard=heard)
        self._set_audible(False)

    @override
    def pause(self) -> None:
        super().pause()
        self._paused = True

    @override
    def resume(self) -> None:
        super().resume()
        self._paused = False
        self._work.set()

    def _end_segment(self, position: float, *, heard: str | None = None) -> None:
        self._segment_open = False
        self._segment_flushed = False
        self._generation += 1
        self.on_playback_finished(
            playback_position=position, interrupted=heard is not None, synchronized_transcript=heard
        )

    async def _send(self) -> None:
        while True:
            self._work.clear()
            if self._held:
                self._set_audible(False)
            elif self._announcements:
                await self._send_announcement(self._announcements[0])
                continue
            elif self._frames and not self._paused:
                await self._send_frame()
                continue
            elif self._segment_open and self._segment_flushed and not self._frames:
                await self._finish_segment()
                continue
            elif self._paused or not self._segment_open:
                self._set_audible(False)
            await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        if self._audible:
            # The voice ran dry in mid-speech: after a moment that is silence to the caller.
            try:
                await asyncio.wait_for(self._work.wait(), _STARVED_SECONDS)
            except TimeoutError:
                self._set_audible(False)
        else:
            await self._work.wait()

    async def _send_announcement(self, announcement: _Announcement) -> None:
        while announcement.frames:
            if self._held:
                return
            await self._capture(announcement.frames.popleft())
        await self._source.wait_for_playout()
        self._announcements.popleft()
        if not announcement.done.done():
            announcement.done.set_result(None)

    async def _send_frame(self) -> None:
        frame = self._frames.popleft()
        if not self._segment_started:
            self._segment_started = True
            self.on_playback_started(created_at=time.time() + self._source.queued_duration)
        generation = self._generation
        await self._capture(frame)
        if generation == self._generation:
            self._played_seconds += frame.duration

    async def _finish_segment(self) -> None:
        generation = self._generation
        await self._source.wait_for_playout()
        if generation == self._generation:
            self._end_segment(self._played_seconds)

    async def _capture(self, frame: rtc.AudioFrame) -> None:
        plays_at = time.monotonic() + self._source.queued_duration
        self._set_audible(True, plays_at)
        for piece in self._downsampler.push(frame):
            self._recorder.place_agent(np.frombuffer(piece.data, np.int16), plays_at)
        await self._source.capture_frame(frame)

    def _set_audible(self, on: bool, at: float | None = None) -> None:
        if on is not self._audible:
            self._audible = on
            self._on_audible(on, time.monotonic() if at is None else at)
