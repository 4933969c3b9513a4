"""Streams at the same time: each hears its own words alone, the same as when nobody else speaks."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import grpc.aio
import pytest

from appliance.clients import kserve
from appliance.clients.speech import SpeechToText, SttResult
from tests.engines.stt.conftest import ROOM_FOR_ALL
from tests.engines.stt.said import FRAME_BYTES, PATIENCE_SECONDS, client_of, hear, held_out, pcm_of
from tests.engines.stt.triton_process import TritonProcess


async def _two_segments(client: SpeechToText, parts: list[bytes], seed: int) -> list[SttResult]:
    """Both parts in one stream, its frames mixed with those of the others in a random order."""
    choose = random.Random(seed)
    finals: list[SttResult] = []
    async with client.stream() as stream:
        for pcm in parts:
            for at in range(0, len(pcm), FRAME_BYTES):
                await stream.push(pcm[at : at + FRAME_BYTES])
                if choose.random() < 0.3:
                    await asyncio.sleep(choose.random() / 50)
            await stream.flush()
            async for result in stream:
                if result.type == "final":
                    finals.append(result)
                    break
    return finals


async def test_sixteen_streams_each_get_what_they_get_alone(triton: TritonProcess) -> None:
    client = client_of(triton.address)
    said = held_out(2 * ROOM_FOR_ALL)
    alone = [await hear(client, pcm_of(one)) for one in said]
    assert len({result.text for result in alone}) > ROOM_FOR_ALL
    async with asyncio.timeout(3 * PATIENCE_SECONDS):
        together = await asyncio.gather(
            *(
                _two_segments(client, [pcm_of(said[i]), pcm_of(said[i + ROOM_FOR_ALL])], i)
                for i in range(ROOM_FOR_ALL)
            )
        )
    await client.close()
    for i, finals in enumerate(together):
        expected = [alone[i], alone[i + ROOM_FOR_ALL]]
        assert [final.text for final in finals] == [result.text for result in expected]
        for final, result, before_ms in zip(finals, expected, (0, expected[0].audio_ms), strict=True):
            shifted = [(word.word, word.end_ms + before_ms) for word in result.words]
            assert [(word.word, word.end_ms) for word in final.words] == shifted


async def test_two_clients_with_one_sequence_id_get_nothing_of_each_other(triton: TritonProcess) -> None:
    def request(**parameters: bool) -> object:
        pcm = pcm_of(held_out(1)[0])
        stated = {"sequence_id": 77, "sequence_start": False, "sequence_end": False} | parameters
        return kserve.infer_request("stt", [kserve.Tensor.of_pcm("AUDIO", pcm)], stated)

    async with grpc.aio.insecure_channel(triton.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        one = stub.ModelStreamInfer(metadata=kserve.GRPC_ERRORS, timeout=PATIENCE_SECONDS)
        two = stub.ModelStreamInfer(metadata=kserve.GRPC_ERRORS, timeout=PATIENCE_SECONDS)
        await one.write(request(sequence_start=True))
        await one.read()  # an interim result: the stream lives
        await two.write(request(sequence_start=True))
        await _refused(two)
        await one.write(request())
        await _refused(one)


async def _refused(call: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert refusal.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
