"""An offline recogniser (TDT, the Parakeet family) decodes each segment at its end, as NeMo itself would.

The model is made here, with random weights: what it says means nothing, but must be what NeMo says.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from appliance.clients.speech import SpeechToText, SttResult, SttStream
from models.manifest import Manifest, add, load_catalog, save_manifest
from provisioning.lite.ports import Ports
from provisioning.lite.settings_file import write_settings
from tests.engines.stt.said import FRAME_BYTES, PATIENCE_SECONDS, client_of, hear, held_out, pcm_of
from tests.engines.stt.triton_process import ENGINES, ROOT, TritonProcess
from tests.fixtures.box import TEST_PORT
from tests.models.recogniser.speech import RATE_HZ

PROFILE = "parakeet-tdt-0.6b-v3"
PORT = TEST_PORT + 800
MAKE_SECONDS = 240
PART_SECONDS = 30
"""A longer segment is decoded in parts."""


class OfflineTriton(TritonProcess):
    """Triton with the model that was made, added for the profile of an offline one."""

    def prepare(self) -> None:
        profile = load_catalog()[PROFILE]
        added = add(Manifest(), profile, self.weights, now=datetime(2026, 1, 1, tzinfo=UTC))
        save_manifest(self.manifest, added)
        speech = {"speech": {"max_streams": self.max_streams}}
        write_settings(self.folder, Ports(self.port_base), speech, engines="real")


@dataclass(frozen=True)
class Offline:
    address: str
    audio: dict[str, bytes]
    expected: dict[str, list[str]]
    """What NeMo's `transcribe` hears in each audio alone, in words."""


def _audio() -> dict[str, bytes]:
    spoken = [pcm_of(one) for one in held_out(4)]
    named = {str(index): pcm for index, pcm in enumerate(spoken)}
    named["paused"] = spoken[0] + bytes(3 * 2 * RATE_HZ) + spoken[1]
    long = b"".join(spoken) * 4
    named["part"] = long[: PART_SECONDS * 2 * RATE_HZ]
    assert len(named["part"]) == PART_SECONDS * 2 * RATE_HZ
    return named


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offline]:
    """A ready server, and what NeMo says of each audio without it."""
    folder = tmp_path_factory.mktemp("offline")
    audio = _audio()
    samples: dict[str, Any] = {name: np.frombuffer(pcm, "<i2") for name, pcm in audio.items()}
    np.savez(folder / "audio.npz", **samples)
    weights = folder / "weights" / "offline.nemo"
    weights.parent.mkdir()
    python = ENGINES / "speech" / "bin" / "python"
    files = (weights, folder / "audio.npz", folder / "heard.json")
    made = subprocess.run(
        [str(python), "-m", "tests.models.recogniser.tdt", *map(str, files)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=MAKE_SECONDS,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-3_000:]
    heard: dict[str, str] = json.loads((folder / "heard.json").read_text(encoding="utf-8"))
    triton = OfflineTriton(folder / "box", PORT, weights=weights)
    try:
        triton.prepare()
        triton.start()
        triton.wait_until_ready()
        yield Offline(triton.address, audio, {name: text.split() for name, text in heard.items()})
    finally:
        triton.stop()


async def _say(stream: SttStream, pcm: bytes) -> None:
    for at in range(0, len(pcm), FRAME_BYTES):
        await stream.push(pcm[at : at + FRAME_BYTES])


async def _until_final(stream: SttStream) -> list[SttResult]:
    results: list[SttResult] = []
    async for result in stream:
        results.append(result)
        if result.type == "final":
            return results
    raise AssertionError("the stream ended without a final result")


async def test_a_segment_is_heard_at_its_end_as_nemo_itself_hears_it(offline: Offline) -> None:
    assert len({tuple(offline.expected[str(index)]) for index in range(4)}) == 4
    client = client_of(offline.address)
    for name in ("0", "1", "2", "3", "paused"):
        pcm = offline.audio[name]
        async with asyncio.timeout(PATIENCE_SECONDS), client.stream() as stream:
            await _say(stream, pcm)
            await stream.flush()
            results = await _until_final(stream)
        assert [result.type for result in results] == ["final"], name
        assert results[0].text.split() == offline.expected[name], name
        assert results[0].audio_ms == len(pcm) // 32
        times = [time for word in results[0].words for time in (word.start_ms, word.end_ms)]
        assert times
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= results[0].audio_ms
    await client.close()


async def test_streams_at_once_each_get_what_they_get_alone(offline: Offline) -> None:
    client = client_of(offline.address)
    names = ("0", "1", "2", "3")
    heard = await asyncio.gather(*(hear(client, offline.audio[name], frames_at_once=1) for name in names))
    await client.close()
    assert [result.text.split() for result in heard] == [offline.expected[name] for name in names]


async def test_an_empty_segment_is_empty_and_the_next_one_begins_anew(offline: Offline) -> None:
    client = client_of(offline.address)
    finals: list[SttResult] = []
    parts = (b"", offline.audio["1"], b"", bytes(64), offline.audio["0"])
    async with asyncio.timeout(PATIENCE_SECONDS), client.stream() as stream:
        for pcm in parts:
            await _say(stream, pcm)
            await stream.flush()
            finals += await _until_final(stream)
    await client.close()
    expected = [[], offline.expected["1"], [], [], offline.expected["0"]]
    assert [final.text.split() for final in finals] == expected
    assert finals[4].words[0].end_ms > finals[3].audio_ms
    assert finals[4].audio_ms == sum(map(len, parts)) // 32


async def test_a_segment_that_does_not_end_is_heard_in_parts(offline: Offline) -> None:
    client: SpeechToText = client_of(offline.address)
    async with asyncio.timeout(PATIENCE_SECONDS), client.stream() as stream:
        await _say(stream, offline.audio["part"])
        interim = await anext(stream)
        await _say(stream, offline.audio["0"])
        await stream.flush()
        final = (await _until_final(stream))[-1]
    await client.close()
    assert interim.type == "interim"
    assert interim.text.split() == offline.expected["part"]
    assert final.text.startswith(interim.text)
    assert len(final.text) > len(interim.text)
    assert final.audio_ms == len(offline.audio["part"] + offline.audio["0"]) // 32
