"""The lite profile's world: one practice with one receptionist, one number, two trunks and a calendar."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import create_engine, func, select, text, update
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from appliance.agents.domain import AgentSnapshot
from appliance.agents.tables import Agent, AgentVersion
from appliance.database.base import Base
from appliance.database.engine import CONNECT_TIMEOUT_SECONDS, Role, database_errors
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import TENANT_SETTING
from appliance.organizations.tables import Box, Organization
from appliance.scheduling.tables import Calendar
from appliance.security.keys import KeyRing
from appliance.settings import Settings
from appliance.telephony.tables import Number, OpeningHours, Trunk
from provisioning.lite.receptionist import receptionist

SLUG = "riverside-dental"
NUMBER = "+4930555010"
SOFTPHONE_USER = "softphone"
BOX_CAPACITY = 10
ORGANIZATION_MAX_CALLS = 10
LAB_PORT_AFTER_SIP_PORT = 10
"""The lab trunk sends calls to loopback, so far above the gateway's SIP port: a PBX may listen there."""

_Row = TypeVar("_Row", bound=Base)


@dataclass(frozen=True)
class Seed:
    """What was seeded. The password is the softphone account's, for the person who wants to dial in."""

    organization_id: UUID
    agent_id: UUID
    agent_version_id: UUID
    number_id: UUID
    number: str
    trunk_id: UUID
    softphone_trunk_id: UUID
    softphone_user: str
    softphone_password: str
    calendar_id: UUID


def seed(settings: Settings) -> Seed:
    """Makes what is missing and leaves the rest: a second run gives the same identifiers.

    An agent whose snapshot has changed since is published anew as its next version. Needs a migrated
    database; Unavailable when it is away.
    """
    with database_errors():
        organization_id = _known_organization(settings) or uuid7()
        with _session(settings, "owner", None) as session:
            session.execute(update(Box).values(capacity=BOX_CAPACITY))
        with _session(settings, "app", organization_id) as session:
            return _World(session, organization_id, settings).build()


def _known_organization(settings: Settings) -> UUID | None:
    with _session(settings, "router", None) as session:
        return session.scalar(select(Organization.id).where(Organization.slug == SLUG))


@contextmanager
def _session(settings: Settings, role: Role, organization_id: UUID | None) -> Generator[Session]:
    engine = create_engine(
        settings.database.url(role),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "trunkline-seed"},
    )
    try:
        with Session(engine) as session, session.begin():
            if organization_id is not None:
                session.execute(
                    text("SELECT set_config(:setting, :tenant, true)"),
                    {"setting": TENANT_SETTING, "tenant": str(organization_id)},
                )
            yield session
    finally:
        engine.dispose()


class _World:
    def __init__(self, session: Session, organization_id: UUID, settings: Settings) -> None:
        self._session = session
        self._organization_id = organization_id
        self._keys = KeyRing.from_settings(settings.security)
        self._sip_port = settings.gateway.sip_port

    def build(self) -> Seed:
        organization = self._organization()
        agent, version = self._agent()
        lab = self._one(
            Trunk,
            {"name": "lab"},
            host="127.0.0.1",
            port=self._sip_port + LAB_PORT_AFTER_SIP_PORT,
            match=["127.0.0.1"],
        )
        softphone = self._softphone(organization)
        number = self._one(Number, {"number": NUMBER}, agent_id=agent.id)
        calendar = self._one(
            Calendar, {"name": "Appointments"}, slot_minutes=30, lead_minutes=60, horizon_days=14
        )
        for weekday in range(5):
            self._one(OpeningHours, {"weekday": weekday, "opens": time(9)}, closes=time(17))
        assert softphone.inbound_password is not None
        password = self._keys.decrypt_field(
            organization.id,
            organization.wrapped_key,
            "trunks.inbound_password",
            softphone.id,
            softphone.inbound_password,
        )
        return Seed(
            organization_id=organization.id,
            agent_id=agent.id,
            agent_version_id=version.id,
            number_id=number.id,
            number=NUMBER,
            trunk_id=lab.id,
            softphone_trunk_id=softphone.id,
            softphone_user=SOFTPHONE_USER,
            softphone_password=password,
            calendar_id=calendar.id,
        )

    def _organization(self) -> Organization:
        known = self._session.get(Organization, self._organization_id)
        if known is not None:
            return known
        organization = Organization(
            id=self._organization_id,
            slug=SLUG,
            name="Riverside Dental Practice",
            timezone="Europe/Berlin",
            language="en",
            max_calls=ORGANIZATION_MAX_CALLS,
            wrapped_key=self._keys.new_organization_key(self._organization_id),
        )
        self._session.add(organization)
        self._session.flush()
        return organization

    def _agent(self) -> tuple[Agent, AgentVersion]:
        agent = self._one(Agent, {"name": "Reception"})
        snapshot = receptionist().model_dump(mode="json")
        if agent.published_version_id is not None:
            published = self._session.get_one(AgentVersion, agent.published_version_id)
            if AgentSnapshot.model_validate(published.snapshot).model_dump(mode="json") == snapshot:
                return agent, published
        newest = self._session.scalar(
            select(func.max(AgentVersion.version)).where(AgentVersion.agent_id == agent.id)
        )
        version = AgentVersion(
            organization_id=self._organization_id,
            agent_id=agent.id,
            version=(newest or 0) + 1,
            snapshot=snapshot,
            published_at=datetime.now(UTC),
        )
        self._session.add(version)
        self._session.flush()
        agent.published_version_id = version.id
        self._session.flush()
        return agent, version

    def _softphone(self, organization: Organization) -> Trunk:
        trunk = self._one(Trunk, {"name": SOFTPHONE_USER}, inbound_username=SOFTPHONE_USER)
        if trunk.inbound_password is None:
            trunk.inbound_password = self._keys.encrypt_field(
                organization.id,
                organization.wrapped_key,
                "trunks.inbound_password",
                trunk.id,
                secrets.token_urlsafe(12),
            )
            self._session.flush()
        return trunk

    def _one(self, table: type[_Row], named: dict[str, Any], **values: Any) -> _Row:
        """The organization's row of that name, made if there is none; an existing one keeps its values."""
        row = self._session.scalar(select(table).filter_by(organization_id=self._organization_id, **named))
        if row is None:
            row = table(organization_id=self._organization_id, **named, **values)
            self._session.add(row)
            self._session.flush()
        return row
