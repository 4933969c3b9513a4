"""Admission: who may take a place on the box, and the ticket that goes with it.

All places are counted and taken in one transaction under one lock of the whole box (see the ADR): thirty
INVITEs in the same second at a limit of five get exactly five places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from livekit import api
from sqlalchemy import func, select, text
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
from appliance.calls.routing import Route, check_closed, inbound_route, organization_of, outbound_route
from appliance.calls.tokens import CallTokens
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import InvalidInput
from appliance.organizations.tables import Box
from appliance.settings import Settings
from appliance.telephony.numbers import dialable, normalised, region_of
from appliance.telephony.tables import Trunk

RING_TIMEOUT_SECONDS = 45
RETRY_AFTER_SECONDS = 10
LOCK = "admission"
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

    async def inbound(self, request: AdmissionRequest, now: datetime) -> Admission:
        """A place for an INVITE, or AdmissionRefused with its SIP meaning."""
        organization_id = await self._organization_of_trunk(request.trunk_id)
        async with self._turn, UnitOfWork(self._app, organization_id) as uow:
            await uow.lock(LOCK)
            organization = await organization_of(uow)
            region = region_of(organization.timezone)
            route = await inbound_route(uow, organization, request, region)
            await check_closed(uow, route, now)
            await _check_limits(uow, route)
            leg = _Leg(
                direction="inbound",
                caller=normalised(request.caller, region),
                called=route.number.number if route.number else request.called,
                caller_name=request.caller_name,
                sip_call_id=request.sip_call_id,
                gateway_channel=request.gateway_channel,
            )
            return await self._place(uow, route, leg, now)

    async def outbound(self, request: OutboundRequest, now: datetime) -> Admission:
        """A place for a call that the box is to make. NotFound for unknown things, InvalidInput for `to`."""
        async with self._turn, UnitOfWork(self._app, request.organization_id) as uow:
            await uow.lock(LOCK)
            organization = await organization_of(uow)
            region = region_of(organization.timezone)
            to = normalised(request.to, region)
            if not dialable(to):
                raise InvalidInput("This is not a telephone number.", field="to")
            route = await outbound_route(uow, organization, request)
            await _check_limits(uow, route)
            shown = route.number.number if route.number else ""
            leg = _Leg(direction="outbound", caller=shown, called=to)
            dial = Dial.model_validate({"trunk": route.trunk.id, "to": to, "from": shown})
            return (await self._place(uow, route, leg, now)).model_copy(update={"dial": dial})

    async def _organization_of_trunk(self, trunk_id: UUID) -> UUID:
        async with UnitOfWork(self._router, None) as uow:
            found = await uow.session.scalar(select(Trunk.organization_id).where(Trunk.id == trunk_id))
        if found is None:
            raise AdmissionRefused("The trunk is not known.", sip_status=403, code="unknown_trunk")
        return found

    async def _place(self, uow: UnitOfWork, route: Route, leg: _Leg, now: datetime) -> Admission:
        call_id = uuid7()
        room = f"call-{call_id}"
        uow.session.add(
            tables.Call(
                id=call_id,
                organization_id=route.organization.id,
                agent_version_id=route.version_id,
                number_id=route.number.id if route.number else None,
                trunk_id=route.trunk.id,
                direction=leg.direction,
                sip_call_id=leg.sip_call_id,
                gateway_channel=leg.gateway_channel,
                room_name=room,
                caller=leg.caller,
                caller_name=leg.caller_name,
                called=leg.called,
                status="admitted",
                attempt=1,
                created_at=now,
                last_news_at=now,
            )
        )
        await uow.session.flush()
        snapshot = route.snapshot
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
            participant_token=self._ticket(call_id, room, route, leg),
            agent_name=self._settings.worker.agent_name,
            dispatch_metadata=metadata.encode(),
            limits=AdmissionLimits(
                max_duration_seconds=snapshot.limits.max_duration_seconds,
                ring_timeout_seconds=RING_TIMEOUT_SECONDS,
            ),
            language=snapshot.language,
            escalation=AdmissionEscalation(target=snapshot.escalation.target),
            overflow=route.number.overflow if route.number else None,
        )

    def _ticket(self, call_id: UUID, room: str, route: Route, leg: _Leg) -> str:
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
        lifetime = (
            timedelta(seconds=route.snapshot.limits.max_duration_seconds + RING_TIMEOUT_SECONDS)
            + _TICKET_SLACK
        )
        token = (
            api.AccessToken(rooms.api_key, rooms.api_secret.reveal())
            .with_identity(f"sip-{call_id}")
            .with_kind("sip")
            .with_grants(grants)
            .with_attributes(dict(attributes))
            .with_ttl(lifetime)
        )
        return token.to_jwt()


async def _check_limits(uow: UnitOfWork, route: Route) -> None:
    """Counts the places taken, under the admission lock. AdmissionRefused when one is at its limit."""
    overflow = route.number.overflow if route.number else None
    in_progress = tables.Call.ended_at.is_(None)
    box_calls = await uow.session.scalar(text("SELECT box_calls_in_progress()")) or 0
    capacity = await uow.session.scalar(select(Box.capacity)) or 0
    if box_calls >= capacity:
        raise refused_full(overflow, "The box")
    number_id = route.number.id if route.number else None
    counted = await uow.session.execute(
        select(
            func.count(),
            func.count().filter(tables.Call.number_id == number_id),
            func.count().filter(tables.Call.trunk_id == route.trunk.id),
        ).where(in_progress)
    )
    of_organization, of_number, of_trunk = counted.one()
    if of_organization >= route.organization.max_calls:
        raise refused_full(overflow, "The organization")
    number_limit = route.number.max_calls if route.number else None
    if number_limit is not None and of_number >= number_limit:
        raise refused_full(overflow, "The number")
    if route.trunk.max_calls is not None and of_trunk >= route.trunk.max_calls:
        raise refused_full(overflow, "The trunk")
