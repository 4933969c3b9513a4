"""The engine is killed, hangs, or is stopped, in the middle of what somebody says."""

from __future__ import annotations

import asyncio
import signal

import psutil
import pytest

from appliance.clients.speech import SpeechToText, SttResult, SttStream
from appliance.clients.speech_replay import ReplayedStream
from appliance.errors import Unavailable
from tests.engines.stt.said import PATIENCE_SECONDS, client_of, hear, held_out, pcm_of
from tests.engines.stt.triton_process import START_SECONDS, TritonProcess

SENTENCE = held_out(1)[0]


async def test_a_killed_engine_is_told_and_its_successor_hears_the_utterance_whole(
    small_triton: TritonProcess,
) -> None:
    client = client_of(small_triton.address)
    pcm = pcm_of(SENTENCE)
    half = len(pcm) // 4 * 2
    alone = await hear(client, pcm)
    async with client.stream() as plain, client.lasting_stream(START_SECONDS) as lasting:
        await plain.push(pcm[:half])
        await lasting.push(pcm[:half])
        reader = asyncio.create_task(_final_of(lasting))
        await anext(plain)  # both are in the engine's hands
        assert small_triton.process is not None
        small_triton.server().kill()
        with pytest.raises(Unavailable):
            await _to_the_end(plain)
        assert await asyncio.to_thread(small_triton.process.wait, PATIENCE_SECONDS) == 3
        small_triton.start()
        await asyncio.to_thread(small_triton.wait_until_ready)
        await lasting.push(pcm[half:])
        await lasting.flush()
        async with asyncio.timeout(PATIENCE_SECONDS):
            final = await reader
    assert final.text == alone.text
    assert final.audio_ms == alone.audio_ms
    await client.close()


async def _final_of(stream: ReplayedStream) -> SttResult:
    while (result := await anext(stream)).type != "final":
        pass
    return result


async def _to_the_end(stream: SttStream) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _ in stream:
            pass


async def test_a_hanging_engine_is_late_and_not_waited_for(small_triton: TritonProcess) -> None:
    impatient = SpeechToText(small_triton.address, result_timeout_seconds=2.0)
    patient = client_of(small_triton.address)
    await hear(patient, pcm_of(SENTENCE))
    processes = [p for p in small_triton.tree() if p.name().startswith("triton")]
    async with impatient.stream() as stream:
        await stream.push(pcm_of(SENTENCE))
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            await stream.flush()
            with pytest.raises(Unavailable):
                await _to_the_end(stream)
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)
    await hear(patient, pcm_of(SENTENCE))
    await impatient.close()
    await patient.close()


async def test_a_stopped_server_leaves_nothing_behind(small_triton: TritonProcess) -> None:
    client = client_of(small_triton.address)
    await hear(client, pcm_of(SENTENCE))
    await client.close()
    processes = small_triton.tree()
    assert len(processes) >= 3
    assert small_triton.process is not None
    small_triton.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(small_triton.process.wait, PATIENCE_SECONDS) == 0
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
