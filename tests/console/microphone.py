"""A real Chromium whose microphone is a file, and a box that a busy machine may let wait."""

from __future__ import annotations

import wave
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser, async_playwright, expect

from provisioning.caller.voice import say
from provisioning.lite.box import Box

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)
expect.set_options(timeout=60_000)  # milliseconds: a busy machine is no failure

RATE_HZ = 48_000
TALK_MS = 120_000
PATIENCE = {
    "speech.result_timeout_seconds": 30.0,
    "speech.first_audio_timeout_seconds": 30.0,
    "language.first_token_timeout_seconds": 30.0,
}
"""A browser, a worker and the engines share the processors of the tests: what is late here is no failure."""
PARTS = ("livekit", "speech", "dialogue", "tool_api", "worker", "minio", "console")


async def spoken(path: Path) -> Path:
    """What the microphone hears, over and over: a pause as long as the greeting, then a wish."""
    words = await say("I would like to book an appointment", RATE_HZ)
    pause = np.zeros(RATE_HZ * 9, dtype=np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate([pause, np.asarray(words, dtype=np.int16)]).tobytes())
    return path


def start_patiently(box: Box) -> None:
    """Everything that a test call needs, with a worker that waits longer for the engines."""
    box.overrides.update(PATIENCE)
    box.prepare()
    box.start(*PARTS)
    box.restart("worker")


@pytest.fixture
async def speaking_browser(tmp_path: Path) -> AsyncGenerator[Browser]:
    microphone = await spoken(tmp_path / "microphone.wav")
    flags = [*CHROMIUM_FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        await started.close()
