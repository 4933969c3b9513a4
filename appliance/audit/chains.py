"""What concerns every chain of the box: looked at by the operator, signed by the jobs worker."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.access.domain import Actor, ActorKind, Right
from appliance.audit import service
from appliance.audit.service import Verification
from appliance.audit.signing import HeadSigner, sign_when_due
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.tables import Organization

THE_BOX = "the box"


async def chains(router: AsyncEngine) -> list[tuple[str, UUID | None]]:
    """Name and identifier of each, the box's own (None) first."""
    async with UnitOfWork(router, None) as uow:
        rows = await uow.session.execute(
            select(Organization.id, Organization.slug).order_by(Organization.slug)
        )
        return [(THE_BOX, None), *((row.slug, row.id) for row in rows)]


async def sign_all_heads(router: AsyncEngine, app: AsyncEngine, signer: HeadSigner, now: datetime) -> int:
    """Signs the heads that are due; how many."""
    signed = 0
    for _, chain in await chains(router):
        async with UnitOfWork(app, chain) as uow:
            signed += await sign_when_due(uow, signer, now) is not None
    return signed


async def verify_all(
    router: AsyncEngine, app: AsyncEngine, signer: HeadSigner | None
) -> list[tuple[str, Verification]]:
    """What is found in each chain, by its name."""
    found: list[tuple[str, Verification]] = []
    rights = frozenset({Right.AUDIT_READ, Right.BOX_READ})
    for name, chain in await chains(router):
        operator = Actor(ActorKind.SYSTEM, "appliance", "The operator at the box", chain, rights)
        async with UnitOfWork(app, chain) as uow:
            found.append((name, await service.verify(uow, operator, signer)))
    return found
