"""More streams than places, streams without an end, and clients that go without a word."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import grpc.aio

from appliance.clients import kserve
from appliance.clients.speech import SpeechToText, SttStream
from appliance.errors import AtCapacity
from tests.engines.stt.conftest import SMALL
from tests.engines.stt.said import PATIENCE_SECONDS, client_of, hear, held_out, pcm_of
from tests.engines.stt.triton_process import ROOT, TritonProcess

CALLERS = 100

HOLDER = """
import asyncio, sys
from appliance.clients.speech import SpeechToText, SttStream

async def hold():
    client = SpeechToText(sys.argv[1], connect_timeout_seconds=30)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(int(sys.argv[2])):
            tasks.create_task(one(client))

async def one(client):
    async with client.stream() as stream:
        while True:
            await stream.push(bytes(64_000))
            await stream.flush()
            await anext(stream)
            print("held", flush=True)
            await asyncio.sleep(3_600)

asyncio.run(hold())
"""


async def _eight_are_served(client: SpeechToText) -> None:
    """Waits until all places are free."""
    pcm = pcm_of(held_out(1)[0])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            together = await asyncio.gather(*(hear(client, pcm) for _ in range(SMALL)))
        except AtCapacity:
            assert time.monotonic() < deadline, "the places were not freed"
            await asyncio.sleep(0.5)
            continue
        assert len({result.text for result in together}) == 1
        return


async def test_of_a_hundred_streams_eight_are_served_and_the_others_told(small_triton: TritonProcess) -> None:
    client = client_of(small_triton.address)
    said = held_out(4)
    await _eight_are_served(client)
    alone = [(await hear(client, pcm_of(one))).text for one in said]
    refused = 0
    all_told = asyncio.Event()

    async def call(index: int) -> str | None:
        nonlocal refused
        pcm = pcm_of(said[index % len(said)])
        async with client.stream() as stream:
            try:
                await stream.push(pcm)
                told = asyncio.create_task(all_told.wait())
                first = asyncio.create_task(_refusal(stream))
                await asyncio.wait({told, first}, return_when=asyncio.FIRST_COMPLETED)
                if first.done():
                    first.result()
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
                await stream.flush()
                while (result := await anext(stream)).type != "final":
                    pass
            except AtCapacity:
                refused += 1
                if refused == CALLERS - SMALL:
                    all_told.set()
                return None
            return result.text

    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        texts = await asyncio.gather(*(call(index) for index in range(CALLERS)))
    assert refused == CALLERS - SMALL
    served = {index: text for index, text in enumerate(texts) if text is not None}
    assert len(served) == SMALL
    assert all(text == alone[index % len(said)] for index, text in served.items())
    await _eight_are_served(client)
    await client.close()


async def _refusal(stream: SttStream) -> None:
    """Reads interim results until the stream is refused."""
    async for _ in stream:
        pass


async def test_a_client_that_disappears_frees_its_places(small_triton: TritonProcess) -> None:
    client = client_of(small_triton.address)
    await _eight_are_served(client)
    command = [sys.executable, "-c", HOLDER, small_triton.address, str(SMALL)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as gone:
        assert gone.stdout is not None
        for _ in range(SMALL):
            assert await asyncio.to_thread(gone.stdout.readline) == "held\n"
        try:
            await hear(client, pcm_of(held_out(1)[0]))
        except AtCapacity:
            pass
        else:
            raise AssertionError("a ninth stream was served")
        gone.kill()
    await _eight_are_served(client)
    await client.close()


async def test_streams_that_never_end_lose_their_places_once_they_are_silent(
    small_triton: TritonProcess,
) -> None:
    client = client_of(small_triton.address)
    await _eight_are_served(client)
    async with grpc.aio.insecure_channel(small_triton.address) as channel:
        stub = kserve.services.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelStreamInfer(metadata=kserve.GRPC_ERRORS) for _ in range(SMALL)]
        for index, call in enumerate(calls):
            parameters = {"sequence_id": 900 + index, "sequence_start": True, "sequence_end": False}
            pcm = kserve.Tensor.of_pcm("AUDIO", pcm_of(held_out(1)[0]))
            await call.write(kserve.infer_request("stt", [pcm], parameters))
            await call.read()
        await _eight_are_served(client)
        for call in calls:
            call.cancel()
    await client.close()
