"""Sentences spoken to the recogniser, and what it makes of them."""

from __future__ import annotations

import asyncio
from functools import cache

import numpy as np

from appliance.clients.speech import SpeechToText, SttResult
from tests.models.recogniser.speech import Spoken, measured, speak

PATIENCE_SECONDS = 90.0
"""What may be waited for on a machine that does other things too."""
FRAME_BYTES = 640


def client_of(address: str) -> SpeechToText:
    return SpeechToText(address, result_timeout_seconds=PATIENCE_SECONDS, connect_timeout_seconds=10)


@cache
def held_out(count: int) -> tuple[Spoken, ...]:
    """Sentences and voices that the recogniser was never trained on."""
    return tuple(measured(count))


@cache
def pcm_of(said: Spoken) -> bytes:
    """The sentence with half a second of a quiet line before and after it."""
    noise = np.random.default_rng(len(said.text)).standard_normal
    speech = speak(said)
    speech = speech * (0.08 / float(np.sqrt(np.mean(speech**2))))
    line = np.concatenate([np.zeros(8_000), speech, np.zeros(8_000)])
    line = line + 0.001 * noise(line.size)
    return (np.clip(line, -1, 1) * 32_767).astype("<i2").tobytes()


async def hear(client: SpeechToText, pcm: bytes, *, frames_at_once: int = 10_000) -> SttResult:
    """The final result for audio that is pushed in frames of 20 ms; other tasks run between the pieces."""
    async with asyncio.timeout(PATIENCE_SECONDS), client.stream() as stream:
        for index, at in enumerate(range(0, len(pcm), FRAME_BYTES)):
            await stream.push(pcm[at : at + FRAME_BYTES])
            if index % frames_at_once == 0:
                await asyncio.sleep(0)
        await stream.flush()
        async for result in stream:
            if result.type == "final":
                return result
    raise AssertionError("the stream ended without a final result")
