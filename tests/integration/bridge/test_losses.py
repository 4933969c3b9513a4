"""Bad days of a call: agents that die or never come, silent telephones, the room server lost.

A killed bridge and a restarted gateway are in tests/acceptance, with the real worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import place_call
from tests.integration.bridge.conftest import bridge_state
from tests.integration.bridge.room_agent import Agents, until
from tests.integration.bridge.test_calls import conversation, ended
from tests.integration.bridge.test_transfers import human

IMPATIENT = {"gateway.rtp_timeout_seconds": 4, "bridge.agent_ready_timeout_seconds": 5}


@pytest.fixture(scope="module", autouse=True)
def impatient(box: Box) -> Iterator[None]:
    """The bridge with short limits, so that the tests need not wait for long ones."""
    box.start("bridge")
    usual = dict(box.overrides)
    box.overrides |= IMPATIENT
    box.prepare()
    box.restart("bridge")
    yield
    box.overrides.clear()
    box.overrides |= usual
    box.prepare()
    box.restart("bridge")


async def test_a_lost_agent_is_followed_by_the_next_after_a_sentence(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        await call.leg.hears_quiet()
        agents.becomes_ready = False
        lost_ns = time.time_ns()
        await agent.leave()
        await call.leg.hears_speech(since_ns=lost_ns)
        second = await agents.number(2)
        assert second.metadata["attempt"] == 2
        assert second.metadata["call_id"] == agent.metadata["call_id"]
        await second.say_ready()
        await until(lambda: second.caller_attributes.get("trunkline.attempt") == "2")
        assert second.caller_attributes["sip.callStatus"] == "active"
        await call.leg.hears_quiet()
        said = await call.leg.speak("are you still there")
        await call.leg.hears_speech(since_ns=said.first_speech_ns)


async def test_an_agent_whose_audio_stops_is_lost_and_a_human_follows_the_second(
    box: Box, agents: Agents
) -> None:
    async with human(box) as telephone, place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        agent.freeze()
        second = await agents.number(2)
        await asyncio.wait_for(agent.gone.wait(), 30)  # it is taken out of the room
        await until(lambda: bridge_state(box)["calls"][0]["phase"] == "talking")
        said = await call.leg.speak("are you still there")
        await call.leg.hears_speech(since_ns=said.first_speech_ns)
        second.freeze()
        theirs = await telephone.next_call()
        await theirs.answer()
        said = await call.leg.speak("hello, can you help me")
        await theirs.hears_speech(since_ns=said.first_speech_ns)


async def test_an_agent_that_does_not_come_is_called_once_more_while_it_rings(
    box: Box, agents: Agents
) -> None:
    agents.becomes_ready = False
    async with place_call(box, start=False) as call:
        await agents.number(1)
        second = await agents.number(2)
        assert not call.leg.up.is_set()
        await second.say_ready()
        await conversation(call, agents, 2)


async def test_without_any_agent_a_human_is_called(box: Box, agents: Agents) -> None:
    agents.becomes_ready = False
    async with human(box) as telephone, place_call(box, start=False) as call:
        theirs = await telephone.next_call(90)
        await theirs.answer()
        await call.leg.answered()
        said = await call.leg.speak("hello, can you help me")
        await theirs.hears_speech(since_ns=said.first_speech_ns)


async def test_a_telephone_that_sends_no_audio_is_hung_up(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False, silent=True) as call:
        await call.leg.answered()
        await call.leg.ended(40)
        assert call.leg.ended_by == "them"
        assert (await ended(call))["q850_cause"] == 102


async def test_without_livekit_the_call_is_refused(box: Box, agents: Agents) -> None:
    box.stop("livekit")
    try:
        async with place_call(box, start=False) as call:
            assert await call.leg.final() == 503
            await ended(call)
    finally:
        box.start("livekit")
