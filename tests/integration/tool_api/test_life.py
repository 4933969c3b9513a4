"""What happens to a call after admission, in whatever order it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, cast

import pytest

from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import (
    Admission,
    Ended,
    Finish,
    LadderEntry,
    LegQuality,
    Progress,
    Segment,
    Turn,
)
from appliance.calls.tables import Call, CallEvent, TranscriptSegment
from appliance.calls.tables import Turn as TurnRow
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import Conflict, NotFound
from tests.integration.tool_api.world import World

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def a_turn(index: int, **changed: Any) -> Turn:
    return Turn.model_validate(
        {
            "index": index,
            "caller_text": f"caller {index}",
            "agent_text": f"agent {index}",
            "started_at": at(index),
            "stamps": {"vad_end": 1.5, "first_audio_out": 640},
            "tool_calls": [{"name": "end_call"}],
        }
        | changed
    )


A_FINISH = Finish(
    outcome="booked",
    ended_by="agent",
    segments=(
        Segment(speaker="caller", starts_ms=0, ends_ms=900, text="hello", confidence=0.5),
        Segment(speaker="agent", starts_ms=1000, ends_ms=900, text="good day"),
    ),
    turns=(a_turn(0), a_turn(1)),
)
AN_END = Ended(
    at=at(60),
    hangup_party="caller",
    q850_cause=16,
    sip_status=200,
    answered_at=at(2),
    ladder=(
        LadderEntry(at=at(0), leg="caller", direction="in", method_or_status="INVITE"),
        LadderEntry(at=at(2), leg="caller", direction="out", method_or_status="200", detail="OK"),
    ),
    quality={"caller": LegQuality(rx_packets=1000, tx_packets=1001, rx_loss=0.5, rtt_ms=12.5)},
)


@contextmanager
def _the_whole_row(world: World, admission: Admission) -> Iterator[None]:
    yield
    row = world.call(admission.call_id)
    assert (row.status, row.outcome, row.ended_by) == ("ended", "booked", "agent")
    assert (row.answered_at, row.ended_at) == (at(2), at(60))
    assert (row.q850_cause, row.sip_status) == (16, 200)
    assert row.quality is not None
    assert row.quality["caller"]["rx_packets"] == 1000
    assert row.finished_at is not None
    turns = world.rows(TurnRow, admission.call_id)
    assert [turn.caller_text for turn in turns] == ["caller 0", "caller 1"]
    assert turns[0].stamps["first_audio_out"] == 640
    assert turns[0].tool_calls == [{"name": "end_call"}]
    segments = world.rows(TranscriptSegment, admission.call_id)
    assert [(each.speaker, each.text) for each in segments] == [("caller", "hello"), ("agent", "good day")]
    events = world.rows(CallEvent, admission.call_id)
    assert [each.detail["method_or_status"] for each in events if each.kind == "sip"] == ["INVITE", "200"]
    assert sum(each.kind == "ended" for each in events) == 1
    assert sum(each.kind == "finished" for each in events) == 1
    assert sum(each.kind == "answered" for each in events) == 1


@pytest.mark.parametrize("order", list(permutations(["answered", "ended", "finish"])))
async def test_the_row_is_whole_whatever_the_order(
    service: ToolApiClient, own: World, order: tuple[str, ...]
) -> None:
    admission = await service.admit(own.request())
    async with own.of_call(admission) as worker:
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "answered": lambda: service.progress(admission.call_id, Progress(status="answered", at=at(2))),
            "ended": lambda: service.ended(admission.call_id, AN_END),
            "finish": lambda: worker.finish(admission.call_id, A_FINISH),
        }
        with _the_whole_row(own, admission):
            for name in order:
                await steps[name]()
                await steps[name]()
            # Once more, otherwise: what was said first stays.
            await service.ended(admission.call_id, AN_END.model_copy(update={"q850_cause": 41}))
            await worker.finish(admission.call_id, A_FINISH.model_copy(update={"outcome": "failed"}))


async def test_a_late_report_comes_with_the_service_token(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())
    await service.ended(admission.call_id, AN_END)
    assert own.call(admission.call_id).outcome == "caller_hung_up"
    await service.finish(admission.call_id, A_FINISH)
    row = own.call(admission.call_id)
    assert (row.outcome, row.ended_by) == ("booked", "agent")


@pytest.mark.parametrize("answered_at", [None, at(2)])
async def test_a_call_without_a_workers_report_has_an_outcome(
    service: ToolApiClient, own: World, answered_at: datetime | None
) -> None:
    for party, outcome in (("caller", "caller_hung_up"), ("gateway", "failed")):
        admission = await service.admit(own.request())
        ended = Ended.model_validate(
            {"at": at(5), "hangup_party": party, "q850_cause": 127, "answered_at": answered_at}
        )
        await service.ended(admission.call_id, ended)
        assert own.call(admission.call_id).outcome == outcome


async def test_progress_moves_the_row_forward_only(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())

    async def news(status: str, seconds: float, detail: Any = None) -> str:
        progress = Progress.model_validate({"status": status, "at": at(seconds), "detail": detail})
        await service.progress(admission.call_id, progress)
        return own.call(admission.call_id).status

    assert await news("ringing", 1) == "ringing"
    assert await news("answered", 2, {"leg": "caller"}) == "answered"
    assert await news("ringing", 1.5) == "answered"
    assert await news("held", 3, "a=sendonly") == "held"
    assert await news("resumed", 4) == "answered"
    assert await news("agent_lost", 5) == "answered"
    assert await news("transferring", 6) == "transferring"
    await service.ended(admission.call_id, AN_END.model_copy(update={"answered_at": None}))
    assert await news("resumed", 7) == "ended"
    assert own.call(admission.call_id).answered_at == at(2)
    kinds = [event.kind for event in own.rows(CallEvent, admission.call_id)]
    assert kinds.count("held") == 1
    assert kinds.count("resumed") == 2


async def test_turns_may_be_told_twice_and_out_of_order(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())
    async with own.of_call(admission) as worker:
        await worker.turn(admission.call_id, a_turn(1))
        await worker.turn(admission.call_id, a_turn(0, agent_text=""))
        await worker.turn(admission.call_id, a_turn(0, agent_text="agent 0, whole"))
        context = await worker.context(admission.call_id)
        assert [each.text for each in context.conversation] == [
            "caller 0",
            "agent 0, whole",
            "caller 1",
            "agent 1",
        ]
        assert context.next_turn_index == 2
        assert context.snapshot.greeting == "Hello."
        assert [tool.name for tool in context.tools] == list(context.snapshot.tools)
        assert (context.timezone, context.attempt) == ("Europe/Berlin", 1)


async def test_the_next_agent_goes_on_with_the_conversation(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())
    first = own.of_call(admission)
    await first.turn(admission.call_id, a_turn(0))
    again = await service.redispatch(admission.call_id)
    metadata = DispatchMetadata.decode(again.dispatch_metadata)
    assert (again.attempt, metadata.attempt, metadata.call_id) == (2, 2, admission.call_id)
    second = ToolApiClient.for_call(own.box.settings.tool_api, metadata.call_token, timeout_seconds=60)
    context = await second.context(admission.call_id)
    assert (context.attempt, context.next_turn_index) == (2, 1)
    assert [each.text for each in context.conversation] == ["caller 0", "agent 0"]
    await second.turn(admission.call_id, a_turn(1))
    # The lost agent's report arrives after the new one's: both are kept, the later attempt's outcome stands.
    await second.finish(
        admission.call_id, Finish(outcome="completed", ended_by="caller", turns=(a_turn(1),), attempt=2)
    )
    late = Finish(outcome="failed", ended_by="agent", turns=(a_turn(0),), segments=A_FINISH.segments)
    await first.finish(admission.call_id, late)
    row = own.call(admission.call_id)
    assert (row.outcome, row.ended_by, row.attempt) == ("completed", "caller", 2)
    assert [(turn.attempt, turn.index) for turn in own.rows(TurnRow, admission.call_id)] == [(1, 0), (2, 1)]
    assert len(own.rows(TranscriptSegment, admission.call_id)) == 2
    await first.close()
    await second.close()
    await service.ended(admission.call_id, AN_END)
    with pytest.raises(Conflict) as refusal:
        await service.redispatch(admission.call_id)
    assert refusal.value.code == "call_ended"


async def test_a_long_report_is_stored_whole(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())
    report = Finish(
        outcome="completed",
        ended_by="caller",
        turns=tuple(a_turn(index) for index in range(1200)),
        segments=tuple(
            Segment(speaker="caller", starts_ms=index, ends_ms=index + 1, text="words")
            for index in range(3000)
        ),
    )
    async with own.of_call(admission) as worker:
        await worker.finish(admission.call_id, report, timeout_seconds=60)
    assert len(own.rows(TurnRow, admission.call_id)) == 1200
    assert len(own.rows(TranscriptSegment, admission.call_id)) == 3000


async def test_a_recording_is_granted_once_for_each_attempt(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())
    async with own.of_call(admission) as worker:
        grant = await worker.recording(admission.call_id, attempt=1)
        assert await worker.recording(admission.call_id, attempt=1) == grant
        assert (await worker.recording(admission.call_id, attempt=2)).recording_id != grant.recording_id
    assert grant.organization_id == own.organization_id
    assert grant.bucket == own.box.settings.object_store.bucket


async def test_a_call_that_is_gone_is_not_found(service: ToolApiClient, own: World) -> None:
    admission = await service.admit(own.request())
    worker = own.of_call(admission)
    with own.session() as session:
        session.delete(session.get_one(Call, admission.call_id))
    steps = (
        worker.context(admission.call_id),
        worker.turn(admission.call_id, a_turn(0)),
        worker.finish(admission.call_id, A_FINISH),
        worker.recording(admission.call_id),
        worker.voice_tool("end_call", "1", {}),
        service.finish(admission.call_id, A_FINISH),
        service.ended(admission.call_id, AN_END),
        service.redispatch(admission.call_id),
        service.progress(admission.call_id, Progress(status="ringing", at=at(0))),
    )
    for step in steps:
        with pytest.raises(NotFound):
            await cast("Awaitable[object]", step)
    await worker.close()
