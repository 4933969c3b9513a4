"""Audio that no call should send, and requests that no client should make; the server stays of use."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import grpc.aio
import numpy as np
import pytest

from appliance.clients import kserve
from appliance.clients.kserve import Tensor
from appliance.clients.speech import SpeechToText, SttStream
from tests.engines.stt.conftest import ROOM_FOR_ALL
from tests.engines.stt.said import PATIENCE_SECONDS, client_of, hear, held_out, pcm_of
from tests.engines.stt.triton_process import TritonProcess

SENTENCE = held_out(1)[0]
MINUTES = 40


async def _still_works(client: SpeechToText) -> None:
    result = await hear(client, pcm_of(SENTENCE))
    assert result.text


def _samples() -> Any:
    return np.frombuffer(pcm_of(SENTENCE), "<i2").astype(np.float32)


ODD_AUDIO = {
    "empty": b"",
    "one sample": b"\0\1",
    "digital silence": bytes(64_000),
    "8 kHz sent as 16": _samples()[::2].astype("<i2").tobytes(),
    "48 kHz sent as 16": np.repeat(_samples(), 3).astype("<i2").tobytes(),
    "clipped": np.clip(_samples() * 40, -32_768, 32_767).astype("<i2").tobytes(),
    "full scale noise": np.random.default_rng(1).integers(-32_768, 32_767, 48_000, np.int16).tobytes(),
}


@pytest.mark.parametrize("kind", ODD_AUDIO)
async def test_odd_audio_gets_one_final_result(triton: TritonProcess, kind: str) -> None:
    client = client_of(triton.address)
    result = await hear(client, ODD_AUDIO[kind])
    assert result.audio_ms == len(ODD_AUDIO[kind]) // 32
    if kind in {"empty", "one sample", "digital silence"}:
        assert result.text == ""
    await _still_works(client)
    await client.close()


def _start(**parameters: Any) -> dict[str, Any]:
    return {"sequence_id": 5, "sequence_start": True, "sequence_end": False} | parameters


PCM = Tensor.of_pcm("AUDIO", bytes(3_200))


def _control(**options: Any) -> list[Tensor]:
    return [PCM, Tensor.of_text("CONTROL", json.dumps(options))]


WRONG = {
    "another rate": kserve.infer_request("stt", _control(sample_rate_hz=8_000), _start(sequence_id=11)),
    "language": kserve.infer_request("stt", _control(language="xx"), _start(sequence_id=12)),
    "not JSON": kserve.infer_request("stt", [PCM, Tensor.of_text("CONTROL", "{")], _start(sequence_id=13)),
    "phrases": kserve.infer_request("stt", _control(phrases=["x" * 1_000]), _start(sequence_id=14)),
    "no start": kserve.infer_request("stt", [PCM], _start(sequence_id=15, sequence_start=False)),
    "floats": kserve.infer_request(
        "stt", [Tensor("AUDIO", "FP32", (800,), bytes(3_200))], _start(sequence_id=16)
    ),
    "unknown input": kserve.infer_request(
        "stt", [Tensor.of_pcm("SOUND", bytes(3_200))], _start(sequence_id=17)
    ),
    "too much at once": kserve.infer_request(
        "stt", [Tensor.of_pcm("AUDIO", bytes(31 * 32_000))], _start(sequence_id=18)
    ),
}


@pytest.mark.parametrize("kind", WRONG)
async def test_a_wrong_request_is_refused_as_such(triton: TritonProcess, kind: str) -> None:
    async with grpc.aio.insecure_channel(triton.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        call = stub.ModelStreamInfer(metadata=kserve.GRPC_ERRORS, timeout=PATIENCE_SECONDS)
        await call.write(WRONG[kind])
        refused = await _refusal_of(call)
    assert refused, "the request was taken"
    client = client_of(triton.address)
    await _still_works(client)
    await client.close()


async def _refusal_of(call: Any) -> str:
    """What Triton refuses before the model, it refuses in a message of the stream; the model by a status."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        return str((await call.read()).error_message)
    return str(await call.details()) if await call.code() is grpc.StatusCode.INVALID_ARGUMENT else ""


async def _pushed(stream: SttStream, pcm: bytes, behind_ms: int) -> None:
    """Pushes again and again, never further ahead of what was heard than `behind_ms`."""
    heard_ms = sent_ms = 0
    while sent_ms < MINUTES * 60_000:
        await stream.push(pcm)
        sent_ms += len(pcm) // 32
        while sent_ms - heard_ms > behind_ms:
            heard_ms = (await anext(stream)).audio_ms


async def test_forty_minutes_without_a_pause_are_held_and_stay_small(triton: TritonProcess) -> None:
    client = client_of(triton.address)
    pcm = pcm_of(SENTENCE)
    sentence = pcm + bytes(19_200)
    passage = sentence * (19 * 32_000 // len(sentence))
    backend = next(process for process in triton.tree() if "stub" in process.name())
    before = backend.memory_info().rss
    async with asyncio.timeout(4 * PATIENCE_SECONDS), client.stream() as stream:
        await _pushed(stream, passage, behind_ms=120_000)
        await _still_works(client)  # another caller is served meanwhile
        await stream.flush()
        while (result := await anext(stream)).type != "final":
            pass
        assert result.audio_ms >= MINUTES * 60_000
        words = result.text.split()
        assert 100 < len(words) <= 1_000
        assert words[-20:].count(SENTENCE.text.split()[0]) >= 1
    await _all_places_are_free(client)
    await client.close()
    assert backend.memory_info().rss - before < 300 * 2**20


async def _all_places_are_free(client: SpeechToText) -> None:
    """As many streams as there are places, each with a word of its own, at the same time."""
    heard = await asyncio.gather(*(hear(client, pcm_of(SENTENCE)) for _ in range(ROOM_FOR_ALL)))
    assert len({result.text for result in heard}) == 1


async def test_who_leaves_in_the_midst_of_a_long_talk_leaves_no_place_taken(triton: TritonProcess) -> None:
    client = client_of(triton.address)
    pcm = pcm_of(SENTENCE)
    for _ in range(2):
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            for _ in range(ROOM_FOR_ALL):
                tasks.create_task(_talk_and_leave(client, (pcm + bytes(19_200)) * 16))
    await _all_places_are_free(client)
    await client.close()


async def _talk_and_leave(client: SpeechToText, pcm: bytes) -> None:
    async with client.stream() as stream:
        await stream.push(pcm)
        await anext(stream)
