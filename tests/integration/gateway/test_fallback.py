"""The bridge is away: the caller hears a sentence or is sent to the overflow, whatever codec the call has."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from provisioning.caller.user_agent import SipCaller
from tests.fixtures.asterisk import RunningAsterisk
from tests.integration.gateway.conftest import LAB, Apply, number_at_gateway, until


def envelope(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Loudness in steps of 20 ms: the same for every codec."""
    step = rate_hz // 50
    whole = samples[: len(samples) // step * step].astype(np.float64).reshape(-1, step)
    return np.sqrt((whole**2).mean(axis=1))


def likeness(heard: np.ndarray, heard_hz: int, sentence: Path) -> float:
    """The best correlation of loudness of the sentence with what was heard, at any offset; 1 is the same."""
    with wave.open(str(sentence), "rb") as file:
        wanted = envelope(np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate())
    got = envelope(heard, heard_hz)
    assert len(got) >= len(wanted) * 0.9, "too little was heard"
    got = np.pad(got, (0, len(wanted)))
    wanted = wanted - wanted.mean()
    scores = []
    for start in range(len(got) - len(wanted)):
        part = got[start : start + len(wanted)]
        part = part - part.mean()
        scores.append(float((part * wanted).sum() / (np.linalg.norm(part) * np.linalg.norm(wanted) + 1e-9)))
    return max(scores)


@pytest.mark.parametrize("codec", ["ulaw", "alaw", "g722"])
async def test_the_caller_hears_the_sentence(gateway: RunningAsterisk, apply: Apply, codec: str) -> None:
    await apply(LAB)
    async with SipCaller() as caller:
        leg = await caller.call(number_at_gateway(), codec=codec)
        await leg.answered(20)
        await leg.ended(40)
        sentence = gateway.plan.sentences_dir / "en" / "try_again_later.wav"
        # One packet behind the other: a busy machine pauses, and that is not the matter here.
        heard = np.concatenate([packet.samples for packet in leg.heard.packets])
        assert likeness(heard, leg.heard.rate_hz, sentence) > 0.8
    await until(lambda: gateway.channels() == [], "no channel is left")


async def test_the_overflow_takes_the_call(apply: Apply) -> None:
    await apply(LAB)
    async with SipCaller() as caller:
        for number in ("4930555011", "+4930555011"):
            leg = await caller.call(number_at_gateway(number))
            assert await leg.final(20) == 302
            assert leg.headers is not None
            assert "sip:900@192.0.2.9:5070" in leg.headers.get("Contact")


async def test_without_its_sentence_the_gateway_refuses(gateway: RunningAsterisk, apply: Apply) -> None:
    await apply(LAB)
    sentence = gateway.plan.sentences_dir / "en" / "gateway" / "try_again_later.sln16"
    samples = sentence.read_bytes()
    sentence.unlink()
    try:
        async with SipCaller() as caller:
            leg = await caller.call(number_at_gateway())
            assert await leg.final(20) == 503
    finally:
        sentence.write_bytes(samples)
        sentence.chmod(0o644)


async def test_a_user_who_is_no_number_is_unknown(apply: Apply) -> None:
    await apply(LAB)
    async with SipCaller() as caller:
        for user in ("bob", "h", "s", "i", "t", "trunkline-fallback", "health"):
            leg = await caller.call(number_at_gateway(user))
            assert await leg.final(20) == 404, user
