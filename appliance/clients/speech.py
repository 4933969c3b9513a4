"""Recogniser and voice as remote services (docs/architecture.md, Contract 3).

The same client serves Triton and the lite server. Audio is signed 16-bit little-endian mono: 16 kHz to the
recogniser, 24 kHz from the voice. Every error is one of AtCapacity, Unavailable and InvalidInput.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import grpc
import grpc.aio

from appliance.clients import kserve
from appliance.errors import InvalidInput, TrunklineError, Unavailable

if TYPE_CHECKING:
    from appliance.clients.speech_replay import ReplayedStream

STT_SAMPLE_RATE_HZ = 16_000
TTS_SAMPLE_RATE_HZ = 24_000

_MAX_WAITING_CHUNKS = 1_000
"""Requests that wait for a slow recogniser. Beyond it the stream fails."""

_REQUEST_BYTES = STT_SAMPLE_RATE_HZ * 2 * 80 // 1_000
"""Frames are sent together, 80 ms at a time: a recogniser takes its steps in no smaller pieces, and each
request costs it more than the frames do. A flush sends what there is."""

_SIGN_OF_LIFE_SECONDS = 5.0
"""A stream without audio (a caller on hold) says so often that its client is there; a server may take back
the place of a stream that says nothing."""

_MAX_REQUEST_BYTES = STT_SAMPLE_RATE_HZ * 2 * 20

_GOODBYE_SECONDS = 0.5
"""How long a closed stream lets its end reach the server before the call is cancelled."""

_EOF: Any = vars(grpc.aio)["EOF"]

_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK)

_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", kserve.MAX_MESSAGE_BYTES),
)


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word; times count from the first sample pushed into the stream."""

    word: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True)
class SttResult:
    """What the recogniser heard so far (`interim`) or up to a flush (`final`; empty text means no speech)."""

    type: Literal["interim", "final"]
    text: str
    words: tuple[Word, ...]
    confidence: float
    language: str
    audio_ms: int
    """Audio of the stream that this result covers."""


