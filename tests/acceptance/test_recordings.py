"""The recording of a real call: what was said and heard, kept through every bad day."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest

from appliance.clients.object_store import ObjectStore
from appliance.errors import IntegrityError
from appliance.recordings.container import ChunkCipher, Header, read_chunks
from appliance.security.sealing import new_key
from provisioning.caller.capture import Capture
from provisioning.lite.box import Box
from tests.fixtures.calls import PlacedCall, place_call

Envelope = npt.NDArray[np.float64]
FRAMES_PER_SECOND = 50


async def test_left_is_what_the_caller_sent_and_right_what_the_caller_heard(box: Box, tmp_path: Path) -> None:
    async with place_call(box) as call:
        await _ask_for_times(call)
        await call.leg.hangup()
        row = await call.finished()
        stored = await call.stored_recording()
        said, heard = _of_capture(call.leg.said), _of_capture(call.leg.heard)
    assert stored["channels"] == 2
    answered_seconds = (row["ended_at"] - row["answered_at"]).total_seconds()
    # The row is closed a little after the caller has left; how long after is a matter of the machine.
    assert stored["seconds"] == pytest.approx(answered_seconds, abs=8)

    left, right = await _exported(box, row["id"], tmp_path / "call.wav")
    same = [_likeness(left, said), _likeness(right, heard)]
    crossed = [_likeness(left, heard), _likeness(right, said)]
    assert min(same) > 0.7, (same, crossed)
    assert min(same) > max(crossed) + 0.2, (same, crossed)

    await _is_unreadable_without_its_key(box, stored, tmp_path / "call.wav", tmp_path / "object")


async def test_with_store_and_database_away_at_hang_up_everything_arrives_later(box: Box) -> None:
    """The store is lost during the call, the database before its end; they come back one after the other."""
    async with place_call(box) as call:
        await call.leg.answered()
        await asyncio.to_thread(box.stop, "minio")
        try:
            await _ask_for_times(call)
            call_id = await call.id()
            await asyncio.to_thread(box.stop, "postgres")
            try:
                await call.leg.hangup()
                reports = box.settings.spool_dir / "reports"

                async def spooled() -> bool:
                    return any(reports.glob(f"{call_id}-*.json.enc"))

                await _until(spooled, "the worker's report waits on the disk")
            finally:
                await asyncio.to_thread(box.start, "postgres", "tool_api")
            row = await call.finished(120)
            assert row["outcome"] == "caller_hung_up"
            spoken = {segment["speaker"] for segment in await call.records.segments(call_id)}
            assert spoken == {"caller", "agent"}
            assert [turn["caller_text"] for turn in await call.turns() if turn["caller_text"]]

            async def sealed() -> bool:
                return [row["state"] for row in await call.records.recordings(call_id)] == ["sealed"]

            await _until(sealed, "the recording is sealed and waits")
            assert _spools(box), "nothing may be lost while the store is away"
        finally:
            await asyncio.to_thread(box.start, "minio")
        assert (await call.stored_recording(120))["seconds"] > 3
    await _until(lambda: _empty(box), "the spool is removed")


async def _ask_for_times(call: PlacedCall) -> None:
    """A greeting, a question and its answer."""
    await call.leg.answered()
    await call.dialogue.greeting()
    exchange = await call.dialogue.say("What times do you have tomorrow?")
    assert exchange.answer_ns is not None, "the agent did not answer"


async def _exported(box: Box, call_id: UUID, path: Path) -> tuple[Envelope, Envelope]:
    """Left and right of `appliance recording export`."""
    command = [str(Path(sys.executable).parent / "appliance"), "recording", "export", str(call_id)]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "-o", str(path)],
        env=os.environ | box.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 16_000)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return _envelope(samples[:, 0], 16_000), _envelope(samples[:, 1], 16_000)


async def _is_unreadable_without_its_key(
    box: Box, stored: dict[str, object], plain: Path, copy: Path
) -> None:
    store = ObjectStore(box.settings.object_store)
    await store.download(str(stored["bucket"]), str(stored["object"]), copy)
    found = await store.read_back(str(stored["bucket"]), str(stored["object"]))
    await store.close()
    assert found.sha256 == stored["sha256"]
    content, pcm = copy.read_bytes(), plain.read_bytes()[44:]
    loud = [at for at in range(0, len(pcm) - 64, 6_400) if len(set(pcm[at : at + 64])) > 16]
    assert loud
    assert not any(pcm[at : at + 64] in content for at in loud)
    with copy.open("rb") as stream:
        header, start = Header.read(stream)
        with pytest.raises(IntegrityError):
            next(read_chunks(stream, ChunkCipher(new_key(), header, start)))


def _of_capture(capture: Capture) -> Envelope:
    return _envelope(capture.pcm(), capture.rate_hz)


def _envelope(samples: npt.NDArray[np.int16], rate_hz: int) -> Envelope:
    """Loudness in dB above silence, 50 values a second: what survives codecs and jitter buffers."""
    frame = rate_hz // FRAMES_PER_SECOND
    whole = samples[: len(samples) // frame * frame].astype(np.float64).reshape(-1, frame)
    return np.maximum(20 * np.log10(np.sqrt(np.mean(whole**2, axis=1)) + 1) - 35, 0)


def _likeness(recorded: Envelope, captured: Envelope, *, within_seconds: float = 4) -> float:
    """The best correlation of the two, one shifted against the other by up to some seconds."""
    size = max(len(recorded), len(captured))
    shift = int(within_seconds * FRAMES_PER_SECOND)
    one = np.zeros(size + 2 * shift)
    one[shift : shift + len(recorded)] = recorded
    best = 0.0
    for offset in range(2 * shift + 1):
        other = np.zeros(size + 2 * shift)
        other[offset : offset + len(captured)] = captured
        if one.any() and other.any():
            best = max(best, float(np.corrcoef(one, other)[0, 1]))
    return best


def _spools(box: Box) -> list[Path]:
    return list((box.settings.spool_dir / "recordings").glob("*.spool"))


async def _empty(box: Box) -> bool:
    return not _spools(box)


async def _until(condition: Callable[[], Awaitable[bool]], what: str, *, within_seconds: float = 120) -> None:
    end = time.monotonic() + within_seconds
    while not await condition():
        assert time.monotonic() < end, f"did not happen within {within_seconds} s: {what}"
        await asyncio.sleep(0.1)
