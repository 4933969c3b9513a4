"""A call through the bridge: answered, heard both ways, held, ended from either side, refused."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.lite.box import Box
from tests.fixtures.calls import PlacedCall, place_call
from tests.integration.bridge.conftest import nothing_is_left
from tests.integration.bridge.room_agent import Agents, RoomAgent, until


async def conversation(call: PlacedCall, agents: Agents, number: int = 1) -> RoomAgent:
    """The call is up, and caller and agent hear each other."""
    await call.leg.answered()
    agent = await agents.number(number)
    await agent.active()
    said = await call.leg.speak("hello, is anybody there")
    await call.leg.hears_speech(since_ns=said.first_speech_ns)
    return agent


async def test_caller_and_agent_hear_each_other_and_the_end_is_reported(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False, from_user="493012345") as call:
        agent = await conversation(call, agents)
        assert agent.statuses == ["ringing", "active"]
        assert agent.caller_attributes["sip.phoneNumber"].endswith("493012345")
        assert agent.caller_attributes["sip.callIDFull"] == call.leg.call_id
        assert agent.caller_attributes["sip.trunkID"] == str(box.seed.trunk_id)
        assert agent.metadata["attempt"] == 1
        await call.leg.hangup()
        await asyncio.wait_for(agent.gone.wait(), 30)
        row = await ended(call)
        assert (row["status"], row["q850_cause"]) == ("ended", 16)
        assert row["answered_at"] is not None
        assert row["quality"]["caller"]["rx_packets"] > 0
        assert row["quality"]["caller"]["tx_packets"] > 0


async def ended(call: PlacedCall) -> dict[str, object]:
    async def row() -> dict[str, object] | None:
        found = await call.row()
        return found if found and found["ended_at"] else None

    return await until(row)


async def test_the_agent_ends_the_call(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        assert await agent.rpc("trunkline.hangup", {"reason": "done"}) == {}
        await call.leg.ended()
        assert call.leg.ended_by == "them"
        await ended(call)


async def test_an_agent_that_finishes_and_leaves_ends_the_call(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        await agent.finish()
        await call.leg.ended()


async def test_a_caller_who_gives_up_while_it_rings_leaves_nothing(box: Box, agents: Agents) -> None:
    agents.becomes_ready = False
    async with place_call(box, start=False) as call:
        await call.leg.rings()
        await call.leg.hangup()
        assert await call.leg.final() == 487
        row = await ended(call)
        assert row["answered_at"] is None


async def test_callers_who_give_up_at_any_moment_leave_nothing_and_the_bridge_alive(
    box: Box, agents: Agents
) -> None:
    agents.becomes_ready = False
    before = box.pids("bridge")[0]

    async def give_up_after(seconds: float) -> None:
        async with place_call(box, start=False) as call:
            await asyncio.sleep(seconds)
            await call.leg.hangup()
            assert call.leg.over.is_set()

    await asyncio.gather(*(give_up_after(step * 0.04) for step in range(9)))
    await nothing_is_left(box)
    # A connect to a room that was cut off half-way once ended the whole process.
    assert box.pids("bridge")[0] == before


async def test_an_unknown_number_is_refused_without_a_room(box: Box, agents: Agents) -> None:
    async with place_call(box, "4930999999", start=False) as call:
        assert await call.leg.final() == 404
    assert agents.all == []


async def test_digits_go_both_ways(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        agent.echoes = False
        await call.leg.send_dtmf("12#")
        await until(lambda: agent.digits == ["1", "2", "#"])
        assert await call.leg.send_info_dtmf("5") == 200
        await until(lambda: agent.digits == ["1", "2", "#", "5"])
        await agent.room.local_participant.publish_dtmf(code=7, digit="7")
        await agent.room.local_participant.publish_dtmf(code=10, digit="*")
        await until(lambda: call.leg.digits == ["7", "*"])


async def test_nothing_of_a_held_call_reaches_the_agent(box: Box, agents: Agents) -> None:
    async with place_call(box, start=False) as call:
        agent = await conversation(call, agents)
        await call.leg.hold()
        await until(lambda: agent.caller_attributes.get("trunkline.held") == "true")
        await call.leg.hears_quiet()
        loud = agent.heard_loud
        await call.leg.speak("nobody should hear this sentence")
        assert agent.heard_loud == loud
        await call.leg.resume()
        await until(lambda: agent.caller_attributes.get("trunkline.held") == "false")
        await call.leg.speak("and now I am back again")
        await until(lambda: agent.heard_loud > loud)


@pytest.mark.parametrize("codec", ["alaw", "g722"])
async def test_other_codecs_are_heard(box: Box, agents: Agents, codec: str) -> None:
    async with place_call(box, start=False, codec=codec) as call:
        await conversation(call, agents)
