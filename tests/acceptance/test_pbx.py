"""A real PBX works: its extensions call the agent, hold, press keys, are connected, and are called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from provisioning.caller import Leg, SipCaller
from provisioning.caller.dialogue import Dialogue
from provisioning.demo.call_records import CallRecords, Row
from provisioning.lite.box import Box
from tests.acceptance.test_after_many_calls import clean
from tests.fixtures.pbx import CompanyPbx

pytestmark = pytest.mark.timeout(280)

NUMBER = "4930555010"
HELD_SECONDS = 10
"""Longer than the agent waits for a word before it asks whether somebody is there."""


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"did not come true: {what}"
        await asyncio.sleep(0.2)


@dataclass
class Conversation:
    """A call of an extension to the agent, greeted."""

    phone: SipCaller
    leg: Leg
    dialogue: Dialogue
    records: CallRecords
    row: Row

    async def turns(self) -> list[Row]:
        return await self.records.turns(self.row["id"])


@asynccontextmanager
async def conversation(box: Box, pbx: CompanyPbx, extension: str) -> AsyncIterator[Conversation]:
    async with (
        pbx.telephone(extension) as phone,
        CallRecords(box.settings, box.seed.organization_id) as records,
    ):
        leg = await answered(phone, pbx)
        dialogue = Dialogue(leg, answer_timeout_seconds=60, greeting_timeout_seconds=90)
        await dialogue.greeting()
        newest = await records.rows("SELECT * FROM calls ORDER BY created_at DESC LIMIT 1")
        yield Conversation(phone, leg, dialogue, records, newest[0])
        await leg.hangup()


async def answered(phone: SipCaller, pbx: CompanyPbx) -> Leg:
    """A call of this telephone that the agent has answered. A busy box says 503, and we come again."""
    for _ in range(5):
        leg = await phone.call(f"sip:{NUMBER}@{pbx.address}")
        status = await leg.final(90)
        if status < 300:
            return leg
        assert status == 503
        await asyncio.sleep(5)
    raise AssertionError("the box stayed busy")


async def nothing_is_left(box: Box) -> None:
    async with CallRecords(box.settings, box.seed.organization_id) as records:
        left = await clean(box, records)
        assert not left, left


async def test_an_extension_is_answered_holds_presses_keys_and_is_connected(
    box: Box, pbx_of_box: CompanyPbx
) -> None:
    box.start()
    async with pbx_of_box.telephone("201") as human, conversation(box, pbx_of_box, "202") as call:
        assert call.row["direction"] == "inbound"

        await call.leg.hold()
        call.leg.media.pause(False)  # as a telephone that sends music of its own while it holds
        await call.leg.speak("what times do you have tomorrow")
        await asyncio.sleep(HELD_SECONDS)
        during = await call.turns()
        assert not any(turn["caller_text"] for turn in during), "what was held reached the agent"
        assert not any("still there" in turn["agent_text"].lower() for turn in during), (
            "it asked into the hold"
        )
        await call.leg.resume()
        exchange = await call.dialogue.say("what times do you have tomorrow")
        assert exchange.answer_ns is not None, "the agent does not hear the caller after the hold"

        await call.leg.send_dtmf("0")  # the key for a person
        theirs = await human.next_call(60)
        await theirs.answer()
        said = await call.leg.speak("hello can you help me with my bill")
        await theirs.hears_speech(60, since_ns=said.first_speech_ns)
        answer = await theirs.speak("of course I can do that for you")
        await call.leg.hears_speech(60, since_ns=answer.first_speech_ns)
        await theirs.hangup()
        await call.leg.ended(60)

        async def ended() -> bool:
            rows = await call.records.rows("SELECT * FROM calls WHERE id = %s", call.row["id"])
            return rows[0]["ended_at"] is not None and rows[0]["outcome"] == "transferred"

        await until(ended, "the call is kept as transferred")

        async def key_is_kept() -> bool:
            return "pressed 0" in [turn["caller_text"] for turn in await call.turns()]

        await until(key_is_kept, "the key is part of the conversation")
        events = [event["detail"] for event in await call.records.events(call.row["id"])]
        assert events
    await nothing_is_left(box)


async def test_the_gateway_is_restarted_under_live_calls(box: Box, pbx_of_box: CompanyPbx) -> None:
    box.start()
    async with conversation(box, pbx_of_box, "202") as call:
        box.kill("asterisk")  # a restart that says goodbye to nobody; the supervisor brings it back

        async def row() -> Row:
            return (await call.records.rows("SELECT * FROM calls WHERE id = %s", call.row["id"]))[0]

        async def row_ended() -> bool:
            return (await row())["ended_at"] is not None

        await until(row_ended, "the lost call is reported as ended")
        ended_by = (await row())["ended_by"]
        assert ended_by != "agent", "nobody noticed; the agent has given up after a long silence"
    await asyncio.to_thread(box.start, "asterisk")
    await bridge_ready(box)
    await nothing_is_left(box)
    async with conversation(box, pbx_of_box, "202") as call:
        exchange = await call.dialogue.say("what times do you have tomorrow")
        assert exchange.answer_ns is not None
    await nothing_is_left(box)


async def test_a_call_of_the_box_rings_an_extension_and_the_agent_speaks(
    box: Box, pbx_of_box: CompanyPbx
) -> None:
    box.start()
    async with pbx_of_box.telephone("201") as phone:
        wanted = {
            "organization_id": str(box.seed.organization_id),
            "agent_id": str(box.seed.agent_id),
            "to": "201",
            "trunk_id": str(box.seed.trunk_id),
            "number_id": str(box.seed.number_id),
        }
        token = box.settings.tool_api.service_token.reveal()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(
                f"http://127.0.0.1:{box.ports['bridge']}/calls/outbound",
                json=wanted,
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.status_code < 300, answer.text
        leg = await phone.next_call(60)
        await leg.answer()
        await Dialogue(leg, greeting_timeout_seconds=90).greeting()
        await leg.hangup()
    await nothing_is_left(box)


async def bridge_ready(box: Box) -> None:
    async def ready() -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{box.ports['bridge']}/health/ready")
            except httpx.HTTPError:
                return False
            return answer.status_code == 200

    await until(ready, "the bridge is ready")
