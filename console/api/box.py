"""The box, for its operator: organizations and their administrators, parts, versions, its own log."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, post
from litestar.di import Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream
from pydantic import BaseModel, ConfigDict, Field

from appliance.access.domain import Actor, Right
from appliance.audit import service as audit
from appliance.audit.signing import HeadSigner
from appliance.box import service
from appliance.box.health import BoxHealth
from appliance.box.service import ListedOrganization, NewOrganization
from appliance.box.support_bundle import MEDIA_TYPE, download
from appliance.clients.identity_admin import IdentityAdmin
from appliance.database.paging import Listed
from console.api.answers import Cursor, IdempotencyKey, Limit, creates, problems, reads, tagged
from console.api.members import InvitedMember, MailAddress, PersonName, shown_member
from console.api.organization import AuditEntry, AuditVerification, audit_page, audit_verification
from console.box.support_bundle import bundle_stream
from console.overview.pages import provide_box_health
from console.web.wiring import Wiring
from console.web.work import Work

_HEALTH = {"box_health": Provide(provide_box_health, sync_to_thread=False)}


class Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TenantInput(Given):
    slug: Annotated[str, Field(max_length=40)] = Field(examples=["acme"])
    name: Annotated[str, Field(max_length=service.MAX_NAME)] = Field(examples=["Acme Dental"])
    timezone: Annotated[str, Field(max_length=64)] = Field(examples=["Europe/Berlin"])
    language: Annotated[str, Field(max_length=35)] = Field(default="en", examples=["de"])
    max_calls: int = Field(default=10, ge=0, le=service.MOST_CALLS)


class AdministratorInput(Given):
    email: MailAddress = Field(examples=["ada@example.com"])
    first_name: PersonName = Field(examples=["Ada"])
    last_name: PersonName = Field(examples=["Byron"])


class ShownTenant(BaseModel):
    """An organization of the box, as its operator sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    name: str
    timezone: str
    max_calls: int
    numbers: int
    live_calls: int


class BoxPart(BaseModel):
    name: str
    good: bool


class BoxFact(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    value: str
    good: bool


class ShownBox(BaseModel):
    """Whether each part answers, and what the box stands on, by subject."""

    parts: list[BoxPart]
    facts: dict[str, list[BoxFact]]


@reads("/box", right=Right.BOX_READ, operation="getBox", one=False, dependencies=_HEALTH)
async def get_box(actor: Actor, work: Work, wiring: Wiring, box_health: BoxHealth) -> ShownBox:
    """Parts, versions, storage and certificates, as they are now."""
    async with work.box() as uow:
        facts = await service.facts(uow, actor, wiring.settings)
    return ShownBox(
        parts=[BoxPart(name=each.name, good=each.good) for each in await box_health.look()],
        facts={subject: [BoxFact.model_validate(each) for each in found] for subject, found in facts.items()},
    )


@reads("/box/organizations", right=Right.BOX_READ, operation="listOrganizations", one=False)
async def list_organizations(actor: Actor, work: Work) -> Listed[ShownTenant]:
    """All organizations of the box, by name; always one page."""
    async with work.across() as uow:
        return Listed(items=[_shown(each) for each in await service.organizations(uow, actor)])


@creates("/box/organizations", right=Right.BOX_WRITE, operation="createOrganization", fresh=True)
async def create_organization(
    actor: Actor, work: Work, wiring: Wiring, data: TenantInput, idempotency_key: IdempotencyKey = None
) -> Response[ShownTenant]:
    """A new organization with a key of its own; invite its first administrator next."""
    made = await service.create_organization(
        wiring.app, actor, wiring.keys, NewOrganization(**data.model_dump())
    )
    async with work.across() as uow:
        shown = next(each for each in await service.organizations(uow, actor) if each.id == made)
    return tagged(_shown(shown), status=201)


@creates(
    "/box/organizations/{organization_id:uuid}/administrators",
    right=Right.BOX_WRITE,
    operation="inviteAdministrator",
    fresh=True,
)
async def invite_administrator(
    actor: Actor,
    wiring: Wiring,
    identity: IdentityAdmin,
    organization_id: UUID,
    data: AdministratorInput,
    idempotency_key: IdempotencyKey = None,
) -> InvitedMember:
    """Gives an organization an administrator."""
    async with wiring.work_of(organization_id) as uow:
        invited = await service.invite_administrator(uow, actor, identity, **data.model_dump())
    return InvitedMember(member=shown_member(invited.member), password=invited.password)


@post(
    "/box/support-bundle",
    right=Right.BOX_WRITE,
    fresh=True,
    operation_id="createSupportBundle",
    status_code=200,
    dependencies=_HEALTH,
    responses={
        **problems(),
        200: ResponseSpec(
            bytes,
            description="A .tar.gz; its manifest.json names each file with its SHA-256 and what was not read",
            media_type=MEDIA_TYPE,
        ),
    },
)
async def create_support_bundle(actor: Actor, work: Work, wiring: Wiring, box_health: BoxHealth) -> Stream:
    """Versions, health, settings without secrets, tables without rows, disk, memory and the end of each log.

    Written to the box's log; 429 while another one is made.
    """
    return bundle_stream(await download(work.box, actor, wiring.settings, box_health))


@reads("/box/audit", right=Right.BOX_READ, operation="listBoxAuditEntries", one=False)
async def list_audit(actor: Actor, work: Work, limit: Limit, cursor: Cursor = None) -> Listed[AuditEntry]:
    """What was done to the box itself, the newest first."""
    async with work.box() as uow:
        return await audit_page(uow, actor, audit.Filter(), cursor, limit)


@reads("/box/audit/verification", right=Right.BOX_READ, operation="verifyBoxAudit", one=False)
async def verify_audit(actor: Actor, work: Work, wiring: Wiring) -> AuditVerification:
    """Follows the chain of the box."""
    async with work.box() as uow:
        return audit_verification(
            await audit.verify(uow, actor, HeadSigner.from_settings(wiring.settings.security))
        )


def _shown(organization: ListedOrganization) -> ShownTenant:
    return ShownTenant.model_validate(organization)


HANDLERS: list[Any] = [
    get_box,
    list_organizations,
    create_organization,
    invite_administrator,
    create_support_bundle,
    list_audit,
    verify_audit,
]
