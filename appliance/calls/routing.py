"""From a dialled number to the organization, trunk, number and published agent version that serve it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select

from appliance.agents.domain import AgentSnapshot
from appliance.agents.tables import Agent, AgentVersion
from appliance.calls.domain import AdmissionRefused, OutboundRequest
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations.tables import Organization
from appliance.telephony.service import opening_times
from appliance.telephony.tables import Number, Trunk


@dataclass(frozen=True)
class Route:
    """What a call is about to use; the limits are counted for these."""

    organization: Organization
    trunk: Trunk
    number: Number | None
    agent_id: UUID


@dataclass(frozen=True)
class PublishedAgent:
    """The agent version that answers."""

    version_id: UUID
    snapshot: AgentSnapshot


async def organization_of(uow: UnitOfWork) -> Organization:
    """The organization of this unit of work. NotFound when it is gone."""
    found = await uow.session.scalar(select(Organization))
    if found is None:
        raise NotFound("The organization does not exist.")
    return found


async def published_agent(uow: UnitOfWork, agent_id: UUID) -> PublishedAgent | None:
    """The published version of an agent; None when it has none."""
    found = await uow.session.scalar(
        select(AgentVersion)
        .join(Agent, Agent.published_version_id == AgentVersion.id)
        .where(Agent.id == agent_id)
    )
    if found is None:
        return None
    return PublishedAgent(found.id, AgentSnapshot.model_validate(found.snapshot))


async def inbound_route(uow: UnitOfWork, trunk_id: UUID, readings: Sequence[str]) -> Route:
    """The first reading that is a number of this organization and trunk. AdmissionRefused (404) without one.

    One query: it runs under the admission lock, where thirty callers may wait.
    """
    reachable = and_(Number.number.in_(readings), or_(Number.trunk_id.is_(None), Number.trunk_id == trunk_id))
    rows = await uow.session.execute(
        select(Organization, Trunk, Number)
        .join(Trunk, Trunk.organization_id == Organization.id)
        .join(Number, and_(Number.organization_id == Organization.id, reachable))
        .where(Trunk.id == trunk_id)
    )
    found = {row.Number.number: row for row in rows}
    row = next((found[reading] for reading in readings if reading in found), None)
    if row is None:
        raise AdmissionRefused("The dialled number is not in service.", sip_status=404, code="unknown_number")
    return Route(row.Organization, row.Trunk, row.Number, row.Number.agent_id)


async def outbound_route(uow: UnitOfWork, organization: Organization, request: OutboundRequest) -> Route:
    """What the request names, else the agent's first number and the first trunk that can call out."""
    if await uow.session.get(Agent, request.agent_id) is None:
        raise NotFound("The agent does not exist.")
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
    return Route(organization, trunk, number, request.agent_id)


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