class _Server:
    """A channel to one speech server: connects again by itself, and says in time when it cannot."""

    def __init__(self, address: str, what: str, connect_timeout_seconds: float) -> None:
        self.address = address
        self.what = what
        self._connect_timeout_seconds = connect_timeout_seconds
        self._channel: Any = None

    async def stub(self) -> Any:
        """The service's stub on a connected channel. Raises Unavailable."""
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self.address, options=_CHANNEL_OPTIONS)
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._connect_timeout_seconds)
        except TimeoutError as error:
            raise Unavailable(
                f"{self.what} at {self.address} cannot be reached.",
                remedy="See that the speech server runs.",
            ) from error
        return kserve.services.GRPCInferenceServiceStub(self._channel)

    async def model_ready(self, model: str) -> bool:
        try:
            stub = await self.stub()
            request = kserve.messages.ModelReadyRequest(name=model)
            answer = await stub.ModelReady(request, timeout=self._connect_timeout_seconds)
        except (grpc.aio.AioRpcError, Unavailable):
            return False
        return bool(answer.ready)

    def error(self, error: grpc.aio.AioRpcError) -> TrunklineError:
        return kserve.error_of(error.code(), error.details() or "", what=self.what)

    async def close(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()


class SttStream:
    """One stream of audio to the recogniser; made by `SpeechToText.stream`.

    `push`, `flush` and iteration may run in different tasks. After an error each of them raises it. Iteration
    ends after `end()` when the recogniser has said everything.
    """

    def __init__(
        self,
        server: _Server,
        call: Any,
        model: str,
        options: dict[str, Any],
        result_timeout_seconds: float,
    ) -> None:
        self._server = server
        self._call = call
        self._model = model
        self._options = options
        self._timeout_seconds = result_timeout_seconds
        self._sequence_id = secrets.randbits(62) + 1
        self._requests: asyncio.Queue[Any] = asyncio.Queue(_MAX_WAITING_CHUNKS)
        self._results: asyncio.Queue[SttResult | None] = asyncio.Queue(_MAX_WAITING_CHUNKS)
        self._error: TrunklineError | None = None
        self.lost = False
        """Whether the connection or the server ended the stream, and not what was said on it."""
        self._watchdogs: list[asyncio.TimerHandle] = []
        self._gathered = bytearray()
        self._started = False
        self._ended = False
        self._tasks = (
            asyncio.create_task(self._write(), name="stt-write"),
            asyncio.create_task(self._read(), name="stt-read"),
        )

    async def push(self, pcm: bytes) -> None:
        """Sends samples, 16-bit 16 kHz mono. Never waits for the recogniser."""
        if len(pcm) % 2:
            raise InvalidInput("Audio has half a sample at its end.", field="pcm")
        if self._error is not None or self._ended:
            self._send(b"")  # raises
        self._gathered += pcm
        while len(self._gathered) >= _MAX_REQUEST_BYTES:
            self._send(self._taken(_MAX_REQUEST_BYTES))
        if len(self._gathered) >= _REQUEST_BYTES:
            self._send(self._taken())

    async def flush(self) -> None:
        """Ends the segment: exactly one `final` follows, within the result timeout, or the stream fails."""
        self._send(self._taken(), control={"flush": True})
        loop = asyncio.get_running_loop()
        self._watchdogs.append(loop.call_later(self._timeout_seconds, self._late))

    async def end(self) -> None:
        """Says that no audio follows; results that are under way still arrive."""
        if not self._ended:
            self._send(self._taken(), end=True)
            self._ended = True
            self._requests.put_nowait(None)
            loop = asyncio.get_running_loop()
            self._watchdogs.append(loop.call_later(self._timeout_seconds, self._late))

    def __aiter__(self) -> AsyncIterator[SttResult]:
        return self

    async def __anext__(self) -> SttResult:
        result = await self._results.get()
        if result is not None:
            return result
        self._results.put_nowait(None)
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Ends the stream at once; the server frees its place."""
        if self._error is None and self._started and not self._ended:
            await self._say_goodbye()
        for timer in self._watchdogs:
            timer.cancel()
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _say_goodbye(self) -> None:
        """Lets the server know that the stream is over: a cancelled call alone may not reach its model."""
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self.end()
                await asyncio.gather(*self._tasks)
        except (TrunklineError, TimeoutError):
            return  # the server takes the place back by itself

    def _taken(self, most: int = _MAX_REQUEST_BYTES) -> bytes:
        taken = bytes(self._gathered[:most])
        del self._gathered[:most]
        return taken

    def _send(self, pcm: bytes, control: dict[str, Any] | None = None, end: bool = False) -> None:
        if self._error is not None:
            raise self._error
        if self._ended:
            raise InvalidInput("The stream has been ended.", field="pcm")
        inputs = [kserve.Tensor.of_pcm("AUDIO", pcm)]
        said = (self._options if not self._started else {}) | (control or {})
        if said:
            inputs.append(kserve.Tensor.of_text("CONTROL", json.dumps(said)))
        parameters = {
            "sequence_id": self._sequence_id,
            "sequence_start": not self._started,
            "sequence_end": end,
        }
        if self._requests.qsize() >= _MAX_WAITING_CHUNKS - 2:
            self._fail(Unavailable(f"{self._server.what} does not keep up.", remedy="Reduce the load."))
            assert self._error is not None
            raise self._error
        self._requests.put_nowait(kserve.infer_request(self._model, inputs, parameters))
        self._started = True

    def _late(self) -> None:
        seconds = self._timeout_seconds
        self._fail(Unavailable(f"{self._server.what} gave no result within {seconds:g} s."))

    def _fail(self, error: TrunklineError) -> None:
        if self._error is None:
            self._error = error
            self._finish()
            self._call.cancel()

    def _finish(self) -> None:
        for timer in self._watchdogs:
            timer.cancel()
        self._watchdogs.clear()
        if self._results.full():
            self._results.get_nowait()
        self._results.put_nowait(None)

    async def _write(self) -> None:
        try:
            while (request := await self._next_request()) is not None:
                await self._call.write(request)
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError, TrunklineError):
            return  # the reader learns the reason

    async def _next_request(self) -> Any:
        while True:
            try:
                async with asyncio.timeout(_SIGN_OF_LIFE_SECONDS if self._started else None):
                    return await self._requests.get()
            except TimeoutError:
                if not self._ended:
                    self._send(b"")

    async def _read(self) -> None:
        try:
            while True:
                message = await self._call.read()
                if message is _EOF:
                    break
                if message.error_message:
                    refusal = kserve.error_of_message(message.error_message, what=self._server.what)
                    self.lost = isinstance(refusal, Unavailable)
                    raise refusal
                self._take(_result(message.infer_response))
            code = await self._call.code()
            self.lost = code in _LOST
            if code is not grpc.StatusCode.OK:
                self._fail(kserve.error_of(code, await self._call.details() or "", what=self._server.what))
            elif not self._ended:
                self.lost = True
                self._fail(Unavailable(f"{self._server.what} ended the stream."))
            else:
                self._finish()
        except grpc.aio.AioRpcError as error:
            self.lost = error.code() in _LOST
            self._fail(self._server.error(error))
        except TrunklineError as error:
            self._fail(error)
        except (asyncio.InvalidStateError, grpc.aio.UsageError):
            self._fail(Unavailable(f"{self._server.what} ended the stream."))
        except asyncio.CancelledError:
            # grpc tells a call that another task cancelled in the same way as its own cancellation.
            if self._error is None:
                self._fail(Unavailable("The stream was closed."))
            raise

    def _take(self, result: SttResult) -> None:
        if result.type == "final" and self._watchdogs:
            self._watchdogs.pop(0).cancel()
        if self._results.full():
            self._results.get_nowait()  # nobody reads: the newest results matter
        self._results.put_nowait(result)


def _result(response: Any) -> SttResult:
    try:
        said = json.loads(kserve.output_tensors(response)["RESULT"].text())
        return SttResult(
            type="final" if said["type"] == "final" else "interim",
            text=str(said["text"]),
            words=tuple(
                Word(str(w["word"]), int(w["start_ms"]), int(w["end_ms"]), float(w["confidence"]))
                for w in said["words"]
            ),
            confidence=float(said["confidence"]),
            language=str(said["language"]),
            audio_ms=int(said["audio_ms"]),
        )
    except (InvalidInput, KeyError, TypeError, ValueError) as error:
        raise Unavailable("The recogniser's result has a wrong form.") from error


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
        self._server = _Server(address, "The recogniser", connect_timeout_seconds)
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
        self._server = _Server(address, "The voice", connect_timeout_seconds)
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
                if message is _EOF:
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
