"""The worker with the real room server, engines, tool API and database; only the telephone is missing."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.recordings.container import ChunkCipher, Header, read_chunks
from appliance.recordings.spool import spool_folder
from provisioning.caller.persona import booking_caller
from provisioning.demo.call_records import CallRecords, Row
from provisioning.lite.box import Box
from tests.integration.agent.faulty_language import Call, FaultyLanguage, Say, Slow
from tests.integration.agent.room_caller import RoomCaller

StartWorker = Callable[[Mapping[str, Any]], str]


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


async def _recorded(box: Box, caller: RoomCaller) -> np.ndarray:
    """The recording as the worker sealed it, samples by channels."""
    grant = await caller.call.recording(caller.admission.call_id, attempt=1)
    path: Path = spool_folder(box.settings.spool_dir) / f"{grant.recording_id}.spool"
    with path.open("rb") as file:
        header, header_bytes = Header.read(file)
        cipher = ChunkCipher(base64.b64decode(grant.data_key), header, header_bytes)
        plain = b"".join(read_chunks(file, cipher))
    return np.frombuffer(plain, np.int16).reshape(-1, 2)


def _spoken_seconds(channel: np.ndarray) -> float:
    blocks = channel[: len(channel) // 320 * 320].reshape(-1, 320).astype(np.float64)
    return float(np.count_nonzero(np.sqrt((blocks**2).mean(axis=1)) > 200)) * 0.02


@pytest.mark.flaky(reruns=1)  # a small recogniser on a busy machine may misunderstand twenty times
async def test_a_caller_books_an_appointment(box: Box) -> None:
    box.start("worker")
    async with CallRecords(box.settings, box.seed.organization_id) as records, RoomCaller(box) as caller:
        today = datetime.now(UTC).date()
        persona = booking_caller(await records.booking_count(), today)
        await caller.answer()
        await caller.until_said("agent", "How can I help")
        known = ""
        for _ in range(20):
            line = persona.reply(known)
            if line is None or caller.rpcs:
                break
            before = len(await _agent_texts(caller))
            await caller.say(line)
            await caller.until_async(lambda b=before: _said_more(caller, b), "the agent answers")
            known = " ".join((await _agent_texts(caller))[before:])
        await caller.until(lambda: caller.rpcs, "the agent hangs up")
        assert caller.rpcs == [("hangup", {"reason": "completed"})]
        assert caller.agent_state["trunkline.agent"] == "finished"
        await caller.hang_up()
        row = await _finished(records, caller)
        assert (row["outcome"], row["ended_by"]) == ("booked", "agent")
        bookings = await records.bookings(caller.admission.call_id)
        assert len(bookings) == 1
        turns = await records.turns(caller.admission.call_id)
        assert [turn["index"] for turn in turns] == list(range(len(turns)))
        answered = [turn for turn in turns if turn["caller_text"] and turn["agent_text"]]
        assert answered
        stamped = [turn["stamps"] for turn in answered if "first_audio_out" in turn["stamps"]]
        assert stamped
        assert all(stamps["first_audio_out"] > 0 for stamps in stamped), stamped
        assert {"vad_end", "stt_final", "end_of_turn", "llm_first_token"} <= set(stamped[-1]), stamped
        actions = [call["action"] for turn in turns for call in turn["tool_calls"]]
        assert "create_booking" in actions
        recording = await _recorded(box, caller)
        assert _spoken_seconds(recording[: 8 * 16_000, 1]) > 2.0  # consent and greeting are on it
        assert _spoken_seconds(recording[:, 0]) > 3.0
        assert _spoken_seconds(recording[: 2 * 16_000, 0]) == 0.0


async def _agent_texts(caller: RoomCaller) -> list[str]:
    return [utterance.text for utterance in await caller.said() if utterance.role == "agent"]


async def _said_more(caller: RoomCaller, before: int) -> bool:
    return len(await _agent_texts(caller)) > before or bool(caller.rpcs)


async def test_wrong_tool_calls_and_a_slow_model_are_survived(box: Box, start_worker: StartWorker) -> None:
    box.start("speech", "tool_api", "livekit")
    script = [
        Call("check_weather"),
        Call("create_booking", '{"date": 7'),
        Say("That did not work. What else can I do?"),
        Slow(2.2, "Here I am again."),
        Call("end_call", say="Thank you and goodbye."),
    ]
    async with FaultyLanguage(script) as language:
        engine = {"base_url": language.url, "fallback_base_url": None, "first_token_timeout_seconds": 6.0}
        name = start_worker({"language": engine})
        async with (
            CallRecords(box.settings, box.seed.organization_id) as records,
            RoomCaller(box, agent_name=name) as caller,
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


async def test_another_worker_goes_on_with_the_conversation(box: Box, start_worker: StartWorker) -> None:
    box.start("speech", "tool_api", "livekit")
    async with FaultyLanguage([Say("On which day?"), Say("At what time?")]) as language:
        engine = {"base_url": language.url, "fallback_base_url": None}
        name = start_worker({"language": engine})
        async with RoomCaller(box, agent_name=name) as caller:
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


async def test_a_caller_who_says_nothing_is_asked_and_then_left(box: Box, start_worker: StartWorker) -> None:
    box.start("speech", "tool_api", "livekit")
    name = start_worker({})
    async with (
        CallRecords(box.settings, box.seed.organization_id) as records,
        RoomCaller(box, agent_name=name) as caller,
    ):
        await caller.answer()
        await caller.until_said("agent", "Are you still there")
        assert not caller.rpcs
        await caller.until(lambda: caller.rpcs, "the agent hangs up")
        await caller.hang_up()
        row = await _finished(records, caller)
        assert (row["outcome"], row["ended_by"]) == ("no_speech", "agent")
