"""Model `tts` of contract 3 over coqui-tts: KServe v2 gRPC, decoupled (docs/adr/0120)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import structlog
import yaml

from appliance.clients import kserve
from appliance.clients.kserve import Tensor
from appliance.errors import AtCapacity, InvalidInput, TrunklineError, Unavailable
from models.tts.clause import Engine
from models.tts.metrics import Metrics, serve_health
from models.tts.scheduler import Scheduler
from models.tts.speaker import Speaker

_log = structlog.get_logger(__name__)

MODEL = "tts"
_INPUTS = {"TEXT": "BYTES", "VOICE": "BYTES", "LANGUAGE": "BYTES", "SPEED": "FP32", "CONTROL": "BYTES"}
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
_WRITE_SECONDS = 20.0
_IDLE_SECONDS = 300.0
_DRAIN_SECONDS = 8.0
_MAX_LEXICON = 2_000
_WARM_UP = "Good morning, this is the front desk."
_PHRASES_FILE = Path(__file__).with_name("phrases.yaml")


class VoiceService(kserve.services.GRPCInferenceServiceServicer):
    """The inference service. `ready` after a real sentence, until it drains."""

    def __init__(
        self, speaker: Speaker, scheduler: Scheduler, metrics: Metrics, *, about: str, max_streams: int
    ) -> None:
        self._speaker = speaker
        self._scheduler = scheduler
        self._metrics = metrics
        self._about = about
        self._max_streams = max_streams
        self._streams = 0
        self.warm = False
        self.draining = False

    @property
    def ready(self) -> bool:
        return self.warm and not self.draining and not self._scheduler.stuck

    def parts(self) -> dict[str, bool]:
        return {
            "engine": not self._scheduler.stuck,
            "warm": self.warm,
            "taking sentences": not self.draining,
        }

    async def warm_up(self, language: str) -> None:
        """Speaks a sentence; then the model is ready. Raises Unavailable when nothing is heard."""
        manner = self._speaker.manner("", language, 1.0)
        heard = 0
        async for chunk in self._speaker.say(_WARM_UP, manner):
            heard += len(chunk)
        if not heard:
            raise Unavailable("The voice said nothing.", remedy="Add other weights.")
        self.warm = True

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerReadyResponse(ready=self.ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ModelReadyResponse(ready=request.name == MODEL and self.ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerMetadataResponse(
            name="trunkline-voice", version="1", extensions=["decoupled", "model_configuration"]
        )

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        await _known(request, context)
        answer = kserve.messages.ModelMetadataResponse(
            name=MODEL, versions=["1"], platform=json.loads(self._about)["engine"]
        )
        for name, datatype in _INPUTS.items():
            answer.inputs.add(name=name, datatype=datatype, shape=[1])
        answer.outputs.add(name="AUDIO", datatype="INT16", shape=[-1])
        return answer

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The parameter TRUNKLINE says which engine, version, weights and voices are served, as JSON."""
        await _known(request, context)
        answer = kserve.messages.ModelConfigResponse()
        answer.config.name = MODEL
        answer.config.max_batch_size = 0
        answer.config.model_transaction_policy.decoupled = True
        answer.config.parameters["TRUNKLINE"].string_value = self._about
        return answer

    async def ModelStreamInfer(self, requests: Any, context: Any) -> None:  # noqa: N802
        """Sentences one after the other; each ends with the parameter `triton_final_response`."""
        refusal: tuple[Any, str] | None = None
        outcome = "spoken"
        try:
            while (request := await _next(requests)) is not None:
                async with self._place():
                    await self._speak(request, context)
                self._metrics.requests.labels("spoken").inc()
        except TrunklineError as error:
            outcome = error.code
            refusal = (_STATUS.get(error.code, grpc.StatusCode.UNAVAILABLE), error.message)
        except TimeoutError:
            outcome = "idle"
            refusal = (grpc.StatusCode.DEADLINE_EXCEEDED, "The client neither read nor wrote for too long.")
        except asyncio.CancelledError:
            self._metrics.requests.labels("cancelled").inc()
            raise
        if refusal is not None:
            self._metrics.requests.labels(outcome).inc()
            # Outside of the handlers: what `abort` raises must reach grpc as it is.
            await context.abort(*refusal)

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None, None]:
        if self.draining:
            raise Unavailable("The voice is stopping.")
        if self._streams >= self._max_streams:
            raise AtCapacity(f"All {self._max_streams} streams are taken.")
        self._streams += 1
        self._metrics.streams.set(self._streams)
        try:
            yield
        finally:
            self._streams -= 1
            self._metrics.streams.set(self._streams)

    async def _speak(self, request: Any, context: Any) -> None:
        if request.model_name != MODEL:
            raise InvalidInput(f"There is no model {request.model_name[:40]!r}.", field="model_name")
        tensors = kserve.input_tensors(request)
        unknown = set(tensors) - set(_INPUTS)
        if unknown:
            raise InvalidInput(f"{MODEL} has no input {min(unknown)!r}.", field=min(unknown))

        def text(name: str, default: str = "") -> str:
            return tensors[name].text() if name in tensors else default

        manner = self._speaker.manner(
            text("VOICE"), text("LANGUAGE", "en"), tensors["SPEED"].number() if "SPEED" in tensors else 1.0
        )
        chunks = self._speaker.say(text("TEXT"), manner, lexicon=_lexicon(text("CONTROL")))
        async with aclosing(chunks):
            async for chunk in chunks:
                self._metrics.audio_seconds.inc(len(chunk) / 2 / 24_000)
                await _write(context, kserve.infer_response(MODEL, [Tensor.of_pcm("AUDIO", chunk)]))
        await _write(context, kserve.infer_response(MODEL, [], {kserve.FINAL_RESPONSE: True}))


