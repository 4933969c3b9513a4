"""Which calls are meant: the conditions of a filter, and the indexes that answer for words and numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Uuid,
    any_,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from appliance.agents.tables import Agent, AgentVersion
from appliance.calls import tables
from appliance.calls.archive_domain import CallFilter, CallLine
from appliance.calls.archive_tables import CallSummary
from appliance.database.paging import Listed, encode_cursor
from appliance.database.unit_of_work import UnitOfWork
from appliance.recordings.tables import Recording

_NOT_OF_A_NUMBER = re.compile(r"[^0-9+*#]+")
_CANDIDATES = 1000
"""So many calls that an index gives are asked for what else is wanted, for one page."""
_RECORDED = exists().where(Recording.call_id == tables.Call.id, Recording.state == "stored")


async def versions_of(uow: UnitOfWork, agent_id: UUID | None) -> list[UUID] | None:
    """Asked first, so that the planner knows how many calls they have; None: no agent was asked for."""
    if agent_id is None:
        return None
    return list(await uow.session.scalars(select(AgentVersion.id).where(AgentVersion.agent_id == agent_id)))


def page_statement(
    wanted: CallFilter, versions: list[UUID] | None, after: tuple[datetime, UUID] | None, limit: int
) -> Any:
    call = tables.Call
    statement = call_lines().where(*_conditions(wanted, versions))
    if after is not None:
        statement = statement.where(tuple_(call.created_at, call.id) < tuple_(*after))
    return statement.order_by(call.created_at.desc(), call.id.desc()).limit(limit + 1)


def call_lines() -> Any:
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


def number_part(wanted: CallFilter) -> str:
    """What of a number was asked for: its digits, or the name of a softphone as it was written."""
    return _NOT_OF_A_NUMBER.sub("", wanted.number) or wanted.number.strip()


def _conditions(wanted: CallFilter, versions: list[UUID] | None) -> list[ColumnElement[bool]]:
    call = tables.Call
    found: list[ColumnElement[bool]] = []
    if part := number_part(wanted):
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


@dataclass(frozen=True)
class _Candidate:
    """A call that an index gave; `matches` False: it has the words, but not as they were asked for."""

    call_id: UUID
    at: datetime
    matches: bool


async def by_index(
    uow: UnitOfWork,
    function: Literal["calls_with_words", "calls_with_number"],
    sought: str,
    wanted: CallFilter,
    versions: list[UUID] | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Listed[CallLine]:
    """Asks an index for the newest calls, and what else is asked of those.

    With other conditions a page looks at so many calls of the index at most; it may be short then.
    """
    plain = not _conditions(_beside(wanted, function), versions)
    found: list[_Candidate] = []
    for most in (limit + 1, _CANDIDATES):
        candidates = await _candidates(uow, function, sought, wanted, after, most)
        matching = [each for each in candidates if each.matches]
        found += matching if plain else await _fitting(uow, matching, wanted, versions, limit + 1)
        if len(found) > limit or len(candidates) < most:
            break
        after = candidates[-1].at, candidates[-1].call_id
    lines = await _lines_of(uow, [each.call_id for each in found[:limit]])
    if len(found) > limit:
        return Listed(items=lines, next_cursor=encode_cursor(found[limit - 1].at, found[limit - 1].call_id))
    if len(candidates) < most or after is None:
        return Listed(items=lines)
    return Listed(items=lines, next_cursor=encode_cursor(*after))


def _beside(wanted: CallFilter, function: str) -> CallFilter:
    """What the index has not answered already."""
    done = {"since": None, "until": None}
    return wanted.model_copy(update=done if function == "calls_with_words" else done | {"number": ""})


async def _candidates(
    uow: UnitOfWork,
    function: Literal["calls_with_words", "calls_with_number"],
    sought: str,
    wanted: CallFilter,
    after: tuple[datetime, UUID] | None,
    most: int,
) -> list[_Candidate]:
    """The newest calls of the index behind a place in the list, in their order."""
    at, row_id = after or (None, None)
    found = getattr(func, function)(sought, wanted.since, wanted.until, at, row_id, most)
    columns = found.table_valued("call_id", "call_created_at", "matches").c
    with_words = function == "calls_with_words"
    rows = await uow.session.execute(
        select(columns.call_id, columns.call_created_at, columns.matches if with_words else literal(True))
    )
    return [_Candidate(*row) for row in rows]


async def _fitting(
    uow: UnitOfWork,
    candidates: list[_Candidate],
    wanted: CallFilter,
    versions: list[UUID] | None,
    most: int,
) -> list[_Candidate]:
    """The first of them that meet the other conditions."""
    call = tables.Call
    statement = select(call.id).where(
        call.id == any_(literal([each.call_id for each in candidates], ARRAY(Uuid())))
    )
    if wanted.min_latency_ms is not None:
        statement = statement.join(CallSummary, CallSummary.call_id == call.id)
    fitting = set(await uow.session.scalars(statement.where(*_conditions(wanted, versions))))
    return [each for each in candidates if each.call_id in fitting][:most]


async def _lines_of(uow: UnitOfWork, call_ids: list[UUID]) -> list[CallLine]:
    call = tables.Call
    rows = await uow.session.execute(
        call_lines().where(call.id.in_(call_ids)).order_by(call.created_at.desc(), call.id.desc())
    )
    return [call_line(row) for row in rows]


def call_line(row: Row[Any]) -> CallLine:
    return CallLine.model_validate(line_fields(row))


def line_fields(row: Row[Any]) -> dict[str, Any]:
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
