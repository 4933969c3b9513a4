"""A test call from the browser: a member talks to a draft before it is published.

It takes a place like any other call, and the browser stands where the bridge stands: it joins the room as the
caller, active from the first moment, and answers the worker's hang-up and transfer itself.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.agents.tables import Agent
from appliance.calls import tables
from appliance.calls.admission import LOCK, refused_full, room_of
from appliance.calls.browser_admission import browser_admission, browser_ticket
from appliance.calls.domain import Admission, BrowserCallRequest
from appliance.calls.routing import organization_of
from appliance.calls.tokens import CallTokens
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations.tables import Box
from appliance.settings import Settings

log = structlog.get_logger()
MAX_TEST_SECONDS = 900
_TICKET_SLACK = timedelta(minutes=5)


class BrowserCalls:
    """Admits test calls for one process of the tool API. Engines and tokens are lent, not owned."""

    def __init__(self, settings: Settings, *, app: AsyncEngine, tokens: CallTokens) -> None:
        self._settings = settings
        self._app = app
        self._tokens = tokens
        self._turn = asyncio.Lock()

    async def admit(self, request: BrowserCallRequest, now: datetime) -> Admission:
        """A place, counted under the same lock as telephone calls.

        NotFound for an unknown agent, AdmissionRefused (503) when the organization or the box is full.
        """
        snapshot = request.snapshot
        seconds = min(snapshot.limits.max_duration_seconds, MAX_TEST_SECONDS)
        call_id = uuid7()
        async with self._turn, UnitOfWork(self._app, request.organization_id) as uow:
            await uow.lock(LOCK)
            if await uow.session.get(Agent, request.agent_id) is None:
                raise NotFound("The agent does not exist.")
            await _check_places(uow)
            await uow.session.execute(
                insert(tables.Call).values(
                    id=call_id,
                    organization_id=request.organization_id,
                    direction="test",
                    room_name=room_of(call_id),
                    caller="",
                    caller_name=request.caller_name or None,
                    called="",
                    status="admitted",
                    attempt=1,
                    created_at=now,
                    last_news_at=now,
                    test_agent_id=request.agent_id,
                    test_snapshot=snapshot.model_dump(mode="json"),
                )
            )
        log.info("test call admitted", call_id=str(call_id))
        return browser_admission(
            self._settings,
            self._tokens,
            call_id=call_id,
            organization_id=request.organization_id,
            snapshot=snapshot,
            ticket=browser_ticket(
                self._settings, call_id, lifetime=timedelta(seconds=seconds) + _TICKET_SLACK
            ),
            seconds=seconds,
            now=now,
        )


async def _check_places(uow: UnitOfWork) -> None:
    """AdmissionRefused when the box or the organization is at its limit."""
    organization = await organization_of(uow)
    counted = await uow.session.execute(
        select(
            func.box_calls_in_progress().label("of_box"),
            select(Box.capacity).scalar_subquery().label("capacity"),
            func.count().label("of_organization"),
        )
        .select_from(tables.Call)
        .where(tables.Call.ended_at.is_(None))
    )
    row = counted.one()
    if row.of_box >= (row.capacity or 0):
        raise refused_full(None, "The box")
    if row.of_organization >= organization.max_calls:
        raise refused_full(None, "The organization")
