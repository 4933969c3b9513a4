"""A pause is told once, before the speech is ended, and every event of the detector comes through."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import inference, vad

from models.lite.telephone import spoken, through_telephone
from runtime.agent.pauses import PauseDetector

RATE_HZ = 16_000
FRAME_SAMPLES = 320


def line(*parts: str | float) -> bytes:
    """Sentences, and seconds of a quiet line between them."""
    pcm = b""
    for part in parts:
        pcm += through_telephone(*spoken(part, "en-us")) if isinstance(part, str) else silence(part)
    return pcm


def silence(seconds: float) -> bytes:
    noise = np.random.default_rng(7).normal(0, 3, int(seconds * RATE_HZ))
    return noise.astype("<i2").tobytes()


async def events(pcm: bytes, told: list[str]) -> None:
    """Notes in `told` what the detector says of the audio, and each pause."""
    detector = PauseDetector(
        inference.VAD(model="silero", min_silence_duration=0.25),
        lambda on: told.append("pause" if on else "goes on"),
    )
    stream = detector.stream()
    for start in range(0, len(pcm), 2 * FRAME_SAMPLES):
        piece = pcm[start : start + 2 * FRAME_SAMPLES].ljust(2 * FRAME_SAMPLES, b"\0")
        stream.push_frame(rtc.AudioFrame(piece, RATE_HZ, 1, FRAME_SAMPLES))
    stream.end_input()
    async with asyncio.timeout(60):
        async for event in stream:
            if event.type != vad.VADEventType.INFERENCE_DONE:
                told.append(str(event.type.value))
    await stream.aclose()


@pytest.mark.timeout(120)
async def test_a_pause_is_told_once_and_before_the_end_of_the_speech() -> None:
    told: list[str] = []
    await events(line(0.5, "yes please", 1.5, "on monday", 1.5), told)
    heard = [what for what in told if what.endswith("speech")]
    assert heard == ["start_of_speech", "end_of_speech"] * 2
    for end in (at for at, what in enumerate(told) if what == "end_of_speech"):
        assert told[end - 1] == "pause"
    assert told[0] == "start_of_speech", "nobody pauses who has not begun"
    assert told.count("pause") == told.count("goes on"), "silence after the end is no pause"


def test_the_framework_learns_what_it_compares() -> None:
    detector = PauseDetector(inference.VAD(model="silero", min_silence_duration=0.3), lambda _on: None)
    assert detector.min_silence_duration == 0.3
    assert (detector.model, detector.provider) == ("silero", "livekit-local-inference")
