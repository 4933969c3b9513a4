"""A speech server and a dialogue engine in processes of their own, on free ports."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import pytest

from appliance.clients.speech import SpeechToText, TextToSpeech

_SERVER = """
import asyncio, sys
from models.lite.server import serve
address, streams, idle = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
asyncio.run(serve(address, max_streams=streams, processes=2, stopped=asyncio.Event(), idle_seconds=idle))
"""
MAX_STREAMS = 8
PATIENCE_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class SpeechServer:
    address: str
    process: subprocess.Popen[bytes]

    def stt(self, *, result_timeout_seconds: float = PATIENCE_SECONDS) -> SpeechToText:
        return SpeechToText(self.address, result_timeout_seconds=result_timeout_seconds)

    def tts(self, *, first_audio_timeout_seconds: float = PATIENCE_SECONDS) -> TextToSpeech:
        return TextToSpeech(self.address, first_audio_timeout_seconds=first_audio_timeout_seconds)

    async def ready(self) -> None:
        stt = self.stt()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await stt.ready():
                    assert self.process.poll() is None, "the speech server ended"
                    await asyncio.sleep(0.1)
        finally:
            await stt.close()


@contextmanager
def running_speech(
    *, port: int | None = None, max_streams: int = MAX_STREAMS, idle_seconds: float = 300.0
) -> Iterator[SpeechServer]:
    """A server of its own for a test that harms it."""
    address = f"127.0.0.1:{port or free_port()}"
    command = [sys.executable, "-c", _SERVER, address, str(max_streams), str(idle_seconds)]
    process = subprocess.Popen(command)
    try:
        yield SpeechServer(address, process)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.wait(timeout=20)


@asynccontextmanager
async def ready_speech(**options: float) -> AsyncIterator[SpeechServer]:
    with running_speech(**options) as server:  # pyright: ignore[reportArgumentType]
        await server.ready()
        yield server


@pytest.fixture(scope="session")
async def speech() -> AsyncIterator[SpeechServer]:
    async with ready_speech() as server:
        yield server
