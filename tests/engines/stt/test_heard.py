"""The recogniser understands people whom it has never heard, through the real server."""

from __future__ import annotations

import asyncio
import json

import grpc.aio
import jiwer
import pytest

from appliance.clients import kserve
from tests.engines.stt.said import PATIENCE_SECONDS, client_of, hear, held_out, pcm_of
from tests.engines.stt.triton_process import TritonProcess
from tests.models.recogniser.speech import Spoken

DEMO = (
    "i would like to book an appointment please",
    "on wednesday",
    "at ten o'clock",
    "my name is mary miller",
    "yes please",
    "no thank you goodbye",
)


async def test_held_out_sentences_by_held_out_voices_are_understood(triton: TritonProcess) -> None:
    client = client_of(triton.address)
    said = held_out(40)
    heard = [(await hear(client, pcm_of(one))).text for one in said]
    await client.close()
    rate = jiwer.wer([one.text for one in said], heard)
    assert rate < 0.15, [(one.text, text) for one, text in zip(said, heard, strict=True) if one.text != text]


@pytest.mark.parametrize("voice", ["flite:slt", "en-us"])
async def test_the_demos_caller_is_understood(triton: TritonProcess, voice: str) -> None:
    client = client_of(triton.address)
    heard = [(await hear(client, pcm_of(Spoken(text, voice, 1.0)))).text for text in DEMO]
    await client.close()
    assert heard == list(DEMO)


async def test_words_have_times_and_segments_go_on_in_one_stream(triton: TritonProcess) -> None:
    client = client_of(triton.address)
    first, second = (pcm_of(Spoken(text, "flite:slt", 1.0)) for text in DEMO[2:4])
    async with asyncio.timeout(PATIENCE_SECONDS), client.stream() as stream:
        finals = []
        for pcm in (first, second, b""):
            await stream.push(pcm)
            await stream.flush()
            while (result := await anext(stream)).type != "final":
                assert result.text
            finals.append(result)
        await stream.end()
        assert [result async for result in stream] == []
    await client.close()
    assert [final.text for final in finals] == [DEMO[2], DEMO[3], ""]
    first_ms = len(first) // 32
    assert finals[0].audio_ms == first_ms
    assert finals[1].audio_ms == first_ms + len(second) // 32 == finals[2].audio_ms
    times = [time for final in finals for word in final.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert finals[1].words[0].start_ms >= first_ms
    assert all(0 < word.confidence <= 1 for final in finals for word in final.words)


async def test_what_a_flush_would_answer_is_told_and_changes_nothing(triton: TritonProcess) -> None:
    client = client_of(triton.address)
    pcm = pcm_of(Spoken("i would like to book an appointment please", "flite:slt", 1.0))
    plain = await hear(client, pcm)
    pause = len(pcm) // 2 // 640 * 640  # somewhere in the middle of a word
    async with asyncio.timeout(PATIENCE_SECONDS), client.stream() as stream:
        foretold = []
        for part in (pcm[:pause], pcm[pause:]):
            await stream.push(part)
            await stream.preflight()
            while (result := await anext(stream)).type != "preflight":
                assert result.type == "interim"
            foretold.append(result.text)
        await stream.flush()
        while (final := await anext(stream)).type != "final":
            pass
    await client.close()
    assert foretold[0]
    assert plain.text.startswith(foretold[0].split()[0])
    assert foretold[1] == final.text == plain.text
    assert final.words == plain.words


async def test_what_is_served_is_told(triton: TritonProcess) -> None:
    async with grpc.aio.insecure_channel(triton.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        config = await stub.ModelConfig(kserve.messages.ModelConfigRequest(name="stt"), timeout=20)
    facts = json.loads(config.config.parameters["TRUNKLINE"].string_value)
    assert facts["engine"] == "nemo"
    assert facts["model"] == "demo-recogniser"
    assert len(facts["sha256"]) == 64
    assert facts["version"]


async def test_what_is_said_after_a_pause_is_heard_in_the_same_segment(triton: TritonProcess) -> None:
    client = client_of(triton.address)
    texts = (DEMO[1], DEMO[0], DEMO[3])
    silence = bytes(32_000)
    result = await hear(client, b"".join(pcm_of(Spoken(text, "flite:slt", 1.0)) + silence for text in texts))
    await client.close()
    assert result.text == " ".join(texts)
