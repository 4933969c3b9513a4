"""The voice as a TTS of the framework: the model's text is spoken clause by clause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Literal

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, APIError, tts, utils
from typing_extensions import override

from appliance.clients.speech import TTS_SAMPLE_RATE_HZ, TextToSpeech
from appliance.errors import TrunklineError
from runtime.agent.clauses import ClauseSplitter
from runtime.agent.plugins.failure import as_api_error

_FRAME_MS = 20
_MOST_CLAUSES = 64


class RemoteTTS(tts.TTS[Any]):
    """`mark` is told when the first clause of an answer is complete and when its first audio is there."""

    def __init__(
        self,
        client: TextToSpeech,
        *,
        voice: str,
        language: str,
        mark: Callable[[Literal["first_clause", "tts_first_audio"]], None],
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True),
            sample_rate=TTS_SAMPLE_RATE_HZ,
            num_channels=1,
        )
        self._client = client
        self._voice = voice
        self._language = language
        self.mark = mark

    @property
    @override
    def model(self) -> str:
        return "tts"

    @property
    @override
    def provider(self) -> str:
        return "trunkline"

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """The audio of one clause: 24 kHz mono, 16 bit. Raises APIError, also when there was none."""
        spoken = False
        try:
            async with aclosing(
                self._client.synthesize(text, voice=self._voice, language=self._language)
            ) as chunks:
                async for chunk in chunks:
                    spoken = True
                    yield chunk
        except TrunklineError as error:
            raise as_api_error(error) from None
        if not spoken and any(character.isalnum() for character in text):
            raise APIError("the voice made no audio", retryable=False)

    @override
    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return self._synthesize_with_stream(text, conn_options=conn_options)

    @override
    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _Stream(self, conn_options)


class _Stream(tts.SynthesizeStream):
    def __init__(self, parent: RemoteTTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=parent, conn_options=conn_options)
        self._parent = parent

    @override
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=TTS_SAMPLE_RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=_FRAME_MS,
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid())
        clauses: asyncio.Queue[str | None] = asyncio.Queue(_MOST_CLAUSES)
        cutter = asyncio.create_task(self._cut(clauses), name="tts-clauses")
        first = True
        try:
            while (clause := await clauses.get()) is not None:
                self._mark_started()
                if first:
                    self._parent.mark("first_clause")
                async for chunk in self._parent.speak(clause):
                    if first:
                        first = False
                        self._parent.mark("tts_first_audio")
                    output_emitter.push(chunk)
                output_emitter.flush()
            await cutter
        finally:
            await utils.aio.cancel_and_wait(cutter)
        output_emitter.end_segment()

    async def _cut(self, clauses: asyncio.Queue[str | None]) -> None:
        splitter = ClauseSplitter()
        try:
            async for item in self._input_ch:
                if isinstance(item, str):
                    for clause in splitter.push(item):
                        await clauses.put(clause)
                elif rest := splitter.rest():
                    await clauses.put(rest)
            if rest := splitter.rest():
                await clauses.put(rest)
        finally:
            await clauses.put(None)
