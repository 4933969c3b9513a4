"""Recogniser and voice as remote services (docs/architecture.md, Contract 3).

The same client serves Triton and the lite server. Audio is signed 16-bit little-endian mono: 16 kHz to the
recogniser, 24 kHz from the voice. Every error is one of AtCapacity, Unavailable and InvalidInput.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from appliance.clients import kserve
from appliance.clients.speech_server import SpeechServer
from appliance.clients.speech_stream import END_OF_ANSWERS, STT_SAMPLE_RATE_HZ, SttResult, SttStream, Word
from appliance.errors import Unavailable

if TYPE_CHECKING:
    from appliance.clients.speech_replay import ReplayedStream

__all__ = [
    "STT_SAMPLE_RATE_HZ",
    "TTS_SAMPLE_RATE_HZ",
    "SpeechToText",
    "SttResult",
    "SttStream",
    "TextToSpeech",
    "Word",
]

TTS_SAMPLE_RATE_HZ = 24_000


class SpeechToText:
    """The recogniser. One object serves many streams at once."""

    def __init__(
        self,
        address: str,
        model: str = "stt",
        *,
        result_timeout_seconds: float = 2.5,
        connect_timeout_seconds: float = 2.0,
    ) -> None:
        self._server = SpeechServer(address, "The recogniser", connect_timeout_seconds)
        self._model = model
        self._result_timeout_seconds = result_timeout_seconds

    @asynccontextmanager
    async def stream(
        self, *, language: str = "en", phrases: Sequence[str] = ()
    ) -> AsyncGenerator[SttStream, None]:
        """A stream of audio. `phrases` are words or names to listen for.

        Raises Unavailable when the server cannot be reached; a server without a free place is told by
        AtCapacity from iteration, `push` or `flush`.
        """
        stream = await self._connect(language, phrases)
        try:
            yield stream
        finally:
            await stream.aclose()

    @asynccontextmanager
    async def lasting_stream(
        self, reconnect_seconds: float, *, language: str = "en", phrases: Sequence[str] = ()
    ) -> AsyncGenerator[ReplayedStream, None]:
        """Like `stream`, but a lost connection is made again, within so many seconds, and the audio since
        the last final result is said again. The results must be read while audio is pushed."""
        from appliance.clients.speech_replay import ReplayedStream

        stream = ReplayedStream(lambda: self._connect(language, phrases), reconnect_seconds)
        try:
            await stream.open()
            yield stream
        finally:
            await stream.aclose()

    async def _connect(self, language: str, phrases: Sequence[str]) -> SttStream:
        stub = await self._server.stub()
        # Without GRPC_ERRORS: Triton mixes its states up (INTERNAL) when a stream that it has ended with an
        # error has further requests under way, as that of a refused caller has.
        call = stub.ModelStreamInfer()
        options = {"language": language, "phrases": list(phrases)}
        return SttStream(self._server, call, self._model, options, self._result_timeout_seconds)

    async def ready(self) -> bool:
        return await self._server.model_ready(self._model)

    async def close(self) -> None:
        await self._server.close()


class TextToSpeech:
    """The voice. One object serves many sentences at once."""

    def __init__(
        self,
        address: str,
        model: str = "tts",
        *,
        first_audio_timeout_seconds: float = 2.5,
        connect_timeout_seconds: float = 2.0,
    ) -> None:
        self._server = SpeechServer(address, "The voice", connect_timeout_seconds)
        self._model = model
        self._timeout_seconds = first_audio_timeout_seconds

    async def synthesize(
        self, text: str, *, voice: str = "", language: str = "en", speed: float = 1.0
    ) -> AsyncGenerator[bytes, None]:
        """Chunks of 16-bit 24 kHz mono audio, as soon as they exist; none for a text without a word.

        Each chunk must arrive within the timeout, else Unavailable. Closing the iterator, or cancelling the
        task that reads it, ends the work at the server too.
        """
        async with aclosing(self._synthesize(text, voice, language, speed)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _synthesize(
        self, text: str, voice: str, language: str, speed: float
    ) -> AsyncGenerator[bytes, None]:
        stub = await self._server.stub()
        call: Any = stub.ModelStreamInfer(metadata=kserve.GRPC_ERRORS)
        request = kserve.infer_request(
            self._model,
            [
                kserve.Tensor.of_text("TEXT", text),
                kserve.Tensor.of_text("VOICE", voice),
                kserve.Tensor.of_text("LANGUAGE", language),
                kserve.Tensor.of_float("SPEED", speed),
            ],
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await call.write(request)
                await call.done_writing()
            while True:
                async with asyncio.timeout(self._timeout_seconds):
                    message = await call.read()
                if message is END_OF_ANSWERS:
                    code = await call.code()
                    raise kserve.error_of(code, await call.details() or "", what=self._server.what)
                if message.error_message:
                    raise Unavailable(f"{self._server.what} failed: {message.error_message}")
                response = message.infer_response
                tensors = kserve.output_tensors(response)
                if "AUDIO" in tensors and tensors["AUDIO"].data:
                    yield tensors["AUDIO"].array("INT16").tobytes()
                if kserve.parameter(response, kserve.FINAL_RESPONSE):
                    return
        except TimeoutError as error:
            seconds = self._timeout_seconds
            raise Unavailable(f"{self._server.what} gave no audio within {seconds:g} s.") from error
        except grpc.aio.AioRpcError as error:
            raise self._server.error(error) from error
        except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
            raise Unavailable(f"{self._server.what} ended the stream.") from error
        finally:
            call.cancel()

    async def ready(self) -> bool:
        return await self._server.model_ready(self._model)

    async def close(self) -> None:
        await self._server.close()
