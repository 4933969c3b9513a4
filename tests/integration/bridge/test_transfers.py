"""A caller is connected with a human, or given back to the agent when nobody answers."""

from __future__ import annotations

import asyncio
from typing import Any

from provisioning.caller import SipCaller
from provisioning.lite.box import Box
from tests.fixtures.calls import place_call
from tests.integration.bridge.room_agent import Agents, until
from tests.integration.bridge.test_calls import conversation

LAB_PORT_AFTER_SIP_PORT = 10


def human(box: Box, **options: Any) -> SipCaller:
    """The telephone that the lab trunk reaches."""
    return SipCaller(local_port=box.ports["asterisk"] + LAB_PORT_AFTER_SIP_PORT, **options)


async def test_caller_and_human_hear_each_other_after_the_agent_has_gone(box: Box, agents: Agents) -> None:
    async with human(box) as telephone, place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        asked = asyncio.create_task(agent.rpc("trunkline.transfer", {"target": "201", "mode": "blind"}))
        theirs = await telephone.next_call()
        await call.leg.hears_speech()  # the ringing of the human's telephone
        assert not asked.done(), "the transfer was reported before the human answered"
        await theirs.answer()
        assert (await asked)["result"] == "bridged"
        await agent.finish()
        await asyncio.wait_for(agent.gone.wait(), 30)
        said = await call.leg.speak("hello, can you help me")
        await theirs.hears_speech(since_ns=said.first_speech_ns)
        answer = await theirs.speak("of course I can")
        await call.leg.hears_speech(since_ns=answer.first_speech_ns)
        # A PBX may take the packets of a source that begins in mid-call for old ones, and be silent.
        for leg in (call.leg, theirs):
            assert len({packet.ssrc for packet in leg.heard.packets}) == 1, "the source of the audio changed"
        await theirs.hangup()
        await call.leg.ended()
        assert call.leg.ended_by == "them"


async def test_a_busy_human_gives_the_caller_back_to_the_agent(box: Box, agents: Agents) -> None:
    async with human(box) as telephone, place_call(box, start=False) as call:
        telephone.refuse_with = 486
        agent = await conversation(call, agents)
        answer = await agent.rpc("trunkline.transfer", {"target": "201", "mode": "blind"})
        assert (answer["result"], answer["cause"]) == ("failed", 17)
        said = await call.leg.speak("are you still there")
        await call.leg.hears_speech(since_ns=said.first_speech_ns)


async def test_what_is_no_number_is_not_dialled(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        for target in ("201@evil/n", "Local/1@default", "sip:x@y z"):
            answer = await agent.rpc("trunkline.transfer", {"target": target, "mode": "blind"})
            assert answer["result"] == "failed"
        said = await call.leg.speak("are you still there")
        await call.leg.hears_speech(since_ns=said.first_speech_ns)


async def test_a_caller_who_hangs_up_while_the_human_is_called_stops_the_ringing(
    box: Box, agents: Agents
) -> None:
    async with human(box) as telephone, place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        asked = asyncio.create_task(agent.rpc("trunkline.transfer", {"target": "201", "mode": "blind"}))
        theirs = await telephone.next_call()
        await call.leg.hangup()
        await theirs.ended()
        assert theirs.final_status != 200
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await until(agent.gone.is_set)
