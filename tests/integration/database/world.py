"""Tenants for tests of what lies in the database: made as the app makes them, and taken away again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.agents.tables import Agent, AgentVersion
from appliance.calls.tables import Call, CallEvent, CallNote, ToolCall, TranscriptSegment, Turn
from appliance.database.engine import create_engine
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.tables import Organization
from appliance.recordings.tables import Recording
from appliance.scheduling.tables import Booking, Calendar, Order
from appliance.security.keys import KeyRing
from appliance.settings import Settings
from appliance.telephony.tables import Holiday, Number, OpeningHours, Trunk
from provisioning.lite.receptionist import receptionist
from tests.integration.database.console_rows import console_rows

NOON = datetime(2030, 1, 7, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Tenant:
    """An organization with a row in every table."""

    organization_id: UUID
    agent_id: UUID
    agent_version_id: UUID
    trunk_id: UUID
    number_id: UUID
    calendar_id: UUID
    call_id: UUID


@dataclass(frozen=True)
class Data:
    """The engines of the app and of the router, and the keys of the box."""

    app: AsyncEngine
    router: AsyncEngine
    keys: KeyRing

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings) -> AsyncIterator[Data]:
        app, router = create_engine(settings.database, "app"), create_engine(settings.database, "router")
        try:
            yield cls(app, router, KeyRing.from_settings(settings.security))
        finally:
            await app.dispose()
            await router.dispose()

    def work(self, organization_id: UUID | None) -> UnitOfWork:
        return UnitOfWork(self.app, organization_id)

    @asynccontextmanager
    async def tenant(self) -> AsyncIterator[Tenant]:
        """A new organization, gone again at the end with everything that belongs to it."""
        ids = [uuid7() for _ in range(7)]
        tenant = Tenant(*ids)
        async with self.work(tenant.organization_id) as uow:
            await _build(uow, tenant, self.keys)
        try:
            yield tenant
        finally:
            async with self.work(tenant.organization_id) as uow:
                await uow.session.execute(
                    delete(Organization).where(Organization.id == tenant.organization_id)
                )


async def _build(uow: UnitOfWork, tenant: Tenant, keys: KeyRing) -> None:
    session = uow.session
    mine = {"organization_id": tenant.organization_id}
    session.add(
        Organization(
            id=tenant.organization_id,
            slug=str(tenant.organization_id),
            name="Test",
            timezone="UTC",
            wrapped_key=keys.new_organization_key(tenant.organization_id),
        )
    )
    await session.flush()
    agent = Agent(id=tenant.agent_id, name="Test", **mine)
    session.add(agent)
    await session.flush()
    session.add(
        AgentVersion(
            id=tenant.agent_version_id,
            agent_id=tenant.agent_id,
            version=1,
            snapshot=receptionist().model_dump(mode="json"),
            published_at=NOON,
            **mine,
        )
    )
    session.add(Trunk(id=tenant.trunk_id, name="test", **mine))
    session.add(Calendar(id=tenant.calendar_id, name="Test", **mine))
    session.add(OpeningHours(weekday=0, opens=time(9), closes=time(17), **mine))
    session.add(Holiday(date=date(2030, 12, 25), name="Christmas", **mine))
    await session.flush()
    agent.published_version_id = tenant.agent_version_id
    session.add(
        Number(
            id=tenant.number_id,
            number=f"+999{tenant.number_id.int % 10**11:011d}",
            agent_id=tenant.agent_id,
            trunk_id=tenant.trunk_id,
            **mine,
        )
    )
    await session.flush()
    session.add(
        Call(
            id=tenant.call_id,
            agent_version_id=tenant.agent_version_id,
            number_id=tenant.number_id,
            trunk_id=tenant.trunk_id,
            direction="inbound",
            room_name=f"call-{tenant.call_id}",
            status="answered",
            **mine,
        )
    )
    await session.flush()
    of_call = {"call_id": tenant.call_id, **mine}
    session.add_all(
        [
            CallEvent(at=NOON, kind="answered", **of_call),
            Turn(index=0, attempt=1000, **of_call),
            TranscriptSegment(
                index=0, attempt=1000, speaker="caller", starts_ms=0, ends_ms=1, text="hello", **of_call
            ),
            ToolCall(tool_call_id="1", action="log_note", arguments={}, **of_call),
            CallNote(text="please call back", **of_call),
            Recording(bucket="recordings", object=f"test/{tenant.call_id}", attempt=1000, **of_call),
            Order(items=[{"what": "floss"}], name="Test", **of_call),
            Booking(
                calendar_id=tenant.calendar_id,
                during=Range(NOON, NOON + timedelta(minutes=30)),
                name="Test",
                **of_call,
            ),
        ]
    )
    for row in console_rows(tenant.organization_id, tenant.agent_id, tenant.call_id):
        session.add(row)
        await session.flush()
