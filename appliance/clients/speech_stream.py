"""One stream of audio to the recogniser, and what comes back."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import grpc
import grpc.aio

from appliance.clients import kserve
from appliance.clients.speech_server import SpeechServer
from appliance.errors import InvalidInput, TrunklineError, Unavailable

STT_SAMPLE_RATE_HZ = 16_000

_MAX_WAITING_CHUNKS = 1_000
"""Requests that wait for a slow recogniser. Beyond it the stream fails."""

_REQUEST_BYTES = STT_SAMPLE_RATE_HZ * 2 * 80 // 1_000
"""Frames are sent together, 80 ms at a time: a recogniser takes its steps in no smaller pieces, and each
request costs it more than the frames do. A flush sends what there is."""

_SIGN_OF_LIFE_SECONDS = 1.0
"""A stream without audio (a caller on hold) says so often that its client is there; a server may take back
the place of a stream that says nothing."""

_MAX_REQUEST_BYTES = STT_SAMPLE_RATE_HZ * 2 * 20

_GOODBYE_SECONDS = 0.5
"""How long a closed stream lets its end reach the server before the call is cancelled."""

END_OF_ANSWERS: Any = vars(grpc.aio)["EOF"]
"""What grpc reads when the server has said everything."""

_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK, grpc.StatusCode.INTERNAL)
"""States of a connection that broke. INTERNAL is what grpc's asyncio client makes of any of them when it was
writing (grpc/grpc issue 36066)."""


ResultType = Literal["interim", "preflight", "final"]


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word; times count from the first sample pushed into the stream."""

    word: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True)
class SttResult:
    """What the recogniser heard so far (`interim`), would hear if the segment ended here (`preflight`), or
    heard up to a flush (`final`; empty text means no speech)."""

    type: ResultType
    text: str
    words: tuple[Word, ...]
    confidence: float
    language: str
    audio_ms: int
    """Audio of the stream that this result covers."""


class SttStream:
    """One stream of audio to the recogniser; made by `SpeechToText.stream`.

    `push`, `flush` and iteration may run in different tasks. After an error each of them raises it. Iteration
    ends after `end()` when the recogniser has said everything.
    """

    def __init__(
        self,
        server: SpeechServer,
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

    async def preflight(self) -> None:
        """Asks what the final result would be if the segment ended here; it goes on. A `preflight` result
        follows, unless a flush overtakes it."""
        self._send(self._taken(), control={"preflight": True})

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
            await self.end()
        except TrunklineError:
            return  # the server takes the place back by itself
        # A cancelled call cancels the tasks that read and write it: that is no cancellation of this one.
        await asyncio.wait(self._tasks, timeout=_GOODBYE_SECONDS)

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
                if message is END_OF_ANSWERS:
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
            type=said["type"] if said["type"] in get_args(ResultType) else "interim",
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
