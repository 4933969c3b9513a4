"""What becomes of a call after admission: progress, loss of its agent, its end, places nobody gave back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls import tables
from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import Ended, Outcome, Progress, Redispatch
from appliance.calls.states import FINAL, after_progress
from appliance.calls.tokens import LIFETIME, CallTokens
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.webhooks.outbox import announce

STALE_AFTER = timedelta(minutes=5)
"""A call that rings and of which nothing is heard for so long is given up."""
STALE_AFTER_FINISH = timedelta(minutes=2)
"""The worker has finished and the bridge tells nothing: it died with the call."""
STALE_ANSWERED = LIFETIME + timedelta(minutes=15)
"""No call lasts longer than its token."""


async def organization_of_call(router: AsyncEngine, call_id: UUID) -> UUID:
    """Whose call it is. NotFound when there is none."""
    async with UnitOfWork(router, None) as uow:
        found = await uow.session.scalar(select(tables.Call.organization_id).where(tables.Call.id == call_id))
    if found is None:
        raise NotFound("The call does not exist.")
    return found


async def locked_call(uow: UnitOfWork, call_id: UUID) -> tables.Call:
    """The call's row, held until the transaction ends. NotFound when there is none for this organization."""
    found = await uow.session.scalar(select(tables.Call).where(tables.Call.id == call_id).with_for_update())
    if found is None:
        raise NotFound("The call does not exist.")
    return found


def record_event(
    uow: UnitOfWork, call: tables.Call, at: datetime, kind: str, detail: dict[str, Any] | None = None
) -> None:
    uow.session.add(
        tables.CallEvent(
            organization_id=call.organization_id, call_id=call.id, at=at, kind=kind, detail=detail or {}
        )
    )


async def progress(uow: UnitOfWork, call_id: UUID, news: Progress, now: datetime) -> None:
    """Records a piece of news; a repetition of it changes nothing."""
    call = await locked_call(uow, call_id)
    call.last_news_at = max(call.last_news_at, now)
    repeated = await uow.session.scalar(
        select(tables.CallEvent.id)
        .where(tables.CallEvent.call_id == call_id)
        .where(tables.CallEvent.kind == news.status, tables.CallEvent.at == news.at)
        .limit(1)
    )
    if repeated is not None:
        return
    record_event(uow, call, news.at, news.status, _detail(news.detail))
    if news.status == "answered" and call.answered_at is None:
        call.answered_at = news.at
        await announce(uow, "call.started", f"calls/{call_id}", _told(call))
    call.status = after_progress(_status(call), news.status)


async def redispatch(uow: UnitOfWork, call_id: UUID, tokens: CallTokens, now: datetime) -> Redispatch:
    """The ticket of the next attempt. Conflict when the call is over."""
    call = await locked_call(uow, call_id)
    if _status(call) in FINAL:
        raise Conflict("The call is over.", code="call_ended")
    call.attempt += 1
    call.last_news_at = now
    record_event(uow, call, now, "redispatched", {"attempt": call.attempt})
    metadata = DispatchMetadata(
        call_id=call_id,
        organization_id=call.organization_id,
        call_token=tokens.mint(call_id, call.organization_id, call.attempt, now),
        attempt=call.attempt,
    )
    return Redispatch(dispatch_metadata=metadata.encode(), attempt=call.attempt)


async def ended(uow: UnitOfWork, call_id: UUID, report: Ended, now: datetime) -> None:
    """The end of the call's legs. Repeated: the first report stays.

    It may come before or after the worker's `Finish`. The worker knows better why the call ended, the bridge
    when and how; so this fills what the worker leaves open and never overwrites what it said.
    """
    call = await locked_call(uow, call_id)
    if call.status == "ended":
        return
    call.status = "ended"
    call.last_news_at = max(call.last_news_at, now)
    call.ended_at = report.at
    call.answered_at = report.answered_at or call.answered_at
    call.q850_cause = report.q850_cause
    call.sip_status = report.sip_status
    call.quality = {leg: quality.model_dump(mode="json") for leg, quality in report.quality.items()}
    if call.finished_at is None:
        call.ended_by = report.hangup_party
        # Stays when no worker lives to report; a report that still comes replaces it.
        call.outcome = _outcome_without_worker(report)
    await announce(uow, "call.ended", f"calls/{call_id}", _told(call))
    record_event(
        uow, call, report.at, "ended", {"party": report.hangup_party, "q850_cause": report.q850_cause}
    )
    for index, entry in enumerate(report.ladder):
        record_event(
            uow,
            call,
            entry.at,
            "sip",
            {
                "index": index,  # messages of the same instant keep their order
                "leg": entry.leg,
                "direction": entry.direction,
                "method_or_status": entry.method_or_status,
                **({"detail": entry.detail} if entry.detail is not None else {}),
            },
        )


async def release_stale(router: AsyncEngine, app: AsyncEngine, now: datetime) -> list[UUID]:
    """Gives back the places of calls that nobody will end any more; returns their ids.

    A late `ended` or `finish` still fills the row.
    """
    call = tables.Call
    live = call.ended_at.is_(None)
    never_answered = and_(call.answered_at.is_(None), call.last_news_at < now - STALE_AFTER)
    finished = and_(
        call.finished_at < now - STALE_AFTER_FINISH,
        call.last_news_at < now - STALE_AFTER_FINISH,
        call.status != "transferring",
    )
    too_long = call.last_news_at < now - STALE_ANSWERED
    stale = and_(live, or_(never_answered, finished, too_long))
    async with UnitOfWork(router, None) as uow:
        rows = await uow.session.execute(select(call.id, call.organization_id).where(stale).limit(500))
        found = [(row.id, row.organization_id) for row in rows]
    released: list[UUID] = []
    for call_id, organization_id in found:
        async with UnitOfWork(app, organization_id) as uow:
            row = await uow.session.scalar(
                select(call).where(call.id == call_id).where(stale).with_for_update(skip_locked=True)
            )
            if row is None:
                continue
            with_a_person = row.outcome == "transferred" and row.answered_at is not None
            if with_a_person and row.last_news_at >= now - STALE_ANSWERED:
                continue
            row.status = "abandoned"
            row.ended_at = now
            row.outcome = row.outcome or "failed"
            record_event(uow, row, now, "abandoned")
            await announce(uow, "call.ended", f"calls/{call_id}", _told(row))
            released.append(call_id)
    return released


def _outcome_without_worker(report: Ended) -> Outcome:
    return "caller_hung_up" if report.hangup_party == "caller" else "failed"


def _detail(detail: dict[str, Any] | str | None) -> dict[str, Any]:
    if detail is None:
        return {}
    return detail if isinstance(detail, dict) else {"text": detail}


def _told(call: tables.Call) -> dict[str, Any]:
    """For webhooks: identifiers and plain facts; who called is asked of the API."""
    return {
        "call_id": str(call.id),
        "direction": call.direction,
        "status": call.status,
        "outcome": call.outcome,
        "agent_version_id": str(call.agent_version_id) if call.agent_version_id else None,
        "answered_at": call.answered_at.isoformat() if call.answered_at else None,
        "ended_at": call.ended_at.isoformat() if call.ended_at else None,
    }


def _status(call: tables.Call) -> Any:
    return call.status
