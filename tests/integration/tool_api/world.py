"""An organization of a test's own, made in the database and deleted after it: counts start at nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import create_engine, delete, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from appliance.agents.domain import TOOL_ACTIONS, AgentSnapshot, Escalation
from appliance.agents.tables import Agent, AgentVersion
from appliance.calls import tables as calls
from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import Admission, AdmissionRequest
from appliance.calls.tokens import CallTokens
from appliance.clients.tool_api import ToolApiClient
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import TENANT_SETTING
from appliance.organizations.tables import Organization
from appliance.scheduling.tables import Calendar
from appliance.security.keys import KeyRing
from appliance.telephony.tables import Number, OpeningHours, Trunk
from provisioning.lite.box import Box


@dataclass
class World:
    """Ids of what was made, and sessions that see it."""

    box: Box
    organization_id: UUID = field(default_factory=uuid7)
    trunk_id: UUID = field(default_factory=uuid7)
    agent_id: UUID = field(default_factory=uuid7)
    version_id: UUID = field(default_factory=uuid7)
    number_id: UUID = field(default_factory=uuid7)
    calendar_id: UUID = field(default_factory=uuid7)
    number: str = ""

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction of this organization, under row-level security."""
        engine = create_engine(self.box.settings.database.url("app"), poolclass=NullPool)
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                session.execute(
                    text("SELECT set_config(:setting, :tenant, true)"),
                    {"setting": TENANT_SETTING, "tenant": str(self.organization_id)},
                )
                yield session
        finally:
            engine.dispose()

    def change(self, row: type[Any], row_id: UUID, **values: Any) -> None:
        with self.session() as session:
            found = session.get_one(row, row_id)
            for name, value in values.items():
                setattr(found, name, value)

    def call(self, call_id: UUID) -> calls.Call:
        with self.session() as session:
            return session.get_one(calls.Call, call_id)

    def rows(self, row: type[Any], call_id: UUID) -> Sequence[Any]:
        """The rows of a call, turns and segments in their order, all others by time."""
        order = [row.attempt, row.index] if hasattr(row, "index") else [getattr(row, "at", row.created_at)]
        with self.session() as session:
            return list(session.scalars(select(row).where(row.call_id == call_id).order_by(*order)))

    def token(self, call_id: UUID, *, attempt: int = 1, now: datetime | None = None) -> str:
        key = self.box.settings.tool_api.token_key.reveal()
        return CallTokens(key).mint(call_id, self.organization_id, attempt, now or datetime.now(UTC))

    def request(self, **changed: Any) -> AdmissionRequest:
        return AdmissionRequest.model_validate(
            {
                "sip_call_id": uuid4().hex,
                "called": self.number,
                "caller": "015112345678",
                "trunk_id": self.trunk_id,
                "gateway_channel": uuid4().hex,
            }
            | changed
        )

    def of_call(self, admission: Admission) -> ToolApiClient:
        """The client that the worker of this call would have."""
        metadata = DispatchMetadata.decode(admission.dispatch_metadata)
        return ToolApiClient.for_call(self.box.settings.tool_api, metadata.call_token, timeout_seconds=30)


def snapshot(**changed: Any) -> AgentSnapshot:
    return AgentSnapshot.model_validate(
        {
            "name": "Test agent",
            "prompt": "You answer.",
            "greeting": "Hello.",
            "tools": TOOL_ACTIONS,
            "escalation": Escalation(target="201"),
        }
        | changed
    )


@contextmanager
def world(
    box: Box,
    *,
    max_calls: int = 5,
    hours: tuple[time, time] = (time(8), time(18)),
    holidays: Sequence[date] = (),
    agent: AgentSnapshot | None = None,
    prepare: Callable[[World, Session], None] | None = None,
) -> Iterator[World]:
    """An organization open on every day of the week, with a number that nobody else has."""
    made = World(box)
    made.number = f"+4930{str(made.organization_id.int)[-9:]}"
    keys = KeyRing.from_settings(box.settings.security)
    of = made.organization_id
    rows: list[Any] = [
        Organization(
            id=of,
            slug=f"test-{of}",
            name="Test organization",
            timezone="Europe/Berlin",
            wrapped_key=keys.new_organization_key(of),
            max_calls=max_calls,
        ),
        Trunk(id=made.trunk_id, organization_id=of, name="test", host="127.0.0.1", port=5099),
        Agent(id=made.agent_id, organization_id=of, name="Test agent"),
        AgentVersion(
            id=made.version_id,
            organization_id=of,
            agent_id=made.agent_id,
            version=1,
            snapshot=(agent or snapshot()).model_dump(mode="json"),
        ),
        Number(id=made.number_id, organization_id=of, number=made.number, agent_id=made.agent_id),
        Calendar(id=made.calendar_id, organization_id=of, name="Test", lead_minutes=0, horizon_days=60),
    ]
    rows += [
        OpeningHours(organization_id=of, weekday=day, opens=hours[0], closes=hours[1]) for day in range(7)
    ]
    with made.session() as session:
        for row in rows:
            session.add(row)
            session.flush()
        session.get_one(Agent, made.agent_id).published_version_id = made.version_id
        if prepare is not None:
            prepare(made, session)
    try:
        yield made
    finally:
        with made.session() as session:
            session.execute(delete(Organization).where(Organization.id == of))
