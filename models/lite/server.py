"""The lite speech server: KServe v2 over gRPC with the models `stt` and `tts` (Contract 3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog

from appliance.clients import kserve
from appliance.clients.kserve import Tensor
from appliance.errors import AtCapacity, InvalidInput, TrunklineError
from models.lite.recogniser_pool import RecogniserPool, RecogniserStream
from models.lite.vocabulary import check_language
from models.lite.voice import Voice

_log = structlog.get_logger(__name__)

STT, TTS = "stt", "tts"
_INPUTS = {
    STT: (("AUDIO", "INT16"), ("CONTROL", "BYTES")),
    TTS: (("TEXT", "BYTES"), ("VOICE", "BYTES"), ("LANGUAGE", "BYTES"), ("SPEED", "FP32")),
}
_OUTPUTS = {STT: (("RESULT", "BYTES"),), TTS: (("AUDIO", "INT16"),)}
_MAX_REQUEST_SAMPLES = 16_000 * 30
_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", kserve.MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
)
_STATUS = {
    "invalid_input": grpc.StatusCode.INVALID_ARGUMENT,
    "at_capacity": grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass
class _Places:
    """How many streams a model serves at once."""

    limit: int
    taken: int = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None, None]:
        if self.taken >= self.limit:
            raise AtCapacity(f"All {self.limit} streams are taken.")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class SpeechService(kserve.services.GRPCInferenceServiceServicer):
    """Inference service of the two models. `ready` is set after both have done a real inference."""

    def __init__(
        self, recognisers: RecogniserPool, voice: Voice, *, max_streams: int, idle_seconds: float = 300.0
    ) -> None:
        self._recognisers = recognisers
        self._voice = voice
        self._places = {STT: _Places(max_streams), TTS: _Places(max_streams)}
        self._idle_seconds = idle_seconds
        self._ready: set[str] = set()

    async def warm_up(self) -> None:
        """Speaks a sentence and recognises it; then the models are ready."""
        await self._recognisers.start()
        audio = [chunk async for chunk in self._voice.synthesize("good morning", language="en")]
        if not audio:
            raise InvalidInput("The voice said nothing.")
        self._ready.add(TTS)
        stream = await self._recognisers.open(language="en", phrases=())
        try:
            await stream.push(b"".join(audio)[: 2 * _MAX_REQUEST_SAMPLES])
            await stream.flush()
            while (await stream.result())["type"] != "final":
                pass
        finally:
            await stream.close()
        self._ready.add(STT)

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerReadyResponse(ready=self._ready == {STT, TTS})

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ModelReadyResponse(ready=request.name in self._ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerMetadataResponse(
            name="trunkline-lite", version="1", extensions=["sequence", "decoupled"]
        )

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name not in _INPUTS:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no model {request.name!r}.")
        answer = kserve.messages.ModelMetadataResponse(
            name=request.name, versions=["1"], platform="trunkline-lite"
        )
        for name, datatype in _INPUTS[request.name]:
            answer.inputs.add(name=name, datatype=datatype, shape=[-1])
        for name, datatype in _OUTPUTS[request.name]:
            answer.outputs.add(name=name, datatype=datatype, shape=[-1])
        return answer

    async def ModelStreamInfer(self, requests: Any, context: Any) -> None:  # noqa: N802
        """One stream: a sequence of audio for `stt`, or sentences for `tts`."""
        refusal: tuple[Any, str] | None = None
        try:
            await self._serve(requests, context)
        except* TrunklineError as errors:
            error = _first(errors)
            refusal = (_STATUS.get(error.code, grpc.StatusCode.UNAVAILABLE), error.message)
        except* TimeoutError:
            refusal = (grpc.StatusCode.DEADLINE_EXCEEDED, "The stream was idle for too long.")
        if refusal is not None:
            # Outside of the handlers: what `abort` raises must reach grpc as it is.
            await _refuse(context, *refusal)

    async def _serve(self, requests: Any, context: Any) -> None:
        first = await self._next(requests)
        if first is None:
            return
        if first.model_name not in self._places:
            raise InvalidInput(f"There is no model {first.model_name!r}.", field="model_name")
        async with self._places[first.model_name].place():
            if first.model_name == STT:
                await self._recognise(first, requests, context)
            else:
                await self._speak(first, requests, context)

    async def _next(self, requests: Any) -> Any:
        """The next request, None at the end. TimeoutError when the client says nothing for too long."""
        async with asyncio.timeout(self._idle_seconds):
            return await anext(aiter(requests), None)

    async def _recognise(self, first: Any, requests: Any, context: Any) -> None:
        options, _ = _stt_request(first)
        if not kserve.parameter(first, "sequence_start"):
            raise InvalidInput("A stream begins with sequence_start.", field="sequence_start")
        check_language(options["language"])
        stream = await self._recognisers.open(language=options["language"], phrases=options["phrases"])
        owed = _Owed()
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(_write_results(stream, context, owed))
                request = first
                while request is not None:
                    await self._hear(request, stream, owed, kserve.parameter(first, "sequence_id"))
                    if kserve.parameter(request, "sequence_end"):
                        break
                    request = await self._next(requests)
                await owed.paid()
                writing.cancel()
        finally:
            await stream.close()

    async def _hear(self, request: Any, stream: RecogniserStream, owed: _Owed, sequence_id: Any) -> None:
        if request.model_name != STT or kserve.parameter(request, "sequence_id") != sequence_id:
            raise InvalidInput("A stream carries one sequence of one model.", field="sequence_id")
        options, pcm = _stt_request(request)
        if pcm:
            await stream.push(pcm)
        if options["flush"]:
            owed.more()
            await stream.flush()
        elif options["preflight"]:
            await stream.preflight()

    async def _speak(self, first: Any, requests: Any, context: Any) -> None:
        request = first
        while request is not None:
            if request.model_name != TTS:
                raise InvalidInput("A stream carries one model.", field="model_name")
            tensors = kserve.input_tensors(request)
            _expect(tensors, TTS)
            text = tensors["TEXT"].text() if "TEXT" in tensors else ""
            chunks = self._voice.synthesize(
                text,
                voice=tensors["VOICE"].text() if "VOICE" in tensors else "",
                language=tensors["LANGUAGE"].text() if "LANGUAGE" in tensors else "en",
                speed=tensors["SPEED"].number() if "SPEED" in tensors else 1.0,
            )
            async with aclosing(chunks):
                async for chunk in chunks:
                    await context.write(kserve.infer_response(TTS, [Tensor.of_pcm("AUDIO", chunk)]))
            await context.write(kserve.infer_response(TTS, [], {kserve.FINAL_RESPONSE: True}))
            request = await self._next(requests)


class _Owed:
    """Finals that were asked for and have not been sent yet."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()

    def more(self) -> None:
        self._open += 1
        self._none.clear()

    def less(self) -> None:
        self._open -= 1
        if self._open <= 0:
            self._none.set()

    async def paid(self) -> None:
        await self._none.wait()


