"""Engines of fixed delay behind the real protocols, so that the rest of a turn is the platform's own.

    python -m benchmarks.fixed_engines --speech-port 1 --language-port 2 --stt-ms 40 --llm-ms 90 --tts-ms 60

The recogniser answers a flush after `stt-ms`, always with the same words; the language model gives its first
token after `llm-ms` and the rest at once; the voice gives its first audio after `tts-ms`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import numpy as np
from aiohttp import web

from appliance.clients import kserve
from appliance.clients.kserve import Tensor

HEARD = "i would like to book an appointment please"
ANSWER = "All right, I have noted that for you."
_VOICE_RATE_HZ = 24_000
_ANSWER_SECONDS = 1.2
_CHUNK = _VOICE_RATE_HZ // 25
_INTERIM_EVERY_SAMPLES = 8_000


@dataclass(frozen=True)
class Delays:
    """Milliseconds from a request to the first of its answer."""

    stt_ms: float = 40.0
    llm_ms: float = 90.0
    tts_ms: float = 60.0

    @property
    def sum_ms(self) -> float:
        return self.stt_ms + self.llm_ms + self.tts_ms


def _answer_audio() -> bytes:
    """A sound like a vowel, loud from its first sample: nothing of its beginning hides below a threshold."""
    time = np.arange(int(_VOICE_RATE_HZ * _ANSWER_SECONDS)) / _VOICE_RATE_HZ
    sound = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12))
    return (np.asarray(sound) * 5000).clip(-32_000, 32_000).astype("<i2").tobytes()


class FixedSpeech(kserve.services.GRPCInferenceServiceServicer):
    """`stt` and `tts` of contract 3."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._audio = _answer_audio()

    async def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return kserve.messages.ServerReadyResponse(ready=True)

    async def ModelReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return kserve.messages.ModelReadyResponse(ready=True)

    async def ModelStreamInfer(self, requests: Any, context: Any) -> None:  # noqa: N802
        first = await anext(aiter(requests), None)
        if first is None:
            return
        if first.model_name == "tts":
            await self._speak(first, requests, context)
        else:
            await self._listen(first, requests, context)

    async def _listen(self, first: Any, requests: Any, context: Any) -> None:
        heard = since_interim = 0
        request = first
        while request is not None:
            tensors = kserve.input_tensors(request)
            samples = len(tensors["AUDIO"].data) // 2 if "AUDIO" in tensors else 0
            heard, since_interim = heard + samples, since_interim + samples
            control = json.loads(tensors["CONTROL"].text()) if "CONTROL" in tensors else {}
            if control.get("flush"):
                await asyncio.sleep(self._delays.stt_ms / 1000)
                await context.write(_result("final", heard))
                since_interim = 0
            elif control.get("preflight"):
                await asyncio.sleep(self._delays.stt_ms / 1000)
                await context.write(_result("preflight", heard))
            elif since_interim >= _INTERIM_EVERY_SAMPLES:
                await context.write(_result("interim", heard))
                since_interim = 0
            if kserve.parameter(request, "sequence_end"):
                return
            request = await anext(aiter(requests), None)

    async def _speak(self, first: Any, requests: Any, context: Any) -> None:
        request = first
        while request is not None:
            text = kserve.input_tensors(request)["TEXT"].text()
            await asyncio.sleep(self._delays.tts_ms / 1000)
            if any(letter.isalnum() for letter in text):
                for start in range(0, len(self._audio), 2 * _CHUNK):
                    chunk = self._audio[start : start + 2 * _CHUNK]
                    await context.write(kserve.infer_response("tts", [Tensor.of_pcm("AUDIO", chunk)]))
            await context.write(kserve.infer_response("tts", [], {kserve.FINAL_RESPONSE: True}))
            request = await anext(aiter(requests), None)


def _result(kind: str, samples: int) -> Any:
    said = {
        "type": kind,
        "text": HEARD,
        "words": [],
        "confidence": 1.0,
        "language": "en",
        "audio_ms": samples // 16,
    }
    return kserve.infer_response("stt", [Tensor.of_text("RESULT", json.dumps(said))])


def language_app(delays: Delays) -> web.Application:
    """`/v1/chat/completions` as a stream of server-sent events."""

    async def completions(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        await asyncio.sleep(delays.llm_ms / 1000)
        base = {"id": "fixed", "object": "chat.completion.chunk", "created": 0, "model": "fixed"}
        words = ANSWER.split(" ")
        deltas = [
            {"role": "assistant", "content": words[0]},
            *({"content": f" {word}"} for word in words[1:]),
        ]
        chunks: list[dict[str, Any]] = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 1, "completion_tokens": len(words), "total_tokens": 1 + len(words)}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": ANSWER}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response(
                {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
            )
        chunks.append({**base, "choices": [], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"ready": True, "parts": {}})

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "fixed", "object": "model"}]})

    app = web.Application()
    app.add_routes(
        [
            web.post("/v1/chat/completions", completions),
            web.get("/health", health),
            web.get("/v1/models", models),
        ]
    )
    return app


async def serve(speech_port: int, language_port: int, delays: Delays, stopped: asyncio.Event) -> None:
    """Both servers on loopback until `stopped`."""
    speech = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    kserve.services.add_GRPCInferenceServiceServicer_to_server(FixedSpeech(delays), speech)
    speech.add_insecure_port(f"127.0.0.1:{speech_port}")
    await speech.start()
    runner = web.AppRunner(language_app(delays), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", language_port).start()
    print("fixed engines serve", flush=True)
    try:
        await stopped.wait()
    finally:
        await runner.cleanup()
        await speech.stop(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("speech-port", "language-port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name, value in (("stt-ms", 40.0), ("llm-ms", 90.0), ("tts-ms", 60.0)):
        parser.add_argument(f"--{name}", type=float, default=value)
    given = parser.parse_args()

    async def run() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        delays = Delays(given.stt_ms, given.llm_ms, given.tts_ms)
        await serve(given.speech_port, given.language_port, delays, stopped)

    asyncio.run(run())


if __name__ == "__main__":
    main()
