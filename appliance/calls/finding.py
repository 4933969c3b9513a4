"""Which calls are meant: the conditions of a filter, and the indexes that answer for words and numbers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
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
from appliance.database.paging import Listed, encode_cursor, one_page
from appliance.database.unit_of_work import UnitOfWork
from appliance.recordings.tables import Recording

_NOT_OF_A_NUMBER = re.compile(r"[^0-9+*#]+")
_IN_THE_INDEX = re.compile(r"[^\W_]{3}")
"""The index of numbers knows groups of three signs."""
_CANDIDATES = 1000
"""So many calls that an index gives are asked for what else is wanted, for one page."""
_RECORDED = exists().where(Recording.call_id == tables.Call.id, Recording.state == "stored")


async def versions_of(uow: UnitOfWork, agent_id: UUID | None) -> list[UUID] | None:
    """Asked first, so that the planner knows how many calls they have; None: no agent was asked for."""
    if agent_id is None:
        return None
    return list(await uow.session.scalars(select(AgentVersion.id).where(AgentVersion.agent_id == agent_id)))


def _page_statement(
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


Source = Callable[["tuple[datetime, UUID] | None", int], Awaitable[list[_Candidate]]]
"""Gives the newest calls behind a place in the list, at most so many, in their order."""


async def search_page(
    uow: UnitOfWork,
    wanted: CallFilter,
    versions: list[UUID] | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Listed[CallLine]:
    """One page. What has an index of its own is asked of it, what else is wanted of the calls that it gives.

    Of those a page looks at a bounded number, so that no combination reads a whole archive; it may be short
    then, and has a next one.
    """
    number, slow = number_part(wanted), wanted.min_latency_ms is not None
    timeless = wanted.model_copy(update={"since": None, "until": None})
    if wanted.text.strip():
        source = partial(_by_function, uow, "calls_with_words", wanted.text, wanted)
        return await _page_of(uow, source, timeless, versions, after, limit)
    if _IN_THE_INDEX.search(number):
        source = partial(_by_function, uow, "calls_with_number", number, wanted)
        rest = timeless.model_copy(update={"number": ""})
        return await _page_of(uow, source, rest, versions, after, limit)
    unhurried = timeless.model_copy(update={"min_latency_ms": None})
    if slow and (not _conditions(unhurried, versions) or await _few_are_slow(uow, wanted)):
        return await _page_of(uow, partial(_slow, uow, wanted), unhurried, versions, after, limit)
    if slow or number:
        rest = CallFilter(number=wanted.number, min_latency_ms=wanted.min_latency_ms)
        plain = wanted.model_copy(update={"number": "", "min_latency_ms": None})
        return await _page_of(uow, partial(_newest, uow, plain, versions), rest, None, after, limit)
    rows = (await uow.session.execute(_page_statement(wanted, versions, after, limit))).all()
    return one_page(rows, limit, lambda row: (row.Call.created_at, row.Call.id), call_line)


async def _page_of(
    uow: UnitOfWork,
    source: Source,
    rest: CallFilter,
    versions: list[UUID] | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Listed[CallLine]:
    """`rest`: what the source has not asked already."""
    plain = not _conditions(rest, versions)
    found: list[_Candidate] = []
    candidates: list[_Candidate] = []
    most = limit + 1
    for most in (limit + 1, _CANDIDATES) if plain else (_CANDIDATES,):
        candidates = await source(after, most)
        matching = [each for each in candidates if each.matches]
        found += matching if plain else await _fitting(uow, matching, rest, versions, limit + 1)
        if len(found) > limit or len(candidates) < most:
            break
        after = candidates[-1].at, candidates[-1].call_id
    lines = await _lines_of(uow, [each.call_id for each in found[:limit]])
    if len(found) > limit:
        return Listed(items=lines, next_cursor=encode_cursor(found[limit - 1].at, found[limit - 1].call_id))
    if len(candidates) < most or after is None:
        return Listed(items=lines)
    return Listed(items=lines, next_cursor=encode_cursor(*after))


async def _by_function(
    uow: UnitOfWork,
    function: Literal["calls_with_words", "calls_with_number"],
    sought: str,
    wanted: CallFilter,
    after: tuple[datetime, UUID] | None,
    most: int,
) -> list[_Candidate]:
    at, row_id = after or (None, None)
    found = getattr(func, function)(sought, wanted.since, wanted.until, at, row_id, most)
    columns = found.table_valued("call_id", "call_created_at", "matches").c
    rows = await uow.session.execute(select(columns.call_id, columns.call_created_at, columns.matches))
    return [_Candidate(*row) for row in rows]


async def _slow(
    uow: UnitOfWork, wanted: CallFilter, after: tuple[datetime, UUID] | None, most: int
) -> list[_Candidate]:
    """Calls with slow turns."""
    row = CallSummary
    statement = select(row.call_id, row.call_created_at).where(row.latency_p95_ms >= wanted.min_latency_ms)
    if wanted.since is not None:
        statement = statement.where(row.call_created_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(row.call_created_at < wanted.until)
    if after is not None:
        statement = statement.where(tuple_(row.call_created_at, row.call_id) < tuple_(*after))
    statement = statement.order_by(row.call_created_at.desc(), row.call_id.desc()).limit(most)
    return [_Candidate(each[0], each[1], True) for each in await uow.session.execute(statement)]


async def _few_are_slow(uow: UnitOfWork, wanted: CallFilter) -> bool:
    """Whether a page can look at all of them."""
    some = (
        select(CallSummary.call_id)
        .where(CallSummary.latency_p95_ms >= wanted.min_latency_ms)
        .limit(_CANDIDATES)
        .subquery()
    )
    return (await uow.session.scalar(select(func.count()).select_from(some)) or 0) < _CANDIDATES


async def _newest(
    uow: UnitOfWork,
    plain: CallFilter,
    versions: list[UUID] | None,
    after: tuple[datetime, UUID] | None,
    most: int,
) -> list[_Candidate]:
    """Calls by facts of their own row alone."""
    call = tables.Call
    statement = select(call.id, call.created_at).where(*_conditions(plain, versions))
    if after is not None:
        statement = statement.where(tuple_(call.created_at, call.id) < tuple_(*after))
    statement = statement.order_by(call.created_at.desc(), call.id.desc()).limit(most)
    return [_Candidate(each[0], each[1], True) for each in await uow.session.execute(statement)]


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
