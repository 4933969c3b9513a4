"""Admission: who may take a place on the box, and the ticket that goes with it.

All places are counted and taken in one transaction under one lock of the whole box (see the ADR): thirty
INVITEs in the same second at a limit of five get exactly five places.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from livekit import api
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls import tables
from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import (
    Admission,
    AdmissionEscalation,
    AdmissionLimits,
    AdmissionRefused,
    AdmissionRequest,
    Dial,
    Direction,
    OutboundRequest,
)
from appliance.calls.routing import (
    PublishedAgent,
    Route,
    check_closed,
    inbound_route,
    organization_of,
    outbound_route,
    published_agent,
)
from appliance.calls.tokens import CallTokens
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import InvalidInput
from appliance.organizations.tables import Box, Organization
from appliance.settings import Settings
from appliance.telephony.numbers import candidates, dialable, normalised, region_of
from appliance.telephony.tables import Trunk

log = structlog.get_logger()
RING_TIMEOUT_SECONDS = 45
RETRY_AFTER_SECONDS = 10
LOCK = "admission"
_HOME_SECONDS = 30.0
_HOMES_KEPT = 1000
_TICKET_SLACK = timedelta(minutes=15)
"""The participant's token outlasts the call: a reconnection in its last minute must still be let in."""


@dataclass(frozen=True)
class _Leg:
    """The other side of the call and how it is told in the room."""

    direction: Direction
    caller: str
    called: str
    caller_name: str | None = None
    sip_call_id: str | None = None
    gateway_channel: str | None = None


def refused_full(overflow: str | None, what: str) -> AdmissionRefused:
    """The refusal of a call over a limit: elsewhere when there is an overflow, else later."""
    if overflow:
        return AdmissionRefused(
            f"{what} is at its limit; the call goes to the overflow.",
            sip_status=302,
            contact=overflow,
            code="at_capacity",
        )
    return AdmissionRefused(
        f"{what} is at its limit.",
        sip_status=503,
        retry_after_seconds=RETRY_AFTER_SECONDS,
        code="at_capacity",
    )


@dataclass(frozen=True)
class _Home:
    """Whose a trunk is, and the country as which its national numbers are read."""

    organization_id: UUID
    region: str | None
    good_until: float


