"""The organization itself: settings, usage, the keys of its programs, its audit log."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from litestar.response import Stream
from pydantic import BaseModel

from appliance.access.domain import Actor, Right
from appliance.audit import service as audit
from appliance.audit.domain import Entry
from appliance.audit.service import Verification
from appliance.audit.signing import HeadSigner
from appliance.database.paging import Listed
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import InvalidInput
from appliance.organizations import api_keys, settings_service
from appliance.organizations.domain import KeyInput, NewKey, OrganizationInput, ShownKey, ShownOrganization
from appliance.usage.service import Usage, usage_of_month
from console.api.answers import (
    Cursor,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    Limit,
    creates,
    deletes,
    expected_revision,
    problems,
    reads,
    replaces,
    tagged,
)
from console.web.wiring import Wiring
from console.web.work import Work

Action = Annotated[
    str, Parameter(query="action", required=False, max_length=100, description="Begins with, such as agents.")
]
Who = Annotated[str, Parameter(query="actor", required=False, max_length=200)]
Subject = Annotated[
    str, Parameter(query="subject", required=False, max_length=200, description="Begins with, such as agent:")
]


class AuditEntry(BaseModel):
    """Who did what. `hash` covers the entry and the hash before it."""

    sequence: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    address: str | None
    action: str
    subject: str
    before: Any
    after: Any
    previous_hash: str
    hash: str


class AuditVerification(BaseModel):
    whole: bool
    entries: int
    head_hash: str
    flaw_sequence: int | None
    flaw: str | None


@reads("/organization", right=Right.ORGANIZATION_READ, operation="getOrganization", one=False)
async def get_organization(
    actor: Actor, work: Work, if_none_match: IfNoneMatch = None
) -> Response[ShownOrganization]:
    """The organization and what it set for itself."""
    async with work.tenant() as uow:
        return tagged(await settings_service.get_organization(uow, actor), if_none_match=if_none_match)


@replaces("/organization", right=Right.ORGANIZATION_WRITE, operation="changeOrganization")
async def change_organization(
    actor: Actor, work: Work, data: OrganizationInput, if_match: IfMatch = None
) -> Response[ShownOrganization]:
    """Sets everything anew."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        return tagged(await settings_service.change_organization(uow, actor, data, revision=revision))


@reads("/usage", right=Right.ORGANIZATION_READ, operation="getUsage", one=False)
async def get_usage(
    actor: Actor,
    work: Work,
    month: Annotated[
        date | None,
        Parameter(query="month", required=False, description="Any day of the month; none: this one"),
    ] = None,
) -> Usage:
    """Calls and minutes of a month, by day and by agent."""
    if month is not None and not 2000 <= month.year < 2200:
        raise InvalidInput("must lie between 2000 and 2200.", field="month")
    async with work.tenant() as uow:
        return await usage_of_month(uow, actor, month, datetime.now(UTC))


@reads("/api-keys", right=Right.KEYS_READ, operation="listApiKeys", one=False)
async def list_keys(actor: Actor, work: Work, limit: Limit, cursor: Cursor = None) -> Listed[ShownKey]:
    """The keys, also revoked ones, the newest first."""
    async with work.tenant() as uow:
        return await api_keys.list_keys(uow, actor, cursor=cursor, limit=limit)


@creates("/api-keys", right=Right.KEYS_WRITE, operation="createApiKey")
async def create_key(
    actor: Actor, work: Work, data: KeyInput, idempotency_key: IdempotencyKey = None
) -> NewKey:
    """A new key; its secret is shown this once. Nobody gives a scope that they lack."""
    async with work.tenant() as uow:
        return await api_keys.create_key(uow, actor, data, datetime.now(UTC))


@reads("/api-keys/{key_id:uuid}", right=Right.KEYS_READ, operation="getApiKey")
async def get_key(actor: Actor, work: Work, key_id: UUID) -> ShownKey:
    """One key, without its secret."""
    async with work.tenant() as uow:
        return await api_keys.get_key(uow, actor, key_id)


@deletes("/api-keys/{key_id:uuid}", right=Right.KEYS_WRITE, operation="revokeApiKey")
async def revoke_key(actor: Actor, work: Work, key_id: UUID) -> None:
    """It is refused from the next request on."""
    async with work.tenant() as uow:
        await api_keys.revoke_key(uow, actor, key_id, datetime.now(UTC))


@reads("/audit", right=Right.AUDIT_READ, operation="listAuditEntries", one=False)
async def list_audit(
    actor: Actor,
    work: Work,
    limit: Limit,
    cursor: Cursor = None,
    action: Action = "",
    who: Who = "",
    subject: Subject = "",
) -> Listed[AuditEntry]:
    """Who did what, the newest first."""
    async with work.tenant() as uow:
        return await audit_page(uow, actor, _filter(action, who, subject), cursor, limit)


@reads("/audit/verification", right=Right.AUDIT_READ, operation="verifyAudit", one=False)
async def verify_audit(actor: Actor, work: Work, wiring: Wiring) -> AuditVerification:
    """Follows the whole chain of hashes and the signatures of its heads."""
    async with work.tenant() as uow:
        return audit_verification(
            await audit.verify(uow, actor, HeadSigner.from_settings(wiring.settings.security))
        )


@get(
    "/audit/export",
    right=Right.AUDIT_EXPORT,
    operation_id="exportAudit",
    responses={
        **problems(422),
        200: ResponseSpec(str, description="One entry a line, as JSON", media_type="application/x-ndjson"),
    },
)
async def export_audit(
    actor: Actor, work: Work, action: Action = "", who: Who = "", subject: Subject = ""
) -> Stream:
    """All entries that fit, the oldest first; the export is an entry itself."""
    wanted = _filter(action, who, subject)
    actor.must(Right.AUDIT_READ)

    async def pieces() -> AsyncGenerator[bytes]:
        async with work.tenant() as uow:
            async for each in audit.export(uow, actor, wanted):
                yield json.dumps(_entry(each).model_dump(mode="json")).encode() + b"\n"

    return Stream(pieces(), media_type="application/x-ndjson")


async def audit_page(
    uow: UnitOfWork, actor: Actor, wanted: audit.Filter, cursor: str | None, limit: int
) -> Listed[AuditEntry]:
    """A page of a chain: the organization's, or the box's."""
    found = await audit.find(uow, actor, wanted, before_sequence=_sequence(cursor), limit=limit)
    return Listed(
        items=[_entry(each) for each in found],
        next_cursor=str(found[-1].sequence) if len(found) == limit and found[-1].sequence > 1 else None,
    )


def audit_verification(found: Verification) -> AuditVerification:
    return AuditVerification(
        whole=found.whole,
        entries=found.entries,
        head_hash=found.head_hash,
        flaw_sequence=found.flaw.sequence if found.flaw else None,
        flaw=found.flaw.problem if found.flaw else None,
    )


def _filter(action: str, who: str, subject: str) -> audit.Filter:
    if any("\x00" in each for each in (action, who, subject)):
        raise InvalidInput("must not hold a NUL character.", field="action")
    return audit.Filter(action=action, actor=who, subject=subject)


def _sequence(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise InvalidInput("The cursor is not one of this list.", field="cursor")
    return int(cursor)


def _entry(entry: Entry) -> AuditEntry:
    return AuditEntry.model_validate({name: getattr(entry, name) for name in AuditEntry.model_fields})


HANDLERS: list[Any] = [
    get_organization,
    change_organization,
    get_usage,
    list_keys,
    create_key,
    get_key,
    revoke_key,
    list_audit,
    verify_audit,
    export_audit,
]
