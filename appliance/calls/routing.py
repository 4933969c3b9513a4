"""From a dialled number to the organization, trunk, number and published agent version that serve it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from appliance.agents.domain import AgentSnapshot
from appliance.agents.tables import Agent, AgentVersion
from appliance.calls.domain import AdmissionRefused, AdmissionRequest, OutboundRequest
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import InvalidInput, NotFound
from appliance.organizations.tables import Organization
from appliance.telephony.numbers import candidates
from appliance.telephony.service import opening_times
from appliance.telephony.tables import Number, Trunk


@dataclass(frozen=True)
class Route:
    """What a call is about to use: everything that admission decides upon."""

    organization: Organization
    trunk: Trunk
    number: Number | None
    version_id: UUID
    snapshot: AgentSnapshot


async def organization_of(uow: UnitOfWork) -> Organization:
    """The organization of this unit of work. NotFound when it is gone."""
    found = await uow.session.scalar(select(Organization))
    if found is None:
        raise NotFound("The organization does not exist.")
    return found


async def _version_of(uow: UnitOfWork, agent_id: UUID) -> tuple[UUID, AgentSnapshot] | None:
    found = await uow.session.scalar(
        select(AgentVersion)
        .join(Agent, Agent.published_version_id == AgentVersion.id)
        .where(Agent.id == agent_id)
    )
    return None if found is None else (found.id, AgentSnapshot.model_validate(found.snapshot))


async def inbound_route(
    uow: UnitOfWork, organization: Organization, request: AdmissionRequest, region: str | None
) -> Route:
    """AdmissionRefused (404) when the number is not of this organization, trunk and a published agent."""
    trunk = await uow.session.get(Trunk, request.trunk_id)
    readings = candidates(request.called, region)
    found = {
        row.number: row
        for row in await uow.session.scalars(select(Number).where(Number.number.in_(readings)))
        if row.trunk_id in (None, request.trunk_id)
    }
    number = next((found[reading] for reading in readings if reading in found), None)
    if number is None or trunk is None:
        raise AdmissionRefused("The dialled number is not in service.", sip_status=404, code="unknown_number")
    version = await _version_of(uow, number.agent_id)
    if version is None:
        raise AdmissionRefused("Nobody answers this number.", sip_status=404, code="number_without_agent")
    return Route(organization, trunk, number, *version)


async def outbound_route(uow: UnitOfWork, organization: Organization, request: OutboundRequest) -> Route:
    """What the request names, else the agent's first number and the first trunk that can call out."""
    if await uow.session.get(Agent, request.agent_id) is None:
        raise NotFound("The agent does not exist.")
    version = await _version_of(uow, request.agent_id)
    if version is None:
        raise InvalidInput("The agent has no published version.", field="agent_id")
    if request.number_id is not None:
        number = await uow.session.get(Number, request.number_id)
        if number is None:
            raise NotFound("The number does not exist.")
    else:
        number = await uow.session.scalar(
            select(Number)
            .where(Number.agent_id == request.agent_id)
            .order_by(Number.created_at, Number.id)
            .limit(1)
        )
    trunk_id = request.trunk_id or (number.trunk_id if number else None)
    if trunk_id is not None:
        trunk = await uow.session.get(Trunk, trunk_id)
    else:
        trunk = await uow.session.scalar(
            select(Trunk).where(Trunk.host.is_not(None)).order_by(Trunk.created_at, Trunk.id).limit(1)
        )
    if trunk is None:
        raise NotFound("There is no trunk to call out by.")
    return Route(organization, trunk, number, *version)


async def check_closed(uow: UnitOfWork, route: Route, now: datetime) -> None:
    """AdmissionRefused when the number does not take calls outside of the opening hours."""
    number = route.number
    if number is None or number.closed_action == "answer":
        return
    if (await opening_times(uow, route.organization.timezone)).is_open(now):
        return
    if number.closed_action == "overflow" and number.overflow:
        raise AdmissionRefused(
            "Closed; the call goes to the overflow.", sip_status=302, contact=number.overflow, code="closed"
        )
    raise AdmissionRefused("Closed at this hour.", sip_status=486, code="closed")
