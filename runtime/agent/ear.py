"""What the caller says, out of the room: to the session and the recorder; nothing while the call is held."""

from __future__ import annotations

import asyncio
import time

import numpy as np
from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice import io
from typing_extensions import override

from runtime.agent.recorder import CallRecorder

SAMPLE_RATE_HZ = 16_000
_FRAME_MS = 20
_MOST_FRAMES = 150
"""3 s wait for a slow session; beyond it the oldest are lost, so that delay never stays."""
_SILENCE_FRAMES = 40


class Ear(io.AudioInput):
    """The audio input of the session: 16 kHz mono frames of 20 ms from the caller's microphone track."""

    def __init__(self, recorder: CallRecorder) -> None:
        super().__init__(label="caller")
        self._recorder = recorder
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue(_MOST_FRAMES)
        self._held = False
        self._deaf = False
        self._task: asyncio.Task[None] | None = None
        self.heard_frames = 0

    def listen(self, track: rtc.Track) -> None:
        """Follows this track from now on; a track that was followed before is let go."""
        old, self._task = self._task, asyncio.create_task(self._read(track), name="ear")
        if old is not None:
            old.cancel()

    async def aclose(self) -> None:
        if self._task is not None:
            await utils.aio.cancel_and_wait(self._task)

    def hold(self, on: bool) -> None:
        """While held the session hears nothing; a turn that was open ends by silence."""
        self._held = on
        if on:
            self._fill_with_silence()

    def close_ears(self) -> None:
        """From now on the session hears nothing, while the recording goes on: the call is being ended."""
        self._deaf = True
        self._fill_with_silence()

    @override
    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()

    def _fill_with_silence(self) -> None:
        for _ in range(_SILENCE_FRAMES):
            self._offer(utils.audio.silence_frame(_FRAME_MS / 1000, SAMPLE_RATE_HZ))

    def _offer(self, frame: rtc.AudioFrame) -> None:
        if self._frames.full():
            self._frames.get_nowait()
        self._frames.put_nowait(frame)

    async def _read(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream.from_track(
            track=track,
            sample_rate=SAMPLE_RATE_HZ,
            num_channels=1,
            frame_size_ms=_FRAME_MS,
            capacity=_MOST_FRAMES,
        )
        try:
            async for event in stream:
                self.heard_frames += 1
                if self._held:
                    continue
                self._recorder.place_caller(np.frombuffer(event.frame.data, np.int16), time.monotonic())
                if not self._deaf:
                    self._offer(event.frame)
        finally:
            await stream.aclose()
