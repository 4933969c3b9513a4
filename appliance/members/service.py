"""Use cases of members. The identity provider keeps people and roles; the audit log what was done to them.

The roles of a person in all organizations stand in one value at the provider: whoever changes it holds one
lock, so that two organizations do not overwrite each other. The log is written last, in the same
transaction; if it cannot be, the provider is put back as it was.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from appliance.access import sessions
from appliance.access.domain import Actor, Right, Role
from appliance.audit import service as audit
from appliance.clients.identity_admin import Account, IdentityAdmin
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, InvalidInput, NotFound

ASSIGNABLE = (Role.BUILDER, Role.LISTENER, Role.AUDITOR, Role.ADMIN)
"""What an administrator may give; the operator of the box is made at the identity provider."""

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]{2,}")
MAX_EMAIL, MAX_NAME = 254, 100
_LOCK = "members"
"""Held by whoever changes somebody's roles, on the whole box: it happens seldom and takes a second."""


@dataclass(frozen=True)
class Member:
    id: str
    name: str
    email: str
    user: str
    enabled: bool
    roles: frozenset[Role]


@dataclass(frozen=True)
class Invited:
    """`password` is for the first sign-in, told once; None for a person who has one already."""

    member: Member
    password: str | None


def read_roles(names: Iterable[str]) -> frozenset[Role]:
    """Raises InvalidInput for none, and for what an administrator may not give."""
    chosen = list(names)
    roles = frozenset(role for role in ASSIGNABLE if role.value in chosen)
    if not roles or len(roles) != len(set(chosen)):
        raise InvalidInput("Choose at least one role.", field="roles")
    return roles


async def members(uow: UnitOfWork, actor: Actor, identity: IdentityAdmin) -> list[Member]:
    actor.must(Right.MEMBERS_READ)
    return [_member(uow, account) for account in await identity.members(_organization(uow))]


async def member(uow: UnitOfWork, actor: Actor, identity: IdentityAdmin, member_id: str) -> Member:
    """NotFound for one of another organization, too."""
    actor.must(Right.MEMBERS_READ)
    return _member(uow, await _account(uow, identity, member_id))


async def invite(
    uow: UnitOfWork,
    actor: Actor,
    identity: IdentityAdmin,
    *,
    email: str,
    first_name: str,
    last_name: str,
    roles: frozenset[Role],
) -> Invited:
    """Takes a person in: a new one with a password for once, or one whom the box knows already."""
    actor.must(Right.MEMBERS_WRITE)
    email = email.strip().lower()
    if len(email) > MAX_EMAIL or not _EMAIL.fullmatch(email):
        raise InvalidInput("This is not a mail address.", field="email")
    for field, text in (("first_name", first_name), ("last_name", last_name)):
        if not text.strip() or len(text) > MAX_NAME:
            raise InvalidInput("Please write a name.", field=field)
    organization = _organization(uow)
    await uow.lock(_LOCK)
    password = None
    account = await identity.by_email(email)
    if account is None:
        password = secrets.token_urlsafe(12)
        account = await identity.create(
            email=email, first_name=first_name.strip(), last_name=last_name.strip(), password=password
        )
    elif organization in account.organizations:
        raise Conflict("This person is a member already.")
    after = {"name": account.name, "email": email, "roles": sorted(roles)}
    async with _or_put_back(identity, account):
        await _write_roles(uow, identity, account, roles)
        await audit.record(uow, actor, "members.invite", f"member:{account.id}", after=after)
        await uow.commit()
    return Invited(_member(uow, await identity.account(account.id)), password)


async def change_roles(
    uow: UnitOfWork, actor: Actor, identity: IdentityAdmin, member_id: str, roles: frozenset[Role]
) -> Member:
    """Gives other roles, at once also to those who are signed in. Conflict: an organization keeps one
    administrator."""
    actor.must(Right.MEMBERS_WRITE)
    organization = _organization(uow)
    await uow.lock(_LOCK)
    account = await _account(uow, identity, member_id)
    before = account.organizations[organization]
    if Role.ADMIN in before and Role.ADMIN not in roles:
        await _require_another_administrator(uow, identity, account)
    was, now = ({"name": account.name, "roles": sorted(held)} for held in (before, roles))
    async with _or_put_back(identity, account):
        await _write_roles(uow, identity, account, roles)
        await sessions.change_member(uow, account.id, organization, roles)
        await audit.record(uow, actor, "members.change_roles", f"member:{account.id}", before=was, after=now)
        await uow.commit()
    return _member(uow, await identity.account(member_id))


async def remove(uow: UnitOfWork, actor: Actor, identity: IdentityAdmin, member_id: str) -> None:
    """Takes a member out of the organization; the person and other memberships stay."""
    actor.must(Right.MEMBERS_WRITE)
    organization = _organization(uow)
    await uow.lock(_LOCK)
    account = await _account(uow, identity, member_id)
    before = account.organizations[organization]
    if Role.ADMIN in before:
        await _require_another_administrator(uow, identity, account)
    gone = {"name": account.name, "email": account.email, "roles": sorted(before)}
    async with _or_put_back(identity, account):
        await _write_roles(uow, identity, account, frozenset())
        await sessions.change_member(uow, account.id, organization, frozenset())
        await audit.record(uow, actor, "members.remove", f"member:{account.id}", before=gone)
        await uow.commit()


async def _require_another_administrator(uow: UnitOfWork, identity: IdentityAdmin, leaving: Account) -> None:
    organization = _organization(uow)
    others = [account for account in await identity.members(organization) if account.id != leaving.id]
    if not any(account.enabled and Role.ADMIN in account.organizations[organization] for account in others):
        raise Conflict("This is the last administrator.", remedy="Make somebody else an administrator first.")


async def _write_roles(
    uow: UnitOfWork, identity: IdentityAdmin, account: Account, roles: frozenset[Role]
) -> None:
    organizations = {key: value for key, value in account.organizations.items() if key != _organization(uow)}
    if roles:
        organizations[_organization(uow)] = roles
    await identity.set_roles(account, organizations)


@asynccontextmanager
async def _or_put_back(identity: IdentityAdmin, account: Account) -> AsyncGenerator[None]:
    """Nothing is changed at the provider without an entry in our log."""
    try:
        yield
    except BaseException:
        await identity.set_roles(account, account.organizations)
        raise


async def _account(uow: UnitOfWork, identity: IdentityAdmin, member_id: str) -> Account:
    account = await identity.account(member_id)
    if _organization(uow) not in account.organizations:
        raise NotFound("There is no such member.")
    return account


def _organization(uow: UnitOfWork) -> UUID:
    if uow.organization_id is None:
        raise NotFound("You look at no organization.")
    return uow.organization_id


def _member(uow: UnitOfWork, account: Account) -> Member:
    return Member(
        id=account.id,
        name=account.name,
        email=account.email,
        user=account.user,
        enabled=account.enabled,
        roles=account.organizations[_organization(uow)],
    )