async def _write_results(stream: RecogniserStream, context: Any, owed: _Owed) -> None:
    while True:
        result = await stream.result()
        await context.write(kserve.infer_response(STT, [Tensor.of_text("RESULT", json.dumps(result))]))
        if result["type"] == "final":
            owed.less()


async def _refuse(context: Any, status: grpc.StatusCode, words: str) -> None:
    """Ends a stream with words and a status. The words come in a message of the stream, as Triton's do when
    its client has not asked for gRPC states: of an asyncio client that writes while its stream is ended,
    grpc keeps INTERNAL and no word (grpc/grpc issue 36066)."""
    if kserve.GRPC_ERRORS[0] not in tuple(tuple(pair) for pair in context.invocation_metadata()):
        text = kserve.refusal_text(status, words)
        await context.write(kserve.messages.ModelStreamInferResponse(error_message=text))
    await context.abort(status, words)


def _expect(tensors: dict[str, Tensor], model: str) -> None:
    unknown = set(tensors) - {name for name, _ in _INPUTS[model]}
    if unknown:
        raise InvalidInput(f"{model} has no input {min(unknown)!r}.", field=min(unknown))


def _stt_request(request: Any) -> tuple[dict[str, Any], bytes]:
    """Options and samples of one request. InvalidInput for what does not fit the contract."""
    tensors = kserve.input_tensors(request)
    _expect(tensors, STT)
    pcm = tensors["AUDIO"].array("INT16").tobytes() if "AUDIO" in tensors else b""
    if len(pcm) > 2 * _MAX_REQUEST_SAMPLES:
        raise InvalidInput(f"AUDIO has at most {_MAX_REQUEST_SAMPLES} samples.", field="AUDIO")
    try:
        said: Any = json.loads(tensors["CONTROL"].text()) if "CONTROL" in tensors else {}
        language, phrases = said.get("language") or "en", said.get("phrases") or []
        if not isinstance(language, str) or not all(isinstance(phrase, str) for phrase in phrases):
            raise TypeError
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidInput("CONTROL has a wrong form.", field="CONTROL") from error
    asks = {name: said.get(name) is True for name in ("flush", "preflight")}
    return {"language": language, "phrases": phrases, **asks}, pcm


def _first(errors: BaseExceptionGroup[TrunklineError]) -> TrunklineError:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, TrunklineError)
    return found


async def serve(
    address: str, *, max_streams: int, processes: int, stopped: asyncio.Event, idle_seconds: float = 300.0
) -> None:
    """Serves at `address` until `stopped`; streams in progress then have 3 s."""
    recognisers, voice = RecogniserPool(processes), Voice()
    service = SpeechService(recognisers, voice, max_streams=max_streams, idle_seconds=idle_seconds)
    # Twice the streams and a few: a client over the limit hears RESOURCE_EXHAUSTED from us, at once.
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=4 * max_streams + 16)
    kserve.services.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(address)
    await server.start()
    try:
        await service.warm_up()
        _log.info("speech server ready", address=address, max_streams=max_streams, processes=processes)
        await stopped.wait()
    finally:
        await server.stop(grace=3.0)
        await recognisers.stop()
