"""The recogniser as an STT of the framework: one stream a call, flushed at the end of each turn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import structlog
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    LanguageCode,
    NotGivenOr,
    stt,
    utils,
)
from typing_extensions import override

from appliance.clients.speech import STT_SAMPLE_RATE_HZ, SpeechToText, SttResult, SttStream
from appliance.errors import TrunklineError
from runtime.agent.backchannel import is_backchannel
from runtime.agent.plugins.failure import as_api_error

_log = structlog.get_logger(__name__)

_RECONNECTS = 3
_RECONNECT_SECONDS = 0.3


class RemoteSTT(stt.STT[Any]):
    """`agent_has_the_floor` tells whether the agent is in the middle of a sentence: a mere "mhm" is then not
    taken for words. `on_final` is told each final result."""

    def __init__(
        self,
        client: SpeechToText,
        *,
        language: str,
        phrases: tuple[str, ...],
        agent_has_the_floor: Callable[[], bool],
        on_final: Callable[[SttResult], None],
    ) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True, interim_results=True, offline_recognize=False, manual_flush=True
            )
        )
        self.client = client
        self.language = language
        self.phrases = phrases
        self.agent_has_the_floor = agent_has_the_floor
        self.on_final = on_final
        self._current: _Stream | None = None

    def pause(self, on: bool) -> None:
        """The caller pauses and may have finished: the answer to what was said so far is begun. Or he goes
        on."""
        if self._current is not None:
            self._current.pause(on)

    def pause_heard(self) -> None:
        """The caller has fallen silent: what was said is recognised while the end of the turn is decided."""
        if self._current is not None:
            self._current.flush_early()

    def speech_heard(self) -> None:
        """The caller speaks (again)."""
        if self._current is not None:
            self._current.flushed_early = False

    @property
    @override
    def model(self) -> str:
        return "stt"

    @property
    @override
    def provider(self) -> str:
        return "trunkline"

    @override
    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        raise NotImplementedError("calls are recognised as a stream")

    @override
    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        self._current = _Stream(self, conn_options)
        return self._current


class _Stream(stt.RecognizeStream):
    def __init__(self, parent: RemoteSTT, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=parent, conn_options=conn_options, sample_rate=STT_SAMPLE_RATE_HZ)
        self._parent = parent
        self._flushes = 0
        """Flushes whose final result is still to come."""
        self._marks: deque[Literal["preflight", "flush"]] = deque()
        """What each of the marks means that stand among the audio."""
        self.flushed_early = False
        """What the caller has said so far has been flushed already."""
        self._pausing = False
        self._foreseen = ""
        """The words with which the answer was begun; empty when it was not, or they are wrong by now."""

    @property
    def _holds_news(self) -> bool:
        """Whether the stream goes on, and something was said in it since it was flushed early."""
        return not (self.flushed_early or self._input_ch.closed or self._event_ch.closed)

    def pause(self, on: bool) -> None:
        self._pausing = on
        if on and self._holds_news:
            self._mark("preflight")

    def flush_early(self) -> None:
        if self._holds_news:
            self._mark("flush")
            self.flushed_early = True

    @override
    def flush(self) -> None:
        if self.flushed_early:
            self.flushed_early = False  # only silence has come since
        else:
            self._mark("flush")

    def _mark(self, meaning: Literal["preflight", "flush"]) -> None:
        self._marks.append(meaning)
        super().flush()

    @override
    async def _run(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._one_stream()
                return
            except TrunklineError as error:
                # A stream that is lost between two utterances costs nothing: begin another one. One that
                # owes a result has lost what the caller said, and the call must be told.
                if time.monotonic() - began > 10.0:
                    failures = 0
                failures += 1
                if self._flushes or failures > _RECONNECTS:
                    self._flushes = 0
                    raise as_api_error(error) from None
                _log.warning("recogniser lost between utterances", reason=error.code)
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _one_stream(self) -> None:
        parent = self._parent
        async with parent.client.stream(language=parent.language, phrases=parent.phrases) as stream:
            writer = asyncio.create_task(self._write(stream), name="stt-plugin-write")
            reader = asyncio.create_task(self._read(stream), name="stt-plugin-read")
            try:
                done, _ = await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                await reader
            finally:
                await utils.aio.cancel_and_wait(writer, reader)

    async def _write(self, stream: SttStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                await stream.push(bytes(item.data))
            elif self._marks.popleft() == "preflight":
                await stream.preflight()
            else:
                self._flushes += 1
                await stream.flush()
        await stream.end()

    async def _read(self, stream: SttStream) -> None:
        async for result in stream:
            if result.type == "final":
                self._flushes = max(self._flushes - 1, 0)
            text = result.text.strip()
            if text and self._parent.agent_has_the_floor() and is_backchannel(text):
                text = ""
            if result.type == "final":
                self._foreseen = ""
                if text:
                    self._parent.on_final(result)
                self._send(stt.SpeechEventType.FINAL_TRANSCRIPT, result, text)
            elif text and result.type == "preflight":
                self._foresee(result, text)
            elif text and not (self._foreseen and self._pausing):
                # Other words than those foreseen end the answer that was begun with them: only when the
                # caller goes on, and not when a rougher result comes late.
                if text != self._foreseen:
                    self._foreseen = ""
                self._send(stt.SpeechEventType.INTERIM_TRANSCRIPT, result, text)

    def _foresee(self, result: SttResult, text: str) -> None:
        """Begins the answer, unless it is begun with these words already or the agent still speaks."""
        if text != self._foreseen and not self._parent.agent_has_the_floor():
            self._foreseen = text
            self._send(stt.SpeechEventType.PREFLIGHT_TRANSCRIPT, result, text)

    def _send(self, kind: stt.SpeechEventType, result: SttResult, text: str) -> None:
        data = stt.SpeechData(
            language=LanguageCode(result.language or self._parent.language),
            text=text,
            confidence=result.confidence,
        )
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=[data]))
