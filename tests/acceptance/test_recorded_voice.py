"""A person's recorded voice on an 8 kHz line: what was said is the transcript, word for word."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import place_call

RECORDED = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
DIGITS = {f"digits/{number}": word for number, word in enumerate(NUMBERS)}
# A lone no at the beginning would end the call: nothing is wanted.
ANSWERS = {
    "hello": "hello",
    "digits/day-1": "monday",
    "auth-thankyou": "thank you",
    "im-sorry": "i'm sorry",
    "vm-no": "no",
}


def recording(name: str) -> np.ndarray:
    with wave.open(str(RECORDED / f"{name}.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (8000, 1)
        return np.frombuffer(sound.readframes(sound.getnframes()), np.int16)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("codec", "said"), [("ulaw", DIGITS), ("alaw", ANSWERS)], ids=["digits", "answers"])
async def test_the_transcript_is_what_a_person_said(box: Box, codec: str, said: dict[str, str]) -> None:
    """Each recording is said as a turn of its own; more than one may end up in one turn of the transcript."""
    async with place_call(box, codec=codec) as call:
        await call.leg.answered()
        await call.dialogue.greeting()
        for name in said:
            await call.dialogue.say(recording(name))
        await call.leg.hangup()
        await call.finished()
        heard = " ".join(str(turn["caller_text"]) for turn in await call.turns()).split()
    assert heard == " ".join(said.values()).split()
