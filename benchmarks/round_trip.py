"""Media round trip: a chirp from the phone, through gateway, bridge and room, and back by the echo agent."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from appliance.errors import Unavailable
from benchmarks.results import spread
from provisioning.caller import Leg, SipCaller
from provisioning.caller.codecs import Samples
from provisioning.lite.box import Box

_RATE_HZ = 8000
_CHIRP_SECONDS = 0.12
_EVERY_SECONDS = 0.7
_LATEST_SECONDS = 0.6
_LEAST_LIKENESS = 0.3
_READY_SECONDS = 20


def chirp() -> Samples:
    """A rising tone within the telephone band: its correlation has one sharp peak."""
    time = np.arange(int(_CHIRP_SECONDS * _RATE_HZ)) / _RATE_HZ
    phase = 2 * np.pi * (400 * time + (2400 / (2 * _CHIRP_SECONDS)) * time**2)
    window = np.hanning(len(time)) ** 0.25
    return (12_000 * window * np.sin(phase)).astype(np.int16)


def delays_ms(leg: Leg, sent_ns: list[int]) -> list[float]:
    """Of each chirp, the shift at which what was heard fits it best; those that were lost are left out."""
    reference = chirp().astype(np.float64)
    found: list[float] = []
    for start_ns in sent_ns:
        window = leg.heard.pcm(start_ns, start_ns + int((_LATEST_SECONDS + _CHIRP_SECONDS) * 1e9)).astype(
            np.float64
        )
        likeness = np.correlate(window, reference, "valid")
        energy = np.sqrt(np.convolve(window**2, np.ones(len(reference)), "valid") * np.sum(reference**2))
        likeness = np.abs(likeness) / np.maximum(energy, 1e5)
        best = int(np.argmax(likeness))
        if likeness[best] >= _LEAST_LIKENESS:
            found.append(best / _RATE_HZ * 1000)
    return found


async def measure(box: Box, count: int) -> dict[str, Any]:
    """Spread of the round trip in ms over `count` chirps of one call. Unavailable when no echo answers."""
    async with _echo_agent(box), SipCaller(user="399") as caller:
        leg = await caller.call(f"sip:4930555010@127.0.0.1:{box.ports['asterisk']}", codec="ulaw")
        await leg.answered(40)
        await leg.silence(2)
        sent: list[int] = []
        for _ in range(count):
            utterance = await leg.play(chirp())
            sent.append(utterance.first_speech_ns)
            await leg.silence(_EVERY_SECONDS)
        found = delays_ms(leg, sent)
        await leg.hangup()
    return {"sent": count, "round_trip_ms": spread(found)}


@asynccontextmanager
async def _echo_agent(box: Box) -> AsyncGenerator[None]:
    """The worker makes place for the echo agent, and comes back afterwards."""
    worker_ran = "worker" in await asyncio.to_thread(box.running)
    await asyncio.to_thread(box.stop, "worker")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.echo_agent",
        env={**os.environ, **box.environment},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_READY_SECONDS):
            if not await process.stdout.readline():
                raise Unavailable("The echo agent did not start.")
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if worker_ran:
            await asyncio.to_thread(box.start, "worker")
