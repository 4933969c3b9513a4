"""Finding calls again: the list, and all that is known of one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, func, or_, select, tuple_

from appliance.access.domain import Actor, Right
from appliance.agents.tables import Agent, AgentVersion
from appliance.calls import tables
from appliance.calls.archive_domain import (
    CallDetail,
    CallFilter,
    CallLine,
    ShownEvent,
    ShownRecording,
    ShownSegment,
    ShownToolCall,
    ShownTurn,
)
from appliance.calls.archive_tables import CallSummary
from appliance.calls.masking import with_masks
from appliance.calls.notes import notes_of
from appliance.database.paging import (
    DEFAULT_LIMIT,
    Listed,
    checked_limit,
    decode_cursor,
    encode_cursor,
    one_page,
)
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations.settings_service import settings_of
from appliance.recordings.tables import Recording
from appliance.scheduling.tables import Booking, Order

_NOT_OF_A_NUMBER = re.compile(r"[^0-9+*#]+")
_MATCHES_AT_ONCE = 400
_ROUNDS = 10
_DETAIL_ROWS = 20_000

_RECORDED = exists().where(Recording.call_id == tables.Call.id, Recording.state == "stored")


async def search(
    uow: UnitOfWork,
    actor: Actor,
    wanted: CallFilter,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[CallLine]:
    """The calls, the newest first. A search for words may answer a short page that has a next one.

    NotAllowed when words are searched by who may not read transcripts; InvalidInput for a wrong cursor.
    """
    actor.must(Right.CALLS_READ)
    checked_limit(limit)
    after = decode_cursor(cursor) if cursor else None
    versions = await _versions_of(uow, wanted.agent_id)
    if wanted.text.strip():
        actor.must(Right.TRANSCRIPTS_READ)
        return await _by_index(uow, "calls_with_words", wanted.text, wanted, versions, after, limit)
    if part := _number_part(wanted):
        return await _by_index(uow, "calls_with_number", part, wanted, versions, after, limit)
    rows = (await uow.session.execute(_page(wanted, versions, after, limit))).all()
    return one_page(rows, limit, lambda row: (row.Call.created_at, row.Call.id), _line)


async def _versions_of(uow: UnitOfWork, agent_id: UUID | None) -> list[UUID] | None:
    """Asked first, so that the planner knows how many calls they have; None: no agent was asked for."""
    if agent_id is None:
        return None
    return list(await uow.session.scalars(select(AgentVersion.id).where(AgentVersion.agent_id == agent_id)))


def _page(
    wanted: CallFilter, versions: list[UUID] | None, after: tuple[datetime, UUID] | None, limit: int
) -> Any:
    call = tables.Call
    statement = _lines().where(*_conditions(wanted, versions))
    if after is not None:
        statement = statement.where(tuple_(call.created_at, call.id) < tuple_(*after))
    return statement.order_by(call.created_at.desc(), call.id.desc()).limit(limit + 1)


def _lines() -> Any:
    call = tables.Call
    return (
        select(
            call,
            AgentVersion.version,
            AgentVersion.agent_id,
            Agent.name.label("agent_name"),
            CallSummary.turns,
            CallSummary.latency_p50_ms,
            CallSummary.latency_p95_ms,
            _RECORDED.label("has_recording"),
        )
        .outerjoin(AgentVersion, AgentVersion.id == call.agent_version_id)
        .outerjoin(Agent, Agent.id == AgentVersion.agent_id)
        .outerjoin(CallSummary, CallSummary.call_id == call.id)
    )


def _number_part(wanted: CallFilter) -> str:
    """What of a number was asked for: its digits, or the name of a softphone as it was written."""
    return _NOT_OF_A_NUMBER.sub("", wanted.number) or wanted.number.strip()


def _conditions(wanted: CallFilter, versions: list[UUID] | None) -> list[ColumnElement[bool]]:
    call = tables.Call
    found: list[ColumnElement[bool]] = []
    if part := _number_part(wanted):
        found.append(
            or_(call.caller.contains(part, autoescape=True), call.called.contains(part, autoescape=True))
        )
    if wanted.outcome:
        found.append(call.outcome.in_(wanted.outcome))
    if versions is not None:
        found.append(call.agent_version_id.in_(versions))
    if wanted.direction is not None:
        found.append(call.direction == wanted.direction)
    if wanted.without_tests:
        found.append(call.direction != "test")
    if wanted.live is not None:
        found.append(call.ended_at.is_(None) if wanted.live else call.ended_at.is_not(None))
    if wanted.since is not None:
        found.append(call.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(call.created_at < wanted.until)
    if wanted.min_latency_ms is not None:
        found.append(CallSummary.latency_p95_ms >= wanted.min_latency_ms)
    return found


async def _by_index(
    uow: UnitOfWork,
    function: Literal["calls_with_words", "calls_with_number"],
    sought: str,
    wanted: CallFilter,
    versions: list[UUID] | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Listed[CallLine]:
    """Asks an index for the newest calls, and what else is asked of those; a few times at most."""
    found: list[Row[Any]] = []
    most = limit + 1
    for _ in range(_ROUNDS):
        at, row_id = after or (None, None)
        matching = getattr(func, function)(sought, wanted.since, wanted.until, at, row_id, most)
        columns = matching.table_valued("call_id", "call_created_at")
        matches = (await uow.session.execute(select(columns.c.call_id, columns.c.call_created_at))).all()
        call = tables.Call
        rows = await uow.session.execute(
            _lines()
            .where(call.id.in_([match.call_id for match in matches]), *_conditions(wanted, versions))
            .order_by(call.created_at.desc(), call.id.desc())
        )
        found += rows.all()
        if len(found) > limit:
            return one_page(found, limit, lambda row: (row.Call.created_at, row.Call.id), _line)
        if len(matches) < most:
            return Listed(items=[_line(row) for row in found])
        after, most = (matches[-1].call_created_at, matches[-1].call_id), _MATCHES_AT_ONCE
    assert after is not None
    return Listed(items=[_line(row) for row in found], next_cursor=encode_cursor(*after))


def _line(row: Row[Any]) -> CallLine:
    return CallLine.model_validate(_fields(row))


def _fields(row: Row[Any]) -> dict[str, Any]:
    call: tables.Call = row.Call
    return {
        "id": call.id,
        "direction": call.direction,
        "status": call.status,
        "outcome": call.outcome,
        "caller": call.caller,
        "caller_name": call.caller_name,
        "called": call.called,
        "agent_id": row.agent_id,
        "agent_name": row.agent_name,
        "agent_version": row.version,
        "created_at": call.created_at,
        "answered_at": call.answered_at,
        "ended_at": call.ended_at,
        "seconds": (call.ended_at - call.answered_at).total_seconds()
        if call.ended_at and call.answered_at
        else None,
        "turns": row.turns,
        "latency_p50_ms": row.latency_p50_ms,
        "latency_p95_ms": row.latency_p95_ms,
        "has_recording": row.has_recording,
    }


async def detail(uow: UnitOfWork, actor: Actor, call_id: UUID) -> CallDetail:
    """All that is known of a call. Words, and what tools were told, only for who may read transcripts."""
    actor.must(Right.CALLS_READ)
    return await call_detail(uow, call_id, with_words=actor.may(Right.TRANSCRIPTS_READ))


async def call_detail(uow: UnitOfWork, call_id: UUID, *, with_words: bool) -> CallDetail:
    """As `detail`, without asking who: for a share link, whose opening was allowed by who made it."""
    row = (await uow.session.execute(_lines().where(tables.Call.id == call_id))).one_or_none()
    if row is None:
        raise NotFound("The call does not exist.")
    call: tables.Call = row.Call
    events = await _rows(uow, tables.CallEvent, call_id, tables.CallEvent.at, tables.CallEvent.id)
    ladder = sorted(
        (event for event in events if event.kind == "sip"),
        key=lambda event: (event.at, event.detail.get("index", 0)),
    )
    recordings = await _rows(uow, Recording, call_id, Recording.attempt)
    tools = await _rows(uow, tables.ToolCall, call_id, tables.ToolCall.created_at)
    turns = await _rows(uow, tables.Turn, call_id, tables.Turn.attempt, tables.Turn.index)
    segments: Sequence[Any] = ()
    if with_words:
        segments = await _rows(
            uow,
            tables.TranscriptSegment,
            call_id,
            tables.TranscriptSegment.attempt,
            tables.TranscriptSegment.starts_ms,
            tables.TranscriptSegment.index,
        )
    found = CallDetail.model_validate(
        _fields(row)
        | {
            "agent_version_id": call.agent_version_id,
            "number_id": call.number_id,
            "trunk_id": call.trunk_id,
            "ended_by": call.ended_by,
            "q850_cause": call.q850_cause,
            "sip_status": call.sip_status,
            "attempt": call.attempt,
            "quality": call.quality,
            "turn_list": [_turn(turn, with_words) for turn in turns],
            "segments": [ShownSegment.model_validate(each, from_attributes=True) for each in segments],
            "tool_calls": [_tool(each, with_words) for each in tools],
            "events": [_event(each) for each in events if each.kind != "sip"],
            "ladder": [_event(each) for each in ladder],
            "notes": await notes_of(uow, call_id) if with_words else [],
            "recordings": [_recording(each) for each in recordings],
            "booking_ids": await _ids(uow, Booking, call_id),
            "order_ids": await _ids(uow, Order, call_id),
            "transcript_shown": with_words,
        }
    )
    return with_masks(found, (await settings_of(uow)).redaction.kinds)


async def live_calls(uow: UnitOfWork, actor: Actor, limit: int = 100) -> list[CallLine]:
    """The calls that last at this moment, the newest first."""
    return (await search(uow, actor, CallFilter(live=True), limit=limit)).items


async def _rows(uow: UnitOfWork, table: type[Any], call_id: UUID, *order: Any) -> Sequence[Any]:
    found = await uow.session.scalars(
        select(table).where(table.call_id == call_id).order_by(*order).limit(_DETAIL_ROWS)
    )
    return found.all()


async def _ids(uow: UnitOfWork, table: type[Any], call_id: UUID) -> list[UUID]:
    return list(
        await uow.session.scalars(select(table.id).where(table.call_id == call_id).order_by(table.id))
    )


def _turn(turn: tables.Turn, with_words: bool) -> ShownTurn:
    return ShownTurn(
        attempt=turn.attempt,
        index=turn.index,
        caller_text=turn.caller_text if with_words else None,
        agent_text=turn.agent_text if with_words else None,
        started_at=turn.started_at,
        interrupted=turn.interrupted,
        stamps=turn.stamps,
    )


def _tool(each: tables.ToolCall, with_words: bool) -> ShownToolCall:
    result = each.result
    return ShownToolCall(
        action=each.action,
        at=each.created_at,
        finished_at=each.finished_at,
        ok=cast("bool | None", result.get("ok")) if result else None,
        arguments=each.arguments if with_words else None,
        result=result if with_words else None,
    )


def _event(event: tables.CallEvent) -> ShownEvent:
    return ShownEvent(at=event.at, kind=event.kind, detail=event.detail)


def _recording(each: Recording) -> ShownRecording:
    return ShownRecording.model_validate(
        {
            "id": each.id,
            "attempt": each.attempt,
            "state": each.state,
            "seconds": each.seconds,
            "size_bytes": each.size_bytes,
            "stored_at": each.stored_at,
            "deleted": each.wrapped_data_key is None,
        }
    )


async def count_live(uow: UnitOfWork, actor: Actor) -> int:
    """How many calls last at this moment."""
    actor.must(Right.OVERVIEW_READ)
    return await uow.session.scalar(select(func.count()).where(tables.Call.ended_at.is_(None))) or 0
