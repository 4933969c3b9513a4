"""A person's recorded voice on an 8 kHz line: what was said is in the transcript."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import place_call

RECORDED = Path("/usr/share/asterisk/sounds/en_US_f_Allison/digits")
SAID = {"day-1": "monday", "2": "two", "day-3": "wednesday", "4": "four", "12": "twelve"}


def recording(name: str) -> np.ndarray:
    with wave.open(str(RECORDED / f"{name}.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (8000, 1)
        return np.frombuffer(sound.readframes(sound.getnframes()), np.int16)


@pytest.mark.timeout(300)
async def test_a_persons_words_are_in_the_transcript(box: Box) -> None:
    async with place_call(box, codec="ulaw") as call:
        await call.leg.answered()
        await call.dialogue.greeting()
        for name in SAID:
            await call.dialogue.say(recording(name))
        await call.leg.hangup()
        await call.finished()
        heard = " ".join(str(turn["caller_text"]) for turn in await call.turns()).split()
    right = [word for word in SAID.values() if word in heard]
    assert len(right) >= len(SAID) - 1, heard
