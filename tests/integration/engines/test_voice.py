"""The voice through its server."""

from __future__ import annotations

import asyncio

import numpy as np
import psutil
import pytest

from tests.integration.engines.conftest import PATIENCE_SECONDS, SpeechServer

RATE_HZ = 24_000


async def said(server: SpeechServer, text: str, **options: object) -> np.ndarray:
    tts = server.tts()
    pcm = b"".join([chunk async for chunk in tts.synthesize(text, **options)])  # type: ignore[arg-type]
    await tts.close()
    return np.frombuffer(pcm, "<i2").astype(float) / 32768


def voices_running(server: SpeechServer) -> int:
    children = psutil.Process(server.process.pid).children(recursive=True)
    return sum("espeak-ng" in child.name() for child in children)


async def test_a_sentence_is_spoken_at_once_and_evenly_loud(speech: SpeechServer) -> None:
    loudness: list[float] = []
    for voice in ("en-gb", "en-us", "en-us+f3"):
        audio = await said(speech, "Good morning, how can I help you?", voice=voice)
        assert 1.0 < len(audio) / RATE_HZ < 5.0
        assert np.flatnonzero(np.abs(audio) > 0.01)[0] < 0.05 * RATE_HZ
        assert np.abs(audio).max() < 0.99
        loudness.append(20 * np.log10(np.sqrt(np.mean(audio[np.abs(audio) > 0.01] ** 2))))
    assert max(loudness) - min(loudness) < 3.0


async def test_speed_and_language_change_the_speech(speech: SpeechServer) -> None:
    text = "One two three four five six seven."
    slow, fast = await said(speech, text, speed=0.8), await said(speech, text, speed=1.5)
    assert len(slow) > 1.3 * len(fast)
    german = await said(speech, "Guten Tag, wie kann ich helfen?", language="de")
    english = await said(speech, "Guten Tag, wie kann ich helfen?", language="en")
    assert len(german) != len(english)


@pytest.mark.parametrize("text", ["", "   ", "\x00\x07\x1b", "🙂🙂", "[[", "..."])
async def test_a_text_without_words_is_no_audio_and_no_error(speech: SpeechServer, text: str) -> None:
    assert len(await said(speech, text)) == 0


async def test_a_text_cannot_be_a_command(speech: SpeechServer) -> None:
    plain = await said(speech, "hello")
    for text in ("hel\x00lo".replace("\x00", ""), "[[hello]]", "<hello>", "hello 🙂"):
        assert abs(len(await said(speech, text)) - len(plain)) < 0.2 * RATE_HZ
    assert len(await said(speech, "--version")) > 0.3 * RATE_HZ
    assert len(await said(speech, "-w file")) > 0.3 * RATE_HZ


async def test_a_cancelled_sentence_ends_its_process(speech: SpeechServer) -> None:
    tts = speech.tts()
    chunks = tts.synthesize("This is a long sentence that nobody wants to hear. " * 80)
    assert await anext(chunks)
    assert voices_running(speech) == 1
    await chunks.aclose()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while voices_running(speech):  # noqa: ASYNC110  # nobody announces the end of a process
            await asyncio.sleep(0.05)
    await tts.close()


async def test_the_first_audio_comes_before_the_last_is_made(speech: SpeechServer) -> None:
    tts = speech.tts()
    chunks = tts.synthesize("This is a long sentence. " * 150)
    first = await anext(chunks)
    assert len(first) < RATE_HZ * 2
    assert voices_running(speech) == 1
    await chunks.aclose()
    await tts.close()
