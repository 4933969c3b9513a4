"""Use cases of the operator: the organizations of the box, and what the box stands on."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography import x509
from sqlalchemy import Select, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.access.domain import Actor, Right, Role
from appliance.audit import service as audit
from appliance.backups.manifest import LastBackup
from appliance.calls.tables import Call
from appliance.clients.identity_admin import IdentityAdmin
from appliance.database.engine import violated_constraint
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput, NotFound
from appliance.members import service as members
from appliance.members.service import Invited
from appliance.organizations.tables import Box, Organization
from appliance.security.keys import KeyRing
from appliance.settings import Settings
from appliance.telephony.tables import Number

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
MAX_NAME = 100
MOST_CALLS = 10_000
TLS_PATIENCE_SECONDS = 3.0
BACKUP_IS_OLD = timedelta(days=7)


@dataclass(frozen=True)
class ListedOrganization:
    id: UUID
    slug: str
    name: str
    timezone: str
    max_calls: int
    numbers: int
    live_calls: int
    created_at: datetime


@dataclass(frozen=True)
class NewOrganization:
    """What a person typed; `checked` raises InvalidInput with the field."""

    slug: str
    name: str
    timezone: str
    language: str = "en"
    max_calls: int = 10

    def checked(self) -> NewOrganization:
        if not _SLUG.fullmatch(self.slug):
            raise InvalidInput("Small letters, digits and dashes, at most 40.", field="slug")
        if not self.name.strip() or len(self.name) > MAX_NAME:
            raise InvalidInput("Please write a name.", field="name")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InvalidInput("This is not a time zone, such as Europe/Berlin.", field="timezone") from error
        if not _LANGUAGE.fullmatch(self.language):
            raise InvalidInput("This is not a language, such as en.", field="language")
        if not 0 <= self.max_calls <= MOST_CALLS:
            raise InvalidInput(f"From 0 to {MOST_CALLS}.", field="max_calls")
        return self


@dataclass(frozen=True)
class Fact:
    name: str
    value: str
    good: bool = True


async def organizations(across: UnitOfWork, actor: Actor) -> list[ListedOrganization]:
    """All of them, by name; `across` reads with the router role."""
    actor.must(Right.BOX_READ)
    numbers = await _counts(across, select(Number.organization_id, func.count()))
    live = await _counts(across, select(Call.organization_id, func.count()).where(Call.ended_at.is_(None)))
    rows = await across.session.execute(
        select(
            Organization.id,
            Organization.slug,
            Organization.name,
            Organization.timezone,
            Organization.max_calls,
            Organization.created_at,
        ).order_by(Organization.name)
    )
    return [
        ListedOrganization(
            id=row.id,
            slug=row.slug,
            name=row.name,
            timezone=row.timezone,
            max_calls=row.max_calls,
            numbers=numbers.get(row.id, 0),
            live_calls=live.get(row.id, 0),
            created_at=row.created_at,
        )
        for row in rows
    ]


async def _counts(across: UnitOfWork, statement: Select[Any, Any]) -> dict[UUID, int]:
    rows = await across.session.execute(statement.group_by(statement.selected_columns[0]))
    return {row[0]: row[1] for row in rows}


async def create_organization(
    engine: AsyncEngine, actor: Actor, keys: KeyRing, wanted: NewOrganization
) -> UUID:
    """A new tenant with a key of its own; written into its own log and into the box's."""
    actor.must(Right.BOX_WRITE)
    wanted = wanted.checked()
    organization_id = uuid7()
    after = {"slug": wanted.slug, "name": wanted.name, "timezone": wanted.timezone}
    try:
        async with UnitOfWork(engine, organization_id) as uow:
            uow.session.add(
                Organization(
                    id=organization_id,
                    slug=wanted.slug,
                    name=wanted.name.strip(),
                    timezone=wanted.timezone,
                    language=wanted.language,
                    max_calls=wanted.max_calls,
                    wrapped_key=keys.new_organization_key(organization_id),
                )
            )
            await uow.session.flush()
            await audit.record(
                uow, actor, "organizations.create", f"organization:{organization_id}", after=after
            )
    except IntegrityError as error:
        if violated_constraint(error) == "uq_organizations_slug":
            raise Conflict("There is an organization of this short name already.") from error
        raise
    async with UnitOfWork(engine, None) as uow:
        await audit.record(uow, actor, "organizations.create", f"organization:{organization_id}", after=after)
    return organization_id


