"""Audio into and out of the SDK's rooms, many of them in one process.

The SDK gives every audio event to everybody who waits for one: with n calls each frame of the caller's waits
among n * n events, and from ten calls on callers lost half of their words. Here each event goes to the one
that it is for (docs/adr/0199). This module alone touches parts of the SDK that are not public.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient
from livekit.rtc._proto.ffi_pb2 import FfiRequest

_PATIENCE_SECONDS = 0.005
"""Half of a frame: on a machine without a free core the answer takes longer than the frame lasts."""


@dataclass(frozen=True, slots=True)
class _Capture:
    frame: rtc.AudioFrame
    """Kept here because the SDK reads its memory until it has answered."""
    over: asyncio.Future[None]
    """Done when the frame is taken, or was waited for long enough."""


class SdkAudio:
    """One for each process; made and used on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._captures: dict[int, _Capture] = {}
        """Frames that the SDK has not taken yet, by the number of the request."""
        self._streams: dict[int, Any] = {}
        """The queues of the streams, by their handles."""
        self._events: Any = FfiClient.instance.queue.subscribe(self._loop, filter_fn=self._route)

    def close(self) -> None:
        """Nothing is routed any more; a frame that waits is given up."""
        FfiClient.instance.queue.unsubscribe(self._events)
        for capture in self._captures.values():
            capture.over.cancel()

    async def capture(self, source: rtc.AudioSource, frame: rtc.AudioFrame) -> None:
        """Gives the source a frame (10 ms, since it has no queue) and waits until it is taken, that the next
        may not overtake it; but not so long that audio is lost. RuntimeError when the SDK refuses it."""
        native: Any = source
        samples: Any = frame
        request = FfiRequest()
        request.capture_audio_frame.source_handle = native._ffi_handle.handle
        request.capture_audio_frame.buffer.CopyFrom(samples._proto_info())
        number = FfiClient.instance.request(request).capture_audio_frame.async_id
        over = self._loop.create_future()
        self._captures[number] = _Capture(frame, over)
        patience = self._loop.call_later(_PATIENCE_SECONDS, _settle, over)
        try:
            await over
        finally:
            patience.cancel()

    @asynccontextmanager
    async def stream(
        self, track: rtc.RemoteAudioTrack, *, rate_hz: int, frame_ms: int, most_frames: int
    ) -> AsyncGenerator[rtc.AudioStream]:
        """The track's audio, mono; of more than `most_frames` that wait, the oldest are lost."""
        stream = rtc.AudioStream(
            track, sample_rate=rate_hz, num_channels=1, frame_size_ms=frame_ms, capacity=most_frames
        )
        inner: Any = stream
        handle: int = inner._ffi_handle.handle
        self._streams[handle] = inner._ffi_queue
        FfiClient.instance.queue.unsubscribe(inner._ffi_queue)
        try:
            yield stream
        finally:
            try:
                await stream.aclose()
            finally:
                del self._streams[handle]

    def _route(self, event: Any) -> bool:
        """Called on a thread of the SDK's for each of its events. False: nothing is queued for us."""
        kind = event.WhichOneof("message")
        if kind == "capture_audio_frame":
            answer = event.capture_audio_frame
            self._call(self._captured, answer.async_id, answer.error)
        elif kind == "audio_stream_event":
            queue = self._streams.get(event.audio_stream_event.stream_handle)
            if queue is not None:
                self._call(queue.put_nowait, event)
        return False

    def _call(self, function: Any, *given: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *given)

    def _captured(self, number: int, error: str) -> None:
        capture = self._captures.pop(number, None)
        if capture is not None and error and not capture.over.done():
            capture.over.set_exception(RuntimeError(error))
        elif capture is not None:
            _settle(capture.over)


def _settle(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