class Admissions:
    """Admits calls for one process of the tool API. Engines and tokens are lent, not owned."""

    def __init__(
        self, settings: Settings, *, app: AsyncEngine, router: AsyncEngine, tokens: CallTokens
    ) -> None:
        self._settings = settings
        self._app = app
        self._router = router
        self._tokens = tokens
        # Those who wait for the database's lock would each hold a connection; here they wait without one.
        self._turn = asyncio.Lock()
        self._homes: dict[UUID, _Home] = {}

    async def inbound(self, request: AdmissionRequest, now: datetime) -> Admission:
        """A place for an INVITE, or AdmissionRefused with its SIP meaning."""
        home = await self._home_of(request.trunk_id)
        readings = candidates(request.called, home.region)
        async with self._turn, UnitOfWork(self._app, home.organization_id) as uow:
            await uow.lock(LOCK)
            route = await inbound_route(uow, request.trunk_id, readings)
            await check_closed(uow, route, now)
            await _check_limits(uow, route)
            agent = await published_agent(uow, route.agent_id)
            if agent is None:
                raise AdmissionRefused(
                    "Nobody answers this number.", sip_status=404, code="number_without_agent"
                )
            leg = _Leg(
                direction="inbound",
                caller=normalised(request.caller, home.region),
                called=route.number.number if route.number else request.called,
                caller_name=request.caller_name,
                sip_call_id=request.sip_call_id,
                gateway_channel=request.gateway_channel,
            )
            call_id = await _take_place(uow, route, agent, leg, now)
        return self._admission(call_id, route, agent, leg, now)

    async def outbound(self, request: OutboundRequest, now: datetime) -> Admission:
        """A place for a call that the box is to make. NotFound for unknown things, InvalidInput for `to`."""
        async with self._turn, UnitOfWork(self._app, request.organization_id) as uow:
            await uow.lock(LOCK)
            organization = await organization_of(uow)
            to = normalised(request.to, region_of(organization.timezone))
            if not dialable(to):
                raise InvalidInput("This is not a telephone number.", field="to")
            route = await outbound_route(uow, organization, request)
            await _check_limits(uow, route)
            agent = await published_agent(uow, route.agent_id)
            if agent is None:
                raise InvalidInput("The agent has no published version.", field="agent_id")
            shown = route.number.number if route.number else ""
            leg = _Leg(direction="outbound", caller=shown, called=to)
            call_id = await _take_place(uow, route, agent, leg, now)
        dial = Dial.model_validate({"trunk": route.trunk.id, "to": to, "from": shown})
        return self._admission(call_id, route, agent, leg, now).model_copy(update={"dial": dial})

    async def _home_of(self, trunk_id: UUID) -> _Home:
        """Whose trunk it is and in which country. Remembered for a while: a trunk never changes its owner."""
        known = self._homes.get(trunk_id)
        if known is not None and known.good_until > time.monotonic():
            return known
        async with UnitOfWork(self._router, None) as uow:
            row = (
                await uow.session.execute(
                    select(Organization.id, Organization.timezone)
                    .join(Trunk, Trunk.organization_id == Organization.id)
                    .where(Trunk.id == trunk_id)
                )
            ).one_or_none()
        if row is None:
            raise AdmissionRefused("The trunk is not known.", sip_status=403, code="unknown_trunk")
        if len(self._homes) >= _HOMES_KEPT:
            self._homes.clear()
        home = _Home(row.id, region_of(row.timezone), time.monotonic() + _HOME_SECONDS)
        self._homes[trunk_id] = home
        return home

    def _admission(
        self, call_id: UUID, route: Route, agent: PublishedAgent, leg: _Leg, now: datetime
    ) -> Admission:
        log.info("call admitted", call_id=str(call_id), direction=leg.direction)
        room = room_of(call_id)
        limits, escalation = agent.snapshot.limits, agent.snapshot.escalation
        metadata = DispatchMetadata(
            call_id=call_id,
            organization_id=route.organization.id,
            call_token=self._tokens.mint(call_id, route.organization.id, 1, now),
            attempt=1,
        )
        return Admission(
            call_id=call_id,
            organization_id=route.organization.id,
            room_name=room,
            participant_identity=f"sip-{call_id}",
            participant_token=self._ticket(call_id, room, route, leg, limits.max_duration_seconds),
            agent_name=self._settings.worker.agent_name,
            dispatch_metadata=metadata.encode(),
            limits=AdmissionLimits(
                max_duration_seconds=limits.max_duration_seconds, ring_timeout_seconds=RING_TIMEOUT_SECONDS
            ),
            language=agent.snapshot.language,
            escalation=AdmissionEscalation(target=escalation.target),
            overflow=route.number.overflow if route.number else None,
        )

    def _ticket(self, call_id: UUID, room: str, route: Route, leg: _Leg, max_seconds: int) -> str:
        """The SIP participant's LiveKit token: this room alone, attributes as livekit-sip names them."""
        rooms = self._settings.rooms
        inbound = leg.direction == "inbound"
        attributes: Mapping[str, Any] = {
            "sip.callID": str(call_id),
            "sip.callIDFull": leg.sip_call_id or "",
            "sip.callStatus": "ringing",
            "sip.phoneNumber": leg.caller if inbound else leg.called,
            "sip.trunkPhoneNumber": leg.called if inbound else leg.caller,
            "sip.trunkID": str(route.trunk.id),
            "sip.ruleID": str(route.number.id) if route.number else "",
            "trunkline.held": "false",
            "trunkline.attempt": "1",
        }
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
            can_update_own_metadata=True,
        )
        lifetime = timedelta(seconds=max_seconds + RING_TIMEOUT_SECONDS) + _TICKET_SLACK
        token = (
            api.AccessToken(rooms.api_key, rooms.api_secret.reveal())
            .with_identity(f"sip-{call_id}")
            .with_kind("sip")
            .with_grants(grants)
            .with_attributes(dict(attributes))
            .with_ttl(lifetime)
        )
        return token.to_jwt()


def room_of(call_id: UUID) -> str:
    """The name of the call's room."""
    return f"call-{call_id}"


async def _take_place(uow: UnitOfWork, route: Route, agent: PublishedAgent, leg: _Leg, now: datetime) -> UUID:
    call_id = uuid7()
    await uow.session.execute(
        insert(tables.Call).values(
            id=call_id,
            organization_id=route.organization.id,
            agent_version_id=agent.version_id,
            number_id=route.number.id if route.number else None,
            trunk_id=route.trunk.id,
            direction=leg.direction,
            sip_call_id=leg.sip_call_id,
            gateway_channel=leg.gateway_channel,
            room_name=room_of(call_id),
            caller=leg.caller,
            caller_name=leg.caller_name,
            called=leg.called,
            status="admitted",
            attempt=1,
            created_at=now,
            last_news_at=now,
        )
    )
    return call_id


async def _check_limits(uow: UnitOfWork, route: Route) -> None:
    """Counts the places taken, under the admission lock. AdmissionRefused when one is at its limit."""
    number, trunk = route.number, route.trunk
    number_id = number.id if number else None
    counted = await uow.session.execute(
        select(
            func.box_calls_in_progress().label("of_box"),
            select(Box.capacity).scalar_subquery().label("capacity"),
            func.count().label("of_organization"),
            func.count().filter(tables.Call.number_id == number_id).label("of_number"),
            func.count().filter(tables.Call.trunk_id == trunk.id).label("of_trunk"),
        )
        .select_from(tables.Call)
        .where(tables.Call.ended_at.is_(None))
    )
    row = counted.one()
    number_limit = number.max_calls if number else None
    for what, taken, limit in (
        ("The box", row.of_box, row.capacity or 0),
        ("The organization", row.of_organization, route.organization.max_calls),
        ("The number", row.of_number, number_limit),
        ("The trunk", row.of_trunk, trunk.max_calls),
    ):
        if limit is not None and taken >= limit:
            raise refused_full(number.overflow if number else None, what)
