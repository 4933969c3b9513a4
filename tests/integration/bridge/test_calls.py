"""A call through the bridge: answered, heard both ways, held, ended from either side, refused."""

from __future__ import annotations

from provisioning.lite.box import Box
from tests.fixtures.calls import place_call
from tests.integration.bridge.room_agent import Agents, until


async def test_a_caller_is_answered_and_heard_by_the_agent_and_hears_it(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        await call.leg.answered()
        agent = await agents.number(1)
        await agent.active()
        said = await call.leg.speak("hello, is anybody there")
        await call.leg.hears_speech(since_ns=said.first_speech_ns)
        assert agent.heard_loud > 0
        assert agent.statuses == ["ringing", "active"]
        await call.leg.hangup()
        await agent.gone.wait()
    await until(lambda: call.row)
