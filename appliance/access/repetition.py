"""Requests with an Idempotency-Key: the first is carried out, a repetition is given its answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from appliance.access.domain import Actor
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, IntegrityError, InvalidInput
from appliance.organizations.console_tables import IdempotencyKey
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing

KEPT = timedelta(hours=24)
GIVEN_UP = timedelta(minutes=2)
"""No request lasts so long: one without an answer died with its process."""
_FIELD = "idempotency_keys.body"


@dataclass(frozen=True)
class KeptAnswer:
    status: int
    headers: dict[str, str]
    body: bytes


def fingerprint(method: str, path: str, query: bytes, body: bytes) -> bytes:
    """What makes two requests the same."""
    digest = hashlib.sha256()
    for part in (method.encode(), path.encode(), query, body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


async def claim(
    uow: UnitOfWork, keys: KeyRing, actor: Actor, key: str, print_: bytes, now: datetime
) -> KeptAnswer | None:
    """None: this request is the first, carry it out. Else the answer to give again.

    InvalidInput (`idempotency_key_reused`) when the key came with another request, Conflict
    (`still_running`) while the first one runs.
    """
    who = f"{actor.kind}:{actor.id}"
    table = IdempotencyKey
    await uow.session.execute(delete(table).where(table.created_at < now - KEPT))
    claimed = await uow.session.scalar(
        insert(table)
        .values(
            id=uuid7(),
            organization_id=uow.organization_id,
            actor=who,
            key=key,
            fingerprint=print_,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["organization_id", "actor", "key"])
        .returning(table.id)
    )
    if claimed is not None:
        return None
    row = await _row(uow, actor, key)
    if row is None:
        raise Conflict("The first request with this key still runs.", code="still_running")
    if row.fingerprint != print_:
        raise InvalidInput(
            "This Idempotency-Key came with another request.",
            field="Idempotency-Key",
            remedy="Use a new key for each request.",
            code="idempotency_key_reused",
        )
    if row.status is None or row.headers is None or row.body is None:
        if row.created_at > now - GIVEN_UP:
            raise Conflict("The first request with this key still runs.", code="still_running")
        row.created_at = now
        return None
    organization = await uow.session.get_one(Organization, row.organization_id)
    text = keys.decrypt_field(organization.id, organization.wrapped_key, _FIELD, row.id, row.body)
    return KeptAnswer(row.status, {str(k): str(v) for k, v in row.headers.items()}, text.encode("latin-1"))


async def keep(uow: UnitOfWork, keys: KeyRing, actor: Actor, key: str, answer: KeptAnswer) -> None:
    """Keeps the answer, sealed: it may hold a secret that is shown only once."""
    row = await _row(uow, actor, key)
    if row is None:
        return
    organization = await uow.session.get_one(Organization, row.organization_id)
    row.status, row.headers = answer.status, json.loads(json.dumps(answer.headers))
    try:
        row.body = keys.encrypt_field(
            organization.id, organization.wrapped_key, _FIELD, row.id, answer.body.decode("latin-1")
        )
    except IntegrityError:
        await uow.session.delete(row)


async def release(uow: UnitOfWork, actor: Actor, key: str) -> None:
    """Forgets a request that failed on our side, so that it may be repeated."""
    row = await _row(uow, actor, key)
    if row is not None:
        await uow.session.delete(row)


async def _row(uow: UnitOfWork, actor: Actor, key: str) -> IdempotencyKey | None:
    return await uow.session.scalar(
        select(IdempotencyKey)
        .where(IdempotencyKey.actor == f"{actor.kind}:{actor.id}", IdempotencyKey.key == key)
        .with_for_update()
    )
