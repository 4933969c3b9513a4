"""Finding calls again: the list, and all that is known of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import func, select

from appliance.access.domain import Actor, Right
from appliance.calls import tables
from appliance.calls.archive_domain import (
    CallDetail,
    CallFilter,
    CallLine,
    Shown,
    ShownEvent,
    ShownRecording,
    ShownSegment,
    ShownToolCall,
    ShownTurn,
)
from appliance.calls.finding import call_lines, line_fields, search_page, versions_of
from appliance.calls.masking import with_masks
from appliance.calls.notes import notes_of
from appliance.database.paging import (
    DEFAULT_LIMIT,
    Listed,
    checked_limit,
    decode_cursor,
)
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations.settings_service import settings_of
from appliance.recordings.tables import Recording
from appliance.scheduling.tables import Booking, Order

_DETAIL_ROWS = 20_000
_UNSAID = {"caller_text": None, "agent_text": None}


async def search(
    uow: UnitOfWork,
    actor: Actor,
    wanted: CallFilter,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[CallLine]:
    """The calls, the newest first. A search may answer a short page, even an empty one, that has a next one.

    NotAllowed when words are searched by who may not read transcripts; InvalidInput for a wrong cursor.
    """
    actor.must(Right.CALLS_READ)
    checked_limit(limit)
    after = decode_cursor(cursor) if cursor else None
    if wanted.text.strip():
        actor.must(Right.TRANSCRIPTS_READ)
    return await search_page(uow, wanted, await versions_of(uow, wanted.agent_id), after, limit)


async def detail(uow: UnitOfWork, actor: Actor, call_id: UUID) -> CallDetail:
    """All that is known of a call. Words, and what tools were told, only for who may read transcripts."""
    actor.must(Right.CALLS_READ)
    return await call_detail(uow, call_id, with_words=actor.may(Right.TRANSCRIPTS_READ))


async def call_detail(uow: UnitOfWork, call_id: UUID, *, with_words: bool) -> CallDetail:
    """As `detail`, without asking who: for a share link, whose opening was allowed by who made it."""
    row = (await uow.session.execute(call_lines().where(tables.Call.id == call_id))).one_or_none()
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
    turn, segment = tables.Turn, tables.TranscriptSegment
    turns = await _fields_of(uow, turn, ShownTurn, call_id, turn.attempt, turn.index)
    segments: list[dict[str, Any]] = []
    if with_words:
        order = (segment.attempt, segment.starts_ms, segment.index)
        segments = await _fields_of(uow, segment, ShownSegment, call_id, *order)
    found = CallDetail.model_validate(
        line_fields(row)
        | {
            "agent_version_id": call.agent_version_id,
            "number_id": call.number_id,
            "trunk_id": call.trunk_id,
            "ended_by": call.ended_by,
            "q850_cause": call.q850_cause,
            "sip_status": call.sip_status,
            "attempt": call.attempt,
            "quality": call.quality,
            "turn_list": turns if with_words else [each | _UNSAID for each in turns],
            "segments": segments,
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


async def _fields_of(
    uow: UnitOfWork, table: type[Any], shown: type[Shown], call_id: UUID, *order: Any
) -> list[dict[str, Any]]:
    """What is shown of each row alone: of a call of two hours there are thousands."""
    columns = [getattr(table, name).label(name) for name in shown.model_fields]
    found = await uow.session.execute(
        select(*columns).where(table.call_id == call_id).order_by(*order).limit(_DETAIL_ROWS)
    )
    return [dict(row) for row in found.mappings()]


async def _ids(uow: UnitOfWork, table: type[Any], call_id: UUID) -> list[UUID]:
    return list(
        await uow.session.scalars(select(table.id).where(table.call_id == call_id).order_by(table.id))
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
