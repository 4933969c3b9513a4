"""Members of the organization: invited, given other roles, removed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any
from uuid import UUID

from litestar import Response
from pydantic import BaseModel, ConfigDict, Field

from appliance.access.domain import Actor, Right, Role
from appliance.clients.identity_admin import IdentityAdmin
from appliance.database.paging import Listed
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.members import service
from appliance.members.service import Member
from console.api.answers import (
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    creates,
    deletes,
    expected_revision,
    reads,
    replaces,
    tagged,
)
from console.web.wiring import Wiring
from console.web.work import Work

PersonName = Annotated[str, Field(min_length=1, max_length=service.MAX_NAME, pattern=r"^[^\x00-\x1f<>]+$")]
_MAIL = r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,180}\.[A-Za-z]{2,20}$"
MailAddress = Annotated[str, Field(max_length=service.MAX_EMAIL, pattern=_MAIL)]
Roles = Annotated[list[Role], Field(min_length=1, max_length=8, examples=[["builder", "listener"]])]


class Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberInput(Given):
    email: MailAddress = Field(examples=["ada@example.com"])
    first_name: PersonName = Field(examples=["Ada"])
    last_name: PersonName = Field(examples=["Byron"])
    roles: Roles


class RolesInput(Given):
    roles: Roles


class ShownMember(BaseModel):
    id: UUID
    name: str = Field(examples=["Ada Byron"])
    email: str
    user: str
    enabled: bool
    roles: list[Role]


class InvitedMember(BaseModel):
    """`password` is for the first sign-in and shown this once; null for a person who has one already."""

    member: ShownMember
    password: str | None


async def provide_identity_admin(wiring: Wiring) -> AsyncGenerator[IdentityAdmin]:
    """One for each request: its token and connections end with it."""
    identity = IdentityAdmin(wiring.settings.identity)
    try:
        yield identity
    finally:
        await identity.close()


@reads("/members", right=Right.MEMBERS_READ, operation="listMembers", one=False)
async def list_members(actor: Actor, work: Work, identity: IdentityAdmin) -> Listed[ShownMember]:
    """All members, as the sign-in knows them; always one page."""
    async with work.tenant() as uow:
        return Listed(items=[shown_member(each) for each in await service.members(uow, actor, identity)])


@creates("/members", right=Right.MEMBERS_WRITE, operation="inviteMember", fresh=True)
async def invite_member(
    actor: Actor,
    work: Work,
    identity: IdentityAdmin,
    data: MemberInput,
    idempotency_key: IdempotencyKey = None,
) -> InvitedMember:
    """Takes a person in; one whom the box does not know yet gets a password for the first sign-in."""
    async with work.tenant() as uow:
        invited = await service.invite(
            uow,
            actor,
            identity,
            email=data.email,
            first_name=data.first_name,
            last_name=data.last_name,
            roles=service.read_roles(data.roles),
        )
    return InvitedMember(member=shown_member(invited.member), password=invited.password)


@reads("/members/{member_id:uuid}", right=Right.MEMBERS_READ, operation="getMember")
async def get_member(
    actor: Actor, work: Work, identity: IdentityAdmin, member_id: UUID, if_none_match: IfNoneMatch = None
) -> Response[ShownMember]:
    """One member."""
    async with work.tenant() as uow:
        shown = shown_member(await service.member(uow, actor, identity, str(member_id)))
    return tagged(shown, if_none_match=if_none_match)


@replaces("/members/{member_id:uuid}/roles", right=Right.MEMBERS_WRITE, operation="changeRoles", fresh=True)
async def change_roles(
    actor: Actor,
    work: Work,
    identity: IdentityAdmin,
    member_id: UUID,
    data: RolesInput,
    if_match: IfMatch = None,
) -> Response[ShownMember]:
    """Other roles, at once also where the member is signed in. If-Match: the member's ETag."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await _expect(uow, actor, identity, member_id, revision)
        roles = service.read_roles(data.roles)
        shown = shown_member(await service.change_roles(uow, actor, identity, str(member_id), roles))
    return tagged(shown)


@deletes("/members/{member_id:uuid}", right=Right.MEMBERS_WRITE, operation="removeMember", fresh=True)
async def remove_member(
    actor: Actor, work: Work, identity: IdentityAdmin, member_id: UUID, if_match: IfMatch = None
) -> None:
    """Takes a member out of the organization; 409 for its last administrator."""
    revision = expected_revision(if_match)
    async with work.tenant() as uow:
        await _expect(uow, actor, identity, member_id, revision)
        await service.remove(uow, actor, identity, str(member_id))


async def _expect(
    uow: UnitOfWork, actor: Actor, identity: IdentityAdmin, member_id: UUID, revision: str | None
) -> None:
    """412 when the member is not any more what `revision` was made of."""
    if revision is not None:
        check_revision(
            revision, revision_of(shown_member(await service.member(uow, actor, identity, str(member_id))))
        )


def shown_member(member: Member) -> ShownMember:
    return ShownMember(
        id=UUID(member.id),
        name=member.name,
        email=member.email,
        user=member.user,
        enabled=member.enabled,
        roles=sorted(member.roles),
    )


HANDLERS: list[Any] = [list_members, invite_member, get_member, change_roles, remove_member]
