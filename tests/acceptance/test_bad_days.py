"""Engines that hang, a caller who says nothing, a caller who leaves too early: real calls through a box.

The caller's own capture tells when the agent spoke; what it said is read from the transcript. What was seen
when each protection was taken away is in docs/bad-days.md.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from livekit import api

from provisioning.caller import SipCaller
from provisioning.lite.box import Box
from provisioning.lite.seed import LAB_PORT_AFTER_SIP_PORT
from tests.acceptance.conftest import Measured
from tests.fixtures.agents import agent_with
from tests.fixtures.calls import PlacedCall, place_call

LONGEST_SILENCE_SECONDS = 4.0
OUTLIVES_SECONDS = 6.5
"""Longer than the framework waits for the tools of an interrupted turn (5 s)."""


@contextmanager
def frozen(box: Box, part: str) -> Iterator[None]:
    """The part hangs: its processes are stopped, its sockets stay open."""
    pids = box.pids(part)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def diary_hangs(box: Box) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Whatever looks into the diary waits for its tables; all else at the tool API goes on."""
    url = box.settings.database.url("owner", driver="postgresql")
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=5) as connection:
        await connection.execute("LOCK TABLE calendars IN ACCESS EXCLUSIVE MODE")
        yield connection
        await connection.rollback()


async def _somebody_waits_for(diary: psycopg.AsyncConnection[Any]) -> None:
    """Returns when a tool has begun to look into the diary that hangs."""
    async with asyncio.timeout(60):
        while True:
            waiting = await diary.execute(
                "SELECT count(*) FROM pg_locks WHERE relation = 'calendars'::regclass AND NOT granted"
            )
            if (await waiting.fetchone() or (0,))[0]:
                return
            await asyncio.sleep(0.05)


async def _reported(call: PlacedCall, outcome: str) -> None:
    """Waits until the worker has reported this outcome; the call itself may go on."""
    deadline = time.monotonic() + 60
    while (row := await call.row()) is None or row["outcome"] != outcome:
        assert time.monotonic() < deadline, f"the worker reported {row and row['outcome']}"
        await asyncio.sleep(0.2)


async def _room_gone(box: Box, name: str) -> None:
    rooms = box.settings.rooms
    async with (
        asyncio.timeout(60),
        api.LiveKitAPI(rooms.http_url, rooms.api_key, rooms.api_secret.reveal()) as client,
    ):
        wanted = api.ListRoomsRequest(names=[name])
        while (await client.room.list_rooms(wanted)).rooms:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


def _human(box: Box, *, refuse_with: int | None = None) -> SipCaller:
    """The telephone to which the receptionist escalates: the lab trunk ends at this port."""
    return SipCaller(box.ports["asterisk"] + LAB_PORT_AFTER_SIP_PORT, refuse_with=refuse_with)


async def test_speech_engines_that_hang_are_apologised_for_and_a_person_takes_over(
    box: Box, measured: Measured
) -> None:
    async with _human(box) as human, place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        with frozen(box, "speech"):
            utterance = await call.leg.speak("I would like to book an appointment please")
            taken_over = await human.next_call(90)
            silence = call.longest_silence(utterance.last_speech_ns, time.time_ns() - 1_500_000_000)
            await taken_over.answer()
            await _reported(call, "transferred")
        said = await call.agent_text()
        assert said.index("something went wrong on our side") < said.index("putting you through")
        measured("longest silence with hanging speech engines", silence, LONGEST_SILENCE_SECONDS)


async def test_a_language_engine_that_hangs_is_apologised_for_and_the_call_ends(
    box: Box, measured: Measured
) -> None:
    async with _human(box, refuse_with=486), place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        with frozen(box, "dialogue"):
            utterance = await call.leg.speak("I would like to book an appointment please")
            await call.leg.ended(120)
            silence = call.longest_silence(utterance.last_speech_ns, time.time_ns() - 1_500_000_000)
        row = await call.finished(90)
        assert (row["outcome"], row["ended_by"]) == ("failed", "agent")
        said = await call.agent_text()
        assert said.index("something went wrong on our side") < said.index("I cannot help you at the moment")
        measured("longest silence with a hanging language engine", silence, LONGEST_SILENCE_SECONDS)


async def test_a_caller_who_never_speaks_is_asked_and_then_left(box: Box) -> None:
    box.start()
    silence = {"prompt_after_seconds": 2, "end_after_seconds": 2}
    with agent_with(box, silence=silence, greeting="How can I help you?"):
        async with place_call(box) as call:
            await call.leg.answered(60)
            await call.leg.ended(120)
            row = await call.finished(60)
            assert (row["outcome"], row["ended_by"]) == ("no_speech", "agent")
            said = await call.agent_text()
            assert said.index("Are you still there?") < said.index("I cannot hear you")


async def test_a_caller_who_interrupts_a_tool_call_and_leaves_loses_nothing(
    box: Box, measured: Measured
) -> None:
    """The first words over it end the agent's answer, not what it has begun to do; nor does the hang-up."""
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        call_id = await call.id()
        async with diary_hangs(box):
            utterance = await call.leg.speak("what times do you have")
            heard_ns = await call.leg.hears_speech(60, since_ns=utterance.last_speech_ns)
            await call.leg.speak("never mind")
            await call.leg.hangup()
            await _room_gone(box, f"call-{call_id}")
            await asyncio.sleep(2)  # the worker has begun to close the call, and waits for the tool
        silence = (heard_ns - utterance.last_speech_ns) / 1e9  # "One moment, please."
        measured("silence while a tool hangs", silence, LONGEST_SILENCE_SECONDS)
        row = await call.finished(60)
        assert (row["outcome"], row["ended_by"]) == ("caller_hung_up", "caller")
        turns = await call.records.turns(call_id)
        assert [turn["index"] for turn in turns] == list(range(len(turns)))
        done = [done for turn in turns for done in turn["tool_calls"]]
        assert [one["action"] for one in done[:1]] == ["check_availability"], done
        assert done[0]["tool_call_id"].startswith("1.1."), done


async def test_a_caller_who_leaves_while_the_booking_hangs_has_booked(box: Box) -> None:
    """What a tool has done counts more than how the call ended, also when it is done after the call."""
    async with place_call(box) as call:
        await call.leg.answered(60)
        await call.dialogue.greeting()
        call_id = await call.id()
        for line in ("I would like to book an appointment please", "on thursday", "at three o'clock"):
            await call.dialogue.say(line)
        await call.dialogue.say("my name is Mary Miller")
        async with diary_hangs(box) as diary:
            await call.leg.speak("yes please")
            await _somebody_waits_for(diary)
            await call.leg.hangup()
            await asyncio.sleep(OUTLIVES_SECONDS)
        row = await call.finished(60)
        assert (row["outcome"], row["ended_by"]) == ("booked", "caller")
        turns = await call.records.turns(call_id)
        done = [done for turn in turns for done in turn["tool_calls"]][-1]
        assert (done["action"], done["ok"]) == ("create_booking", True)
        assert [booking["name"] for booking in await call.records.bookings(call_id)] == ["Mary Miller"]
