"""The voice speaks: clause by clause, in several voices and languages, evenly and at once."""

from __future__ import annotations

import asyncio
import json

import grpc
import numpy as np
import pytest

from appliance.clients import kserve
from models.opened import open_model
from models.tts.text.prepare import prepare
from tests.engines.tts.voice_server import VoiceServer

LONG = " ".join(
    f"Number {number} of the list is a sentence about item {number * 7}." for number in range(1, 41)
)
_MADE = "trunkline_voice_batch_size_sum"


def _level(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768
    loud = samples[np.abs(samples) > 0.02 * np.abs(samples).max()]
    return float(np.sqrt(np.mean(loud**2)))


async def test_the_first_sound_is_there_before_the_last_clause_is_made(server: VoiceServer):
    clauses = len(prepare(LONG, "en"))
    before = server.metric(_MADE)
    async with server.client() as client:
        chunks = client.synthesize(LONG)
        try:
            first = await anext(chunks)
            made = server.metric(_MADE) - before
        finally:
            await chunks.aclose()
    assert first
    assert 1 <= made < clauses


async def test_voices_languages_and_speed_are_heard(server: VoiceServer):
    text = "Good evening, Rita."
    ada, ben, german, slow, quick = (
        await server.say(text, voice="ada"),
        await server.say(text, voice="ben"),
        await server.say(text, voice="ada", language="de"),
        await server.say(text, voice="ada", speed=0.5),
        await server.say(text, voice="ada", speed=2.0),
    )
    assert len({ada, ben, german, slow, quick}) == 5
    assert len(slow) > 1.5 * len(ada) > 1.5 * 1.3 * len(quick)
    # A caller hears one loudness, whoever speaks, and no silence before it.
    for sound in (ada, ben, german, slow, quick):
        assert 0.05 < _level(sound) < 0.2
        begin = np.abs(np.frombuffer(sound[: 2 * 480], "<i2").astype(int))
        assert begin.max() > 0.02 * np.abs(np.frombuffer(sound, "<i2").astype(int)).max()
        assert np.abs(np.frombuffer(sound, "<i2").astype(int)).max() < 32767


async def test_the_default_voice_may_be_named_by_a_language(server: VoiceServer):
    assert await server.say("Hello Tom.", voice="en-gb") == await server.say("Hello Tom.", voice="default")


async def test_what_was_made_is_kept_by_its_content(server: VoiceServer):
    first = await server.say("This sentence is new to you.")
    found = server.metric('trunkline_voice_cache_total{found="yes"')
    made = server.metric(_MADE)
    assert await server.say("This sentence is new to you.") == first
    assert server.metric('trunkline_voice_cache_total{found="yes"') == found + 1
    assert server.metric(_MADE) == made


async def test_numbers_are_words_and_markup_is_understood(server: VoiceServer):
    assert await server.say("It is 3:30 pm.") == await server.say("It is three thirty p m.")
    plain = await server.say("<speak>One moment Eve, I look.</speak>")
    paused = await server.say('<speak>One moment Eve,<break time="2s"/> I look.</speak>')
    assert len(paused) > len(plain) + 1.5 * 48_000
    sounds = await server.say('<speak><phoneme alphabet="ipa" ph="həˈloʊ">hello</phoneme></speak>')
    assert len(sounds) > 4_800


async def test_an_organizations_lexicon_is_spoken(server: VoiceServer):
    request = kserve.infer_request(
        "tts",
        [
            kserve.Tensor.of_text("TEXT", "Doctor Xqz is in."),
            kserve.Tensor.of_text("CONTROL", json.dumps({"lexicon": {"Xqz": "Miller"}})),
        ],
    )
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        call = stub.ModelStreamInfer(iter([request]), timeout=90)
        sound = b""
        async for message in call:
            tensors = kserve.output_tensors(message.infer_response)
            sound += tensors["AUDIO"].data if "AUDIO" in tensors else b""
    assert sound == await server.say("Doctor Miller is in.")


@pytest.mark.parametrize("text", ["", "   ", "...", "✨🎉", "<speak/>"])
async def test_nothing_to_say_is_no_error_and_no_sound(server: VoiceServer, text: str):
    assert await server.say(text) == b""


async def test_a_word_without_end_is_spoken_in_parts(server: VoiceServer):
    assert len(await server.say("ha" * 300)) > 48_000


async def test_eight_at_once_are_made_together(server: VoiceServer):
    made, batches = server.metric(_MADE), server.metric("trunkline_voice_batch_size_count")
    texts = [f"Caller {number} asks for table {number + 20}." for number in range(8)]
    sounds = await asyncio.gather(*(server.say(text) for text in texts))
    assert all(sounds)
    assert len(set(sounds)) == 8
    made, batches = (
        server.metric(_MADE) - made,
        server.metric("trunkline_voice_batch_size_count") - batches,
    )
    assert batches < made, "clauses that waited together were made one by one"


async def test_it_says_what_it_serves(server: VoiceServer):
    opened = open_model(server.manifest, "tts")
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        config = await stub.ModelConfig(kserve.messages.ModelConfigRequest(name="tts"), timeout=20)
        ready = await stub.ModelReady(kserve.messages.ModelReadyRequest(name="tts"), timeout=20)
        other = await stub.ModelReady(kserve.messages.ModelReadyRequest(name="stt"), timeout=20)
    about = json.loads(config.config.parameters["TRUNKLINE"].string_value)
    assert about["sha256"] == opened.sha256
    assert (about["engine"], about["model"]) == ("coqui-vits", "demo-voice")
    assert about["voices"] == ["ada", "ben", "cleo"]
    assert ready.ready
    assert not other.ready
    assert server.metric("trunkline_voice_memory_mib") > 50
