"""What the worker reports: each turn as it happens, and everything once more at the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from appliance.calls import tables
from appliance.calls.domain import Finish, Segment, Turn
from appliance.calls.life import locked_call, record_event
from appliance.calls.summary import summarize
from appliance.database.unit_of_work import UnitOfWork

_ROWS_AT_ONCE = 500
"""PostgreSQL takes 65,535 parameters a statement."""


async def store_turn(uow: UnitOfWork, call_id: UUID, attempt: int, turn: Turn, now: datetime) -> None:
    """Stores a turn. The same index again replaces it: a turn is reported when it begins and when it ends."""
    call = await locked_call(uow, call_id)
    call.last_news_at = max(call.last_news_at, now)
    await _store_turns(uow, call, attempt, [turn])


async def finish(uow: UnitOfWork, call_id: UUID, report: Finish, now: datetime) -> None:
    """The worker's end of the call. Repeated: nothing changes.

    A call that lost its agent has a report of each attempt that could still speak; the outcome is that of
    the latest attempt, whatever the order in which the reports arrive.
    """
    call = await locked_call(uow, call_id)
    reported = set(
        await uow.session.scalars(
            select(tables.CallEvent.detail["attempt"].as_integer()).where(
                tables.CallEvent.call_id == call_id, tables.CallEvent.kind == "finished"
            )
        )
    )
    if report.attempt in reported:
        return
    call.last_news_at = max(call.last_news_at, now)
    if all(report.attempt > earlier for earlier in reported):
        call.outcome = report.outcome
        call.ended_by = report.ended_by
        call.finished_at = now
    record_event(
        uow,
        call,
        now,
        "finished",
        {
            "attempt": report.attempt,
            "outcome": report.outcome,
            "ended_by": report.ended_by,
            "recording_id": str(report.recording_id) if report.recording_id else None,
        },
    )
    await _store_turns(uow, call, report.attempt, report.turns)
    await _store_segments(uow, call, report.attempt, report.segments)
    await summarize(uow, call_id)


async def _store_turns(uow: UnitOfWork, call: tables.Call, attempt: int, turns: Sequence[Turn]) -> None:
    rows = {
        turn.index: {
            "organization_id": call.organization_id,
            "call_id": call.id,
            "attempt": attempt,
            "index": turn.index,
            "caller_text": turn.caller_text,
            "agent_text": turn.agent_text,
            "started_at": turn.started_at,
            "interrupted": turn.interrupted,
            "stamps": turn.stamps,
            "tool_calls": list(turn.tool_calls),
        }
        for turn in turns
    }
    for part in _parts(list(rows.values())):
        statement = insert(tables.Turn).values(part)
        changed = {
            name: statement.excluded[name]
            for name in ("caller_text", "agent_text", "started_at", "interrupted", "stamps", "tool_calls")
        }
        await uow.session.execute(
            statement.on_conflict_do_update(index_elements=["call_id", "attempt", "index"], set_=changed)
        )


async def _store_segments(
    uow: UnitOfWork, call: tables.Call, attempt: int, segments: Sequence[Segment]
) -> None:
    rows = [
        {
            "organization_id": call.organization_id,
            "call_id": call.id,
            "attempt": attempt,
            "index": index,
            "speaker": segment.speaker,
            "starts_ms": segment.starts_ms,
            "ends_ms": max(segment.starts_ms, segment.ends_ms),
            "text": segment.text,
            "confidence": segment.confidence,
        }
        for index, segment in enumerate(segments)
    ]
    for part in _parts(rows):
        await uow.session.execute(
            insert(tables.TranscriptSegment)
            .values(part)
            .on_conflict_do_nothing(index_elements=["call_id", "attempt", "index"])
        )


async def stored_turns(uow: UnitOfWork, call_id: UUID) -> Sequence[tables.Turn]:
    """The turns of all attempts in the order in which they were spoken."""
    found = await uow.session.scalars(
        select(tables.Turn)
        .where(tables.Turn.call_id == call_id)
        .order_by(tables.Turn.attempt, tables.Turn.index)
    )
    return list(found)


async def next_turn_index(uow: UnitOfWork, call_id: UUID) -> int:
    """The index after the last stored turn of any attempt; 0 when there is none."""
    last = await uow.session.scalar(select(func.max(tables.Turn.index)).where(tables.Turn.call_id == call_id))
    return 0 if last is None else last + 1


def _parts(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
