"""Speech server and clients on bad days: full, killed, frozen, wrongly used, left alone."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import grpc
import grpc.aio
import pytest

from appliance.clients import kserve
from appliance.clients.kserve import Tensor
from appliance.clients.speech import SpeechToText
from appliance.errors import AtCapacity, InvalidInput, Unavailable
from tests.integration.engines.conftest import (
    PATIENCE_SECONDS,
    SpeechServer,
    free_port,
    ready_speech,
    running_speech,
)

SILENCE = bytes(3_200)


async def final_of(stt: SpeechToText) -> str:
    async with stt.stream() as stream:
        await stream.push(SILENCE)
        await stream.flush()
        async for result in stream:
            if result.type == "final":
                return result.text
    raise AssertionError("the stream ended without a final result")


async def works_again(stt: SpeechToText) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await final_of(stt)
                return
            except (AtCapacity, Unavailable):
                await asyncio.sleep(0.1)


async def test_a_full_server_says_so_and_a_client_that_disappears_frees_its_place() -> None:
    async with ready_speech(max_streams=2) as server:
        stt = server.stt()
        async with stt.stream() as one:
            await one.push(SILENCE)
            await one.flush()
            await anext(one)
            gone = SpeechToText(server.address, result_timeout_seconds=PATIENCE_SECONDS)
            async with gone.stream() as two:
                await two.push(SILENCE)
                await two.flush()
                await anext(two)
                with pytest.raises(AtCapacity):
                    await final_of(stt)
                await gone.close()
            await works_again(stt)
        await stt.close()


async def test_every_refused_stream_learns_why() -> None:
    async with ready_speech(max_streams=1) as server:
        stt = server.stt()
        async with stt.stream() as one:
            await one.push(SILENCE)
            await one.flush()
            await anext(one)
            for _ in range(600):  # one in 140 heard INTERNAL when the status alone said it
                with pytest.raises(AtCapacity):
                    await final_of(stt)
        await stt.close()


async def test_a_killed_server_is_told_and_its_successor_is_used() -> None:
    port = free_port()
    with running_speech(port=port) as server:
        await server.ready()
        stt = server.stt()
        async with stt.stream() as stream:
            await stream.push(SILENCE)
            await stream.flush()
            await anext(stream)
            server.process.kill()
            server.process.wait()
            with pytest.raises(Unavailable):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await anext(stream)
            with pytest.raises(Unavailable):
                await stream.push(SILENCE)
    with pytest.raises(Unavailable):
        await final_of(stt)
    with running_speech(port=port) as successor:
        await successor.ready()
        await works_again(stt)
    await stt.close()


async def test_a_frozen_server_is_late_and_not_waited_for() -> None:
    async with ready_speech() as server:
        stt, tts = server.stt(result_timeout_seconds=1.0), server.tts(first_audio_timeout_seconds=1.0)
        async with stt.stream() as stream:
            await stream.push(SILENCE)
            os.kill(server.process.pid, signal.SIGSTOP)
            await stream.flush()
            with pytest.raises(Unavailable):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await anext(stream)
        with pytest.raises(Unavailable):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await anext(tts.synthesize("hello"))
        os.kill(server.process.pid, signal.SIGCONT)
        await works_again(server.stt())
        await stt.close()
        await tts.close()


async def test_a_lost_recogniser_process_fails_its_streams_and_is_replaced() -> None:
    import psutil

    async with ready_speech() as server:
        stt = server.stt()
        async with stt.stream() as stream:
            await stream.push(SILENCE)
            await stream.flush()
            await anext(stream)
            for child in psutil.Process(server.process.pid).children():
                child.kill()
            with pytest.raises(Unavailable):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await anext(stream)
        await works_again(stt)
        await stt.close()


async def test_an_idle_stream_is_ended() -> None:
    async with ready_speech(idle_seconds=1.0) as server:
        stt = server.stt()
        async with stt.stream() as stream:
            await stream.push(SILENCE)
            with pytest.raises(Unavailable):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await anext(stream)
        await stt.close()


async def test_no_server_is_told_within_the_time_limit() -> None:
    stt = SpeechToText(f"127.0.0.1:{free_port()}", connect_timeout_seconds=0.5)
    assert not await stt.ready()
    with pytest.raises(Unavailable):
        await final_of(stt)
    await stt.close()


def start(**parameters: Any) -> dict[str, Any]:
    return {"sequence_id": 7, "sequence_start": True, "sequence_end": False} | parameters


PCM = Tensor.of_pcm("AUDIO", SILENCE)
WRONG_REQUESTS = {
    "dtype": kserve.infer_request("stt", [Tensor("AUDIO", "FP32", (800,), SILENCE)], start()),
    "shape": kserve.infer_request("stt", [Tensor("AUDIO", "INT16", (5,), SILENCE)], start()),
    "two dimensions": kserve.infer_request("stt", [Tensor("AUDIO", "INT16", (1, 1600), SILENCE)], start()),
    "half a sample": kserve.infer_request("stt", [Tensor("AUDIO", "INT16", (1,), b"abc")], start()),
    "unknown input": kserve.infer_request("stt", [Tensor.of_pcm("SOUND", SILENCE)], start()),
    "no start": kserve.infer_request("stt", [PCM], start(sequence_start=False)),
    "control": kserve.infer_request("stt", [PCM, Tensor.of_text("CONTROL", "{")], start()),
    "control's form": kserve.infer_request("stt", [PCM, Tensor.of_text("CONTROL", "[1]")], start()),
    "language": kserve.infer_request("stt", [Tensor.of_text("CONTROL", '{"language": "../x"}')], start()),
    "too much": kserve.infer_request("stt", [Tensor.of_pcm("AUDIO", bytes(1_000_000))], start()),
    "voice": kserve.infer_request("tts", [Tensor.of_text("TEXT", "hi"), Tensor.of_text("VOICE", "-w /x")]),
    "speed": kserve.infer_request("tts", [Tensor.of_text("TEXT", "hi"), Tensor.of_float("SPEED", 9.0)]),
    "not a number": kserve.infer_request(
        "tts", [Tensor.of_text("TEXT", "hi"), Tensor.of_float("SPEED", float("nan"))]
    ),
    "no UTF-8": kserve.infer_request("tts", [Tensor("TEXT", "BYTES", (1,), b"\2\0\0\0\xff\xfe")]),
    "too long": kserve.infer_request("tts", [Tensor.of_text("TEXT", "word " * 2_000)]),
}


@pytest.mark.parametrize("name", WRONG_REQUESTS)
async def test_a_wrong_request_is_refused_as_such(speech: SpeechServer, name: str) -> None:
    async with grpc.aio.insecure_channel(speech.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        call = stub.ModelStreamInfer(timeout=PATIENCE_SECONDS)
        await call.write(WRONG_REQUESTS[name])
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in call:
                pass
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, refused.value.details()


async def test_the_client_types_a_refusal(speech: SpeechServer) -> None:
    stt, tts = speech.stt(), speech.tts()
    async with stt.stream(language="xx") as stream:
        with pytest.raises(InvalidInput):
            await stream.push(b"abc")
        await stream.push(SILENCE)
        with pytest.raises(InvalidInput):
            await anext(stream)
    with pytest.raises(InvalidInput):
        await anext(tts.synthesize("hello", voice="no such voice"))
    await stt.close()
    await tts.close()


async def test_the_models_describe_themselves(speech: SpeechServer) -> None:
    async with grpc.aio.insecure_channel(speech.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        messages = kserve.messages
        assert (await stub.ServerLive(messages.ServerLiveRequest())).live
        assert (await stub.ServerReady(messages.ServerReadyRequest())).ready
        for model, inputs in {
            "stt": {"AUDIO", "CONTROL"},
            "tts": {"TEXT", "VOICE", "LANGUAGE", "SPEED"},
        }.items():
            described = await stub.ModelMetadata(messages.ModelMetadataRequest(name=model))
            assert {tensor.name for tensor in described.inputs} == inputs
            assert (await stub.ModelReady(messages.ModelReadyRequest(name=model))).ready
        assert not (await stub.ModelReady(messages.ModelReadyRequest(name="other"))).ready
