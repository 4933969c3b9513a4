"""Names that an agent listens for: heard right where they were misheard, and by that agent's calls alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from appliance.clients.speech import SpeechToText, SttResult, SttStream
from tests.engines.stt.said import FRAME_BYTES, PATIENCE_SECONDS, client_of, pcm_of
from tests.engines.stt.triton_process import TritonProcess
from tests.models.recogniser.speech import Spoken

ANNA = Spoken("my name is anna hill", "en-us+f3", 1.0)
TOM = Spoken("my name is tom miller", "flite:rms", 1.0)
ANNA_ALONE, TOM_ALONE = "my name is emma hill", "my name is sarah miller"
"""What the recogniser makes of these two, whom it was never trained on."""


@pytest.fixture
async def client(triton: TritonProcess) -> AsyncIterator[SpeechToText]:
    client = client_of(triton.address)
    yield client
    await client.close()


async def _final(stream: SttStream) -> SttResult:
    async for result in stream:
        if result.type == "final":
            return result
    raise AssertionError("the stream ended without a final result")


async def _calls(client: SpeechToText, *calls: tuple[tuple[Spoken, ...], tuple[str, ...]]) -> list[list[str]]:
    """What is heard in calls that are all open at once: the sentences of each, and its agent's phrases.

    Their frames go in turn, so that the server decodes the calls together."""
    async with asyncio.timeout(PATIENCE_SECONDS), AsyncExitStack() as open_calls:
        streams = [await open_calls.enter_async_context(client.stream(phrases=names)) for _, names in calls]
        heard: list[list[str]] = [[] for _ in calls]
        for segment in range(len(calls[0][0])):
            audio = [pcm_of(said[segment]) for said, _ in calls]
            for at in range(0, max(map(len, audio)), FRAME_BYTES):
                for stream, pcm in zip(streams, audio, strict=True):
                    await stream.push(pcm[at : at + FRAME_BYTES])
                await asyncio.sleep(0)
            for stream in streams:
                await stream.flush()
            for stream, texts in zip(streams, heard, strict=True):
                texts.append((await _final(stream)).text)
    return heard


async def test_a_misheard_name_is_heard_right_where_its_agent_listens_for_it(client: SpeechToText) -> None:
    # One call after the other, the same sound each time: without the name, with it, and without it again.
    for names, anna, tom in (
        ((), ANNA_ALONE, TOM_ALONE),
        (("Anna Hill", "Tom Miller"), ANNA.text, TOM.text),
        ((), ANNA_ALONE, TOM_ALONE),
    ):
        assert await _calls(client, ((ANNA, TOM), names)) == [[anna, tom]]


async def test_calls_at_the_same_time_each_listen_for_their_own_agents_names(client: SpeechToText) -> None:
    # Four segments of each call: the names stay for the whole call.
    twice = (ANNA, TOM, ANNA, TOM)
    heard = await _calls(
        client,
        (twice, ("Anna Hill",)),
        (twice, ()),
        (twice, ("Tom Miller",)),
        (twice, ()),
    )
    nobody = [ANNA_ALONE, TOM_ALONE] * 2
    assert heard == [[ANNA.text, TOM_ALONE] * 2, nobody, [ANNA_ALONE, TOM.text] * 2, nobody]


async def test_names_that_nobody_says_or_that_cannot_be_written_change_nothing(client: SpeechToText) -> None:
    said = tuple(
        Spoken(text, "flite:slt", 1.0)
        for text in ("i would like to book an appointment please", "my name is mary miller", "yes please")
    )
    names = (
        "Anna Hill",
        "Tom Baker",
        "Peter Green",
        "Sarah Brown",
        "Trunkline",
        "\u0141ukasz Kowalski",
        "",
        " ",
    )
    assert await _calls(client, (said, names)) == [[one.text for one in said]]