async def invite_administrator(
    uow: UnitOfWork, actor: Actor, identity: IdentityAdmin, *, email: str, first_name: str, last_name: str
) -> Invited:
    """The operator gives the unit of work's organization an administrator, so that it can begin.

    NotFound when there is no such organization; errors as of `members.service.invite`.
    """
    actor.must(Right.BOX_WRITE)
    assert uow.organization_id is not None
    if await uow.session.get(Organization, uow.organization_id) is None:
        raise NotFound("There is no such organization.")
    inviting = replace(
        actor, organization_id=uow.organization_id, rights=actor.rights | {Right.MEMBERS_WRITE}
    )
    return await members.invite(
        uow,
        inviting,
        identity,
        email=email,
        first_name=first_name,
        last_name=last_name,
        roles=frozenset({Role.ADMIN}),
    )


async def facts(box: UnitOfWork, actor: Actor, settings: Settings) -> dict[str, list[Fact]]:
    """Versions, storage and certificates, as they are now."""
    actor.must(Right.BOX_READ)
    server = await box.session.scalar(text("SHOW server_version"))
    revision = await box.session.scalar(text("SELECT version_num FROM alembic_version"))
    size = await box.session.scalar(text("SELECT pg_database_size(current_database())"))
    capacity = await box.session.scalar(select(Box.capacity))
    last = await box.session.scalar(select(Box.last_backup))
    return {
        "Versions": [
            Fact("Trunkline", version("trunkline")),
            Fact("Profile", settings.profile),
            Fact("Python", sys.version.split()[0]),
            Fact("PostgreSQL", str(server).split()[0]),
            Fact("Database schema", str(revision)),
            Fact("Calls at once, whole box", str(capacity)),
        ],
        "Backups": _last_backup(last),
        "Storage": [Fact("Database", _bytes(size or 0)), *_disk(settings)],
        "Certificates": await _certificates(settings),
    }


def _disk(settings: Settings) -> list[Fact]:
    usage = shutil.disk_usage(settings.spool_dir)
    waiting = sum(1 for path in settings.spool_dir.rglob("*") if path.is_file())
    free = usage.free / usage.total
    return [
        Fact("Disk of the box", f"{_bytes(usage.free)} of {_bytes(usage.total)} free", good=free > 0.1),
        Fact("Recordings and reports that wait to be stored", str(waiting), good=waiting < 100),
    ]


def _last_backup(record: dict[str, Any] | None) -> list[Fact]:
    if record is None:
        command = "appliance backup create --to DIRECTORY"
        return [Fact("Last backup", f"No backup was made yet. On the box: {command}", good=False)]
    last = LastBackup.model_validate(record)
    age = datetime.now(UTC) - last.made_at
    return [
        Fact("Last backup", f"{last.made_at:%d %b %Y %H:%M} UTC", good=age < BACKUP_IS_OLD),
        Fact("File", last.file),
        Fact("Size", _bytes(last.size_bytes)),
        Fact("Verified", f"{last.verified_at:%d %b %Y %H:%M} UTC"),
        Fact("Recordings", "Not in it: copy their bucket (docs/backups.md)"),
    ]


async def _certificates(settings: Settings) -> list[Fact]:
    host, port = settings.gateway.sip_host, settings.gateway.sip_tls_port
    found = [await asyncio.to_thread(_certificate, "SIP over TLS", host, port)]
    if not settings.console.secure:
        found.append(Fact("Console", "plain HTTP on this machine; TLS ends at the proxy in front of it"))
    return found


def _certificate(name: str, host: str, port: int) -> Fact:
    try:
        pem = ssl.get_server_certificate((host, port), timeout=TLS_PATIENCE_SECONDS)
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except (OSError, ValueError):
        return Fact(name, "the gateway does not answer", good=False)
    ends = certificate.not_valid_after_utc
    days = (ends - datetime.now(UTC)).days
    return Fact(name, f"valid until {ends:%d %b %Y} ({days} days)", good=days > 21)


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError
