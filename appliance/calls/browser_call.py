"""A test call from the browser: a member talks to a draft before it is published.

It takes a place like any other call, and the browser stands where the bridge stands: it joins the room as the
caller, active from the first moment, and answers the worker's hang-up and transfer itself.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from livekit import api
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.agents.tables import Agent
from appliance.calls import tables
from appliance.calls.admission import LOCK, refused_full, room_of
from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import Admission, AdmissionEscalation, AdmissionLimits, BrowserCallRequest
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
        metadata = DispatchMetadata(
            call_id=call_id,
            organization_id=request.organization_id,
            call_token=self._tokens.mint(call_id, request.organization_id, 1, now),
            attempt=1,
        )
        return Admission(
            call_id=call_id,
            organization_id=request.organization_id,
            room_name=room_of(call_id),
            participant_identity=f"sip-{call_id}",
            participant_token=self._ticket(call_id, seconds),
            agent_name=self._settings.worker.agent_name,
            dispatch_metadata=metadata.encode(),
            limits=AdmissionLimits(max_duration_seconds=seconds),
            language=snapshot.language,
            escalation=AdmissionEscalation(target=snapshot.escalation.target),
        )

    def _ticket(self, call_id: UUID, seconds: int) -> str:
        """The browser's LiveKit token: this room alone, a microphone and nothing else."""
        rooms = self._settings.rooms
        grants = api.VideoGrants(
            room_join=True,
            room=room_of(call_id),
            can_publish=True,
            can_publish_sources=["microphone"],
            can_subscribe=True,
            can_publish_data=True,
            can_update_own_metadata=False,
        )
        attributes = {
            "sip.callID": str(call_id),
            "sip.callStatus": "active",
            "trunkline.held": "false",
            "trunkline.attempt": "1",
        }
        return (
            api.AccessToken(rooms.api_key, rooms.api_secret.reveal())
            .with_identity(f"sip-{call_id}")
            .with_grants(grants)
            .with_attributes(attributes)
            .with_ttl(timedelta(seconds=seconds) + _TICKET_SLACK)
            .to_jwt()
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
