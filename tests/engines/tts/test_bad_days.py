"""Callers who leave, crowds, and a voice that dies or freezes in mid-sentence."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from appliance.errors import AtCapacity, Unavailable
from models.tts.text.prepare import prepare
from tests.engines.tts.voice_server import REPOSITORY, VoiceServer

pytestmark = pytest.mark.timeout(900)
"""Servers are started inside of tests here; a busy machine needs minutes for each."""

_MADE = "trunkline_voice_batch_size_sum"


def story(name: str, sentences: int = 40) -> str:
    """Sentences that no other test says."""
    return " ".join(f"{name} has sentence {number} of {sentences} to tell." for number in range(sentences))


async def test_a_cancelled_sentence_frees_the_engine(server: VoiceServer):
    text, before = story("Barge in"), server.metric(_MADE)
    async with server.client() as client:
        chunks = client.synthesize(text)
        await anext(chunks)
        await chunks.aclose()
    server.until("trunkline_voice_streams", 0)
    server.until("trunkline_voice_queue", 0)
    assert await server.say("The next caller is served at once.")
    made = server.metric(_MADE) - before
    assert made < len(prepare(text, "en")), "the rest of a cancelled sentence was made"


async def test_a_client_that_vanishes_frees_its_place(server: VoiceServer):
    program = f"""
        import asyncio
        from appliance.clients.speech import TextToSpeech
        async def main():
            voice = TextToSpeech({server.address!r}, first_audio_timeout_seconds=90)
            chunks = voice.synthesize({story("Vanish")!r})
            await anext(chunks)
            print("heard", flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """
    client = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert client.stdout is not None
    try:
        assert client.stdout.readline() == b"heard\n"
        assert server.metric("trunkline_voice_streams") == 1
    finally:
        client.kill()
        client.wait(10)
        client.stdout.close()
    server.until("trunkline_voice_streams", 0)


async def test_a_hundred_at_a_limit_of_eight_are_served_or_told(server: VoiceServer):
    async def ask(number: int) -> str:
        try:
            sound = await server.say(f"Guest {number} is at the door.")
        except AtCapacity:
            return "told"
        return "served" if sound else "silent"

    begun = time.monotonic()
    outcomes = await asyncio.gather(*(ask(number) for number in range(100)))
    assert set(outcomes) == {"served", "told"}
    assert outcomes.count("served") >= 8
    assert time.monotonic() - begun < 200
    server.until("trunkline_voice_streams", 0)
    assert await server.say("All guests have gone.")


async def test_a_voice_that_is_frozen_is_late_for_its_client(server: VoiceServer):
    async with server.client(limit_seconds=3.0) as client:
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):
                [chunk async for chunk in client.synthesize(story("Frozen", 3))]
        finally:
            server.signal(signal.SIGCONT)
    assert await server.say("The voice is back.")
    server.until("trunkline_voice_streams", 0)


async def test_a_voice_killed_in_mid_answer_is_told_and_comes_back(server: VoiceServer):
    texts = [f"Room {number} is booked for the night of the {number + 10}th." for number in range(8)]
    together = await asyncio.gather(*(server.say(text) for text in texts))
    assert server.process is not None
    async with server.client() as client:
        chunks = client.synthesize(story("Killed"))
        assert await anext(chunks)
        server.process.kill()
        with pytest.raises(Unavailable):
            async for _ in chunks:
                pass
    server.process.wait(20)
    async with server.client() as client:
        assert not await client.ready()
    server.start()
    # It remembers nothing: what was made among others is now made alone, and is the same.
    for text, sound in zip(texts, together, strict=True):
        _assert_same(sound, await server.say(text))


def _assert_same(one: bytes, other: bytes) -> None:
    """Equal but for rounding and for the last thirtieth of a second, where a batch is padded."""
    first, second = (np.frombuffer(sound, "<i2").astype(np.float64) for sound in (one, other))
    assert abs(len(first) - len(second)) <= 2_400
    length = min(len(first), len(second)) - 2_400
    assert np.corrcoef(first[:length], second[:length])[0, 1] > 0.99


async def test_a_stop_lets_sentences_end_and_takes_no_new_ones(server: VoiceServer):
    async with server.client() as client:
        chunks = client.synthesize(story("Drain", 4))
        heard = len(await anext(chunks))
        server.signal(signal.SIGTERM)
        async for chunk in chunks:
            heard += len(chunk)
    assert heard > 48_000
    assert server.process is not None
    assert server.process.wait(60) == 0
    with pytest.raises(Unavailable):
        await server.say("Too late.")
