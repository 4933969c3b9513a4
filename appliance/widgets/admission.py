"""Admission of a visitor: the lock and the limits of telephone calls, and those of the widget.

The tool API alone admits; the console makes the room afterwards (docs/architecture.md, Contracts 1 and 2).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.agents.tables import Agent
from appliance.calls import tables
from appliance.calls.admission import LOCK, refused_full, room_of
from appliance.calls.browser_admission import browser_admission, browser_ticket
from appliance.calls.domain import Admission, AdmissionRefused
from appliance.calls.routing import PublishedAgent, organization_of, published_agent
from appliance.calls.tokens import CallTokens
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations.settings_service import settings_of
from appliance.organizations.tables import Box
from appliance.settings import Settings
from appliance.usage.service import measured_usage
from appliance.widgets.domain import AGENT_LIMIT, NOT_PUBLISHED, QUOTA_REACHED, VISITOR_LIMIT, WebCallRequest
from appliance.widgets.tables import Widget, WidgetSession
from appliance.widgets.visits import close, is_over_limit

log = structlog.get_logger()
TICKET_LIFETIME = timedelta(minutes=2)
"""To enter the room; once inside, LiveKit itself renews what a reconnection needs."""
_ENDS_AFTER = timedelta(minutes=2)
_DIGESTS_KEPT = timedelta(days=1)
_RETRY_VISITOR_SECONDS = 600
_RETRY_AGENT_SECONDS = 30


class WebCalls:
    """Admits visitors for one process of the tool API. Engines and tokens are lent, not owned."""

    def __init__(self, settings: Settings, *, app: AsyncEngine, tokens: CallTokens) -> None:
        self._settings = settings
        self._app = app
        self._tokens = tokens
        self._turn = asyncio.Lock()

    async def admit(self, request: WebCallRequest, now: datetime) -> Admission:
        """A place, or AdmissionRefused: 503 with `code` visitor_limit, agent_limit, quota_reached or
        at_capacity, 404 with not_published. NotFound for a widget that is gone or switched off."""
        organization_id = request.organization_id
        async with UnitOfWork(self._app, organization_id) as uow:
            await _check_quota(uow, now)
            await _forget_visitors(uow, now)
        call_id = uuid7()
        async with self._turn, UnitOfWork(self._app, organization_id) as uow:
            await uow.lock(LOCK)
            widget = await uow.session.get(Widget, request.widget_id)
            if widget is None or not widget.enabled or not getattr(widget, request.mode):
                raise NotFound("There is no such widget.")
            agent = await _answering(uow, widget.agent_id)
            await _give_back_overdue(uow, now)
            await _check_places(uow, widget, request, now)
            seconds = min(agent.snapshot.limits.max_duration_seconds, widget.max_duration_seconds)
            await _take_place(uow, call_id, widget, agent, request, seconds, now)
        log.info("web call admitted", call_id=str(call_id), mode=request.mode)
        ticket = browser_ticket(
            self._settings,
            call_id,
            lifetime=TICKET_LIFETIME,
            speaks=request.mode == "voice",
            mode=request.mode,
        )
        return browser_admission(
            self._settings,
            self._tokens,
            call_id=call_id,
            organization_id=organization_id,
            snapshot=agent.snapshot,
            ticket=ticket,
            seconds=seconds,
            now=now,
        )


async def _answering(uow: UnitOfWork, agent_id: UUID) -> PublishedAgent:
    agent = await uow.session.get(Agent, agent_id)
    published = await published_agent(uow, agent_id)
    if agent is None or agent.archived_at is not None or published is None:
        raise AdmissionRefused("The agent does not answer.", sip_status=404, code=NOT_PUBLISHED)
    return published


async def _check_quota(uow: UnitOfWork, now: datetime) -> None:
    """Anonymous visitors are the first to be refused when the month's minutes are used up."""
    quota = (await settings_of(uow)).quota.minutes_per_month
    if quota and (await measured_usage(uow, None, now)).minutes >= quota:
        raise AdmissionRefused(
            "The organization's minutes of this month are used up.", sip_status=503, code=QUOTA_REACHED
        )


async def _give_back_overdue(uow: UnitOfWork, now: datetime) -> None:
    """Sessions whose browser and worker were both lost."""
    overdue = await uow.session.scalars(
        select(WidgetSession.call_id)
        .join(tables.Call, tables.Call.id == WidgetSession.call_id)
        .where(tables.Call.ended_at.is_(None), WidgetSession.ends_by < now)
        .limit(100)
    )
    for call_id in overdue.all():
        await close(uow, call_id, "bridge", now)


async def _forget_visitors(uow: UnitOfWork, now: datetime) -> None:
    """Digests that no limit needs any more."""
    await uow.session.execute(
        update(WidgetSession)
        .where(WidgetSession.created_at < now - _DIGESTS_KEPT, WidgetSession.visitor.is_not(None))
        .values(visitor=None, address=None)
    )


async def _check_places(uow: UnitOfWork, widget: Widget, request: WebCallRequest, now: datetime) -> None:
    """AdmissionRefused when the box, the organization, the agent or the visitor is at the limit."""
    if await is_over_limit(uow, widget, request.visitor, request.address, now):
        raise _refused("This visitor has had enough sessions for now.", VISITOR_LIMIT, _RETRY_VISITOR_SECONDS)
    organization = await organization_of(uow)
    call, session = tables.Call, WidgetSession
    counted = await uow.session.execute(
        select(
            func.box_calls_in_progress().label("of_box"),
            select(Box.capacity).scalar_subquery().label("capacity"),
            func.count().label("of_organization"),
            func.count().filter(session.agent_id == widget.agent_id).label("of_agent"),
        )
        .select_from(call)
        .outerjoin(session, session.call_id == call.id)
        .where(call.ended_at.is_(None))
    )
    row: Any = counted.one()
    if row.of_agent >= widget.max_sessions:
        raise _refused("The agent speaks with as many visitors as it may.", AGENT_LIMIT, _RETRY_AGENT_SECONDS)
    if row.of_box >= (row.capacity or 0):
        raise refused_full(None, "The box")
    if row.of_organization >= organization.max_calls:
        raise refused_full(None, "The organization")


def _refused(message: str, code: str, retry_after_seconds: int) -> AdmissionRefused:
    return AdmissionRefused(message, sip_status=503, code=code, retry_after_seconds=retry_after_seconds)


async def _take_place(
    uow: UnitOfWork,
    call_id: UUID,
    widget: Widget,
    agent: PublishedAgent,
    request: WebCallRequest,
    seconds: int,
    now: datetime,
) -> None:
    await uow.session.execute(
        insert(tables.Call).values(
            id=call_id,
            organization_id=request.organization_id,
            agent_version_id=agent.version_id,
            direction="web",
            room_name=room_of(call_id),
            caller="",
            caller_name=f"Visitor of {urlsplit(request.origin).netloc}",
            called="",
            status="admitted",
            attempt=1,
            created_at=now,
            last_news_at=now,
        )
    )
    uow.session.add(
        WidgetSession(
            organization_id=request.organization_id,
            widget_id=widget.id,
            call_id=call_id,
            agent_id=widget.agent_id,
            mode=request.mode,
            origin=request.origin,
            visitor=request.visitor,
            address=request.address,
            created_at=now,
            ends_by=now + timedelta(seconds=seconds) + _ENDS_AFTER,
        )
    )
