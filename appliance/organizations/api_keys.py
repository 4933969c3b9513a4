"""Keys of programs: made by members, shown once, and found again by their prefix."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.access.domain import Actor, ActorKind, Right
from appliance.audit.service import record
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import InvalidInput, NotAllowed, NotFound
from appliance.organizations.console_tables import ApiKey
from appliance.organizations.domain import KeyInput, NewKey, ShownKey

_KEY = re.compile(r"^tl_([a-z0-9]{12})_([A-Za-z0-9-]{32,64})$")
_PREFIX_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789"
_SECRET_SIGNS = _PREFIX_SIGNS + _PREFIX_SIGNS[:26].upper()
_USE_NOTED_EVERY = timedelta(minutes=1)
_BAD = "The API key is not valid, or not any more."


async def list_keys(
    uow: UnitOfWork, actor: Actor, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownKey]:
    """The keys, also revoked ones, the newest first."""
    actor.must(Right.KEYS_READ)
    rows = await uow.session.scalars(
        newest_first(select(ApiKey), ApiKey.created_at, ApiKey.id, cursor, limit)
    )
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), _shown)


async def get_key(uow: UnitOfWork, actor: Actor, key_id: UUID) -> ShownKey:
    actor.must(Right.KEYS_READ)
    row = await uow.session.get(ApiKey, key_id)
    if row is None:
        raise NotFound("The API key does not exist.")
    return _shown(row)


async def create_key(uow: UnitOfWork, actor: Actor, wanted: KeyInput, now: datetime) -> NewKey:
    """A new key. NotAllowed for a scope that the actor lacks: nobody gives more than they have."""
    actor.must(Right.KEYS_WRITE)
    assert uow.organization_id is not None
    for scope in wanted.scopes:
        actor.must(scope)
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise InvalidInput("The end must lie in the future.", field="expires_at")
    prefix = "".join(secrets.choice(_PREFIX_SIGNS) for _ in range(12))
    secret = "".join(secrets.choice(_SECRET_SIGNS) for _ in range(40))
    row = ApiKey(
        id=uuid7(),
        organization_id=uow.organization_id,
        name=wanted.name,
        prefix=prefix,
        secret_hash=_hash(secret),
        scopes=sorted(set(wanted.scopes)),
        requests_per_minute=wanted.requests_per_minute,
        created_by=actor.name,
        expires_at=wanted.expires_at,
    )
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)
    shown = _shown(row)
    told = {"name": shown.name, "prefix": prefix, "scopes": shown.scopes, "expires_at": shown.expires_at}
    await record(uow, actor, "keys.created", f"api_key:{row.id}", after=told)
    return NewKey(key=shown, secret=f"tl_{prefix}_{secret}")


async def revoke_key(uow: UnitOfWork, actor: Actor, key_id: UUID, now: datetime) -> ShownKey:
    """It is refused from the next request on. Revoked twice: the first stays."""
    actor.must(Right.KEYS_WRITE)
    row = await row_to_change(uow, ApiKey, key_id, "The API key does not exist.")
    if row.revoked_at is None:
        row.revoked_at = now
        await record(uow, actor, "keys.revoked", f"api_key:{key_id}", before={"name": row.name})
    return _shown(row)


@dataclass(frozen=True)
class KeyHolder:
    """The program behind a key, and how often it may ask."""

    actor: Actor
    requests_per_minute: int


async def holder_of(
    router: AsyncEngine, app: AsyncEngine, presented: str, *, address: str | None, now: datetime
) -> KeyHolder:
    """Who shows this key. NotAllowed (`token_invalid`) when it is wrong, expired or revoked, told alike."""
    match = _KEY.match(presented)
    if match is None:
        raise NotAllowed(_BAD, code="token_invalid")
    prefix, secret = match.groups()
    async with UnitOfWork(router, None) as uow:
        found = (
            await uow.session.execute(
                select(ApiKey.id, ApiKey.organization_id).where(ApiKey.prefix == prefix)
            )
        ).one_or_none()
    if found is None:
        raise NotAllowed(_BAD, code="token_invalid")
    async with UnitOfWork(app, found.organization_id) as uow:
        row = await uow.session.get(ApiKey, found.id)
        good = row is not None and hmac.compare_digest(row.secret_hash, _hash(secret))
        if row is None or not good or row.revoked_at is not None or _is_over(row, now):
            raise NotAllowed(_BAD, code="token_invalid")
        if row.last_used_at is None or now - row.last_used_at > _USE_NOTED_EVERY:
            row.last_used_at = now
        rights = frozenset(Right(scope) for scope in row.scopes if scope in set(Right))
        actor = Actor(ActorKind.API_KEY, str(row.id), row.name, row.organization_id, rights, address)
        return KeyHolder(actor, row.requests_per_minute)


def _is_over(row: ApiKey, now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def _hash(secret: str) -> bytes:
    """Plain SHA-256: the secret has 238 random bits, so that there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


def _shown(row: ApiKey) -> ShownKey:
    return ShownKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=list(row.scopes),
        requests_per_minute=row.requests_per_minute,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
