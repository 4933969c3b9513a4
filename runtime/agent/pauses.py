"""The framework's voice activity detector, which also tells when the caller pauses.

The detector ends speech after 250 ms of silence. A pause is told after half of that, so that recogniser,
model and voice begin their answer while the rest of the wait goes by (docs/adr/0198).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from livekit import rtc
from livekit.agents import inference, vad
from typing_extensions import override

PAUSE_SECONDS = 0.128
"""Four windows of the detector. Closed lips inside a word take less."""
_WINDOW_SECONDS = 0.032


class PauseDetector(vad.VAD):
    """`detector` with `on_pause` beside it, told when a pause begins (True) and ends (False); every event of
    the detector is passed on."""

    def __init__(self, detector: inference.VAD, on_pause: Callable[[bool], None]) -> None:
        super().__init__(capabilities=detector.capabilities)
        self._detector = detector
        self._on_pause = on_pause

    @property
    @override
    def model(self) -> str:
        return self._detector.model

    @property
    @override
    def provider(self) -> str:
        return self._detector.provider

    @property
    def min_silence_duration(self) -> float | None:
        """Seconds; the framework compares it with what its end-of-turn model needs."""
        return self._detector.min_silence_duration

    @override
    def stream(self) -> _Stream:
        return _Stream(self._detector, self._on_pause)


class _Stream(vad.VADStream):
    """A stream of the framework's own, whose events are looked at on their way."""

    def __init__(self, detector: inference.VAD, on_pause: Callable[[bool], None]) -> None:
        self._events = detector.stream()
        self._on_pause = on_pause
        self._pausing = False

    @override
    async def _main_task(self) -> None:
        """Nothing: the framework's stream has the task."""

    @override
    def push_frame(self, frame: rtc.AudioFrame) -> None:
        self._events.push_frame(frame)

    @override
    def flush(self) -> None:
        self._events.flush()

    @override
    def end_input(self) -> None:
        self._events.end_input()

    @override
    async def aclose(self) -> None:
        await self._events.aclose()

    @override
    def __aiter__(self) -> AsyncIterator[vad.VADEvent]:
        return self

    @override
    async def __anext__(self) -> vad.VADEvent:
        event = await anext(self._events)
        if event.type == vad.VADEventType.INFERENCE_DONE:
            # The event counts the silence before its own window.
            silent = event.raw_accumulated_silence
            pausing = event.speaking and silent >= PAUSE_SECONDS - _WINDOW_SECONDS
            if pausing is not self._pausing:
                self._pausing = pausing
                self._on_pause(pausing)
        return event
