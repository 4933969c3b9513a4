"""The worker with the real room server, speech engines, tool API and database; only the telephone is missing.

Whole conversations that book, and callers who say nothing, are in tests/acceptance.
"""

from __future__ import annotations

import time

from provisioning.demo.call_records import CallRecords, Row
from provisioning.lite.box import Box
from tests.fixtures.relay import Relay
from tests.integration.agent.faulty_language import Call, FaultyLanguage, Say, Slow
from tests.integration.agent.room_caller import RoomCaller

_SILENCE_SECONDS = 12.0
"""4 s are promised; a busy machine may take three times as long for everything."""


async def _finished(records: CallRecords, caller: RoomCaller, timeout_seconds: float = 60.0) -> Row:
    """The call's row once the worker has reported."""
    sip_call_id = caller.sip_call_id

    async def reported() -> bool:
        row = await records.call(sip_call_id)
        return row is not None and row["outcome"] is not None and row["ended_at"] is not None

    await caller.until_async(reported, "the worker's report", timeout_seconds)
    row = await records.call(sip_call_id)
    assert row is not None
    return row


async def test_wrong_tool_calls_and_a_slow_model_are_survived(
    box: Box, worker: str, language: FaultyLanguage
) -> None:
    language.begin(
        [
            Call("check_weather"),
            Call("create_booking", '{"date": 7'),
            Say("That did not work. What else can I do?"),
            Slow(2.2, "Here I am again."),
            Call("end_call", say="Thank you and goodbye."),
        ]
    )
    async with (
        CallRecords(box.settings, box.seed.organization_id) as records,
        RoomCaller(box, agent_name=worker) as caller,
    ):
        await caller.answer()
        await caller.until_said("agent", "How can I help")
        await caller.say("I would like to book an appointment please")
        await caller.until_said("agent", "That did not work")
        first, second = language.told()[:2]
        assert "check_weather" in first["content"]
        assert "not JSON" in second["content"]
        await caller.say("on Monday please")
        await caller.until_said("agent", "Here I am again")
        await caller.press("12#")
        await caller.until_said("caller", "pressed 1 2 #")
        await caller.until(lambda: caller.rpcs, "the agent hangs up")
        await caller.hang_up()
        row = await _finished(records, caller)
        assert (row["outcome"], row["ended_by"]) == ("completed", "agent")


async def test_another_worker_goes_on_with_the_conversation(
    box: Box, worker: str, language: FaultyLanguage
) -> None:
    language.begin([Say("On which day?"), Say("At what time?")])
    async with RoomCaller(box, agent_name=worker) as caller:
        await caller.answer()
        await caller.until_said("agent", "How can I help")
        await caller.hold(True)
        await caller.say("nothing of this may be heard")
        await caller.hold(False)
        await caller.say("I would like to book an appointment please")
        await caller.until_said("agent", "On which day")
        await caller.lose_agent()
        await caller.redispatch()
        await caller.until_said("agent", "the line was interrupted")
        await caller.say("on Monday please")
        await caller.until_said("agent", "At what time")
        texts = [utterance.text for utterance in await caller.said()]
        assert sum("digital assistant" in text for text in texts) == 1, texts
        assert not any("nothing" in text for text in texts), texts
        asked = [m["content"] for m in language.requests[-1]["messages"] if m["role"] == "assistant"]
        assert any("On which day" in text for text in asked), asked


async def test_a_voice_that_hangs_is_apologised_for_without_it(
    box: Box, worker: str, language: FaultyLanguage, voice_line: Relay
) -> None:
    """What is said then was made before the call was answered, or lies on the disk."""
    language.begin([Say("On which day would you like to come?")])
    async with (
        CallRecords(box.settings, box.seed.organization_id) as records,
        RoomCaller(box, agent_name=worker) as caller,
    ):
        await caller.answer()
        await caller.until_said("agent", "How can I help")
        voice_line.hang()
        try:
            await caller.say("I would like to book an appointment please")
            asked = time.monotonic()
            await caller.until(lambda: len(caller.rpcs) == 2, "the agent hangs up")
            ended = time.monotonic()
            await caller.hang_up()
            row = await _finished(records, caller)
        finally:
            voice_line.mend()
        assert [name for name, _ in caller.rpcs] == ["transfer", "hangup"]
        assert row["outcome"] == "failed"
        said = await records.agent_text(row["id"])
        assert said.index("something went wrong on our side") < said.index("I cannot help you at the moment")
        assert "On which day" not in said
        assert caller.longest_silence(asked, ended) < _SILENCE_SECONDS