async def _next(requests: Any) -> Any:
    async with asyncio.timeout(_IDLE_SECONDS):
        return await anext(aiter(requests), None)


async def _write(context: Any, response: Any) -> None:
    async with asyncio.timeout(_WRITE_SECONDS):
        await context.write(response)


async def _known(request: Any, context: Any) -> None:
    if request.name != MODEL:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no model {request.name[:40]!r}.")


def _lexicon(control: str) -> Mapping[str, str]:
    """`{"lexicon": {"written": "spoken"}}`: an organization's names, spoken its way."""
    if not control:
        return {}
    try:
        said: Any = json.loads(control)
        entries = cast("dict[Any, Any]", said.get("lexicon") or {})
        if len(entries) > _MAX_LEXICON or not all(
            isinstance(one, str) and 0 < len(one) <= 100 for pair in entries.items() for one in pair
        ):
            raise TypeError
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidInput("CONTROL has a wrong form.", field="CONTROL") from error
    return entries


def load_phrases() -> dict[str, tuple[str, ...]]:
    """Common phrases by language."""
    tree: Any = yaml.safe_load(_PHRASES_FILE.read_text(encoding="utf-8"))
    return {str(language): tuple(map(str, sentences)) for language, sentences in tree.items()}


async def serve(
    engine: Engine,
    *,
    address: str,
    health_port: int,
    about: str,
    max_streams: int,
    queue_limit: int,
    stopped: asyncio.Event,
) -> None:
    """Serves at `address` until `stopped`; sentences in progress then have 8 s."""
    metrics = Metrics()
    scheduler = Scheduler(engine, metrics, queue_limit=queue_limit)
    speaker = Speaker(scheduler, json.loads(about)["sha256"], metrics)
    service = VoiceService(speaker, scheduler, metrics, about=about, max_streams=max_streams)
    metrics.memory_mib.set_function(engine.memory_mib)
    # A client over the limit hears RESOURCE_EXHAUSTED from us, in words, before grpc itself refuses.
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=8 * max_streams + 64)
    kserve.services.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(address)
    health = await asyncio.to_thread(serve_health, health_port, metrics, service.parts)
    running = asyncio.create_task(scheduler.run(), name="scheduler")
    phrases: asyncio.Task[None] | None = None
    try:
        await server.start()
        await service.warm_up(engine.languages[0])
        _log.info("voice ready", address=address, engine=engine.name, max_streams=max_streams)
        phrases = asyncio.create_task(speaker.prepare_phrases(load_phrases()), name="phrases")
        ending = asyncio.create_task(stopped.wait(), name="stopped")
        await asyncio.wait({ending, running}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if running.done():
            running.result()
    finally:
        service.draining = True
        await server.stop(grace=_DRAIN_SECONDS)
        for task in (phrases, running):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(health.shutdown)
        health.server_close()
