"""The recogniser as the framework's STT: what it is told in a pause, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit import rtc
from livekit.agents import stt

from runtime.agent.plugins.stt import RemoteSTT
from tests.integration.engines.conftest import SpeechServer
from tests.integration.engines.test_recognition import telephone

FRAME_SAMPLES = 320
Kind = stt.SpeechEventType


class Listener:
    """A stream of the plugin, and what came of it."""

    def __init__(self, plugin: RemoteSTT) -> None:
        self.plugin = plugin
        self.stream = plugin.stream()
        self.told: list[tuple[stt.SpeechEventType, str]] = []

    def say(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), 2 * FRAME_SAMPLES):
            piece = pcm[start : start + 2 * FRAME_SAMPLES].ljust(2 * FRAME_SAMPLES, b"\0")
            self.stream.push_frame(rtc.AudioFrame(piece, 16_000, 1, FRAME_SAMPLES))

    async def until(self, kind: stt.SpeechEventType) -> str:
        async with asyncio.timeout(30):
            async for event in self.stream:
                text = event.alternatives[0].text
                self.told.append((event.type, text))
                if event.type == kind:
                    return text
        raise AssertionError("the stream ended")

    def kinds(self) -> list[stt.SpeechEventType]:
        return [kind for kind, _ in self.told if kind != Kind.INTERIM_TRANSCRIPT]


@asynccontextmanager
async def listening(speech: SpeechServer, floor: list[bool]) -> AsyncIterator[Listener]:
    client = speech.stt()
    plugin = RemoteSTT(
        client,
        language="en",
        phrases=(),
        agent_has_the_floor=lambda: bool(floor),
        on_final=lambda _result: None,
    )
    listener = Listener(plugin)
    try:
        yield listener
    finally:
        await listener.stream.aclose()
        await client.close()


async def test_a_pause_tells_the_words_once_and_the_flush_gives_the_same(speech: SpeechServer) -> None:
    async with listening(speech, []) as caller:
        caller.say(telephone("on monday"))
        caller.plugin.pause(True)
        assert await caller.until(Kind.PREFLIGHT_TRANSCRIPT) == "on monday"
        caller.plugin.pause(False)  # a breath
        caller.plugin.pause(True)
        caller.say(bytes(6_400))
        caller.plugin.pause_heard()
        assert await caller.until(Kind.FINAL_TRANSCRIPT) == "on monday"
        assert caller.kinds() == [Kind.PREFLIGHT_TRANSCRIPT, Kind.FINAL_TRANSCRIPT]
        foreseen = caller.told.index((Kind.PREFLIGHT_TRANSCRIPT, "on monday"))
        assert len(caller.told) == foreseen + 2, "an interim between the two would end the answer"
        caller.stream.flush()  # the framework's own, after the pause: only silence has come since
        caller.plugin.speech_heard()
        caller.say(telephone("yes please"))
        caller.plugin.pause(True)
        caller.plugin.pause_heard()
        assert await caller.until(Kind.FINAL_TRANSCRIPT) == "yes please"


async def test_who_goes_on_is_heard_to_his_end(speech: SpeechServer) -> None:
    async with listening(speech, []) as caller:
        caller.say(telephone("yes please"))
        caller.plugin.pause(True)
        assert await caller.until(Kind.PREFLIGHT_TRANSCRIPT) == "yes please"
        caller.plugin.pause(False)
        caller.say(telephone("on monday"))
        caller.plugin.pause(True)
        assert await caller.until(Kind.PREFLIGHT_TRANSCRIPT) == "yes please on monday"
        caller.plugin.pause_heard()
        assert await caller.until(Kind.FINAL_TRANSCRIPT) == "yes please on monday"


async def test_no_answer_is_begun_while_the_agent_speaks(speech: SpeechServer) -> None:
    floor = [True]
    async with listening(speech, floor) as caller:
        caller.say(telephone("on monday"))
        caller.plugin.pause(True)
        caller.plugin.pause_heard()
        assert await caller.until(Kind.FINAL_TRANSCRIPT) == "on monday"
        assert Kind.PREFLIGHT_TRANSCRIPT not in caller.kinds()
