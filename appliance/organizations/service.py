"""Use cases of organizations."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing


async def rewrap_keys(router: AsyncEngine, app: AsyncEngine, keys: KeyRing) -> int:
    """Wraps every organization's key with the current box key; returns how many were not yet.

    The second step of a rotation: after it, the old line may leave the box key's file. It may be interrupted
    and repeated. IntegrityError if a key was wrapped with a box key that is not in the file.
    """
    async with UnitOfWork(router, None) as uow:
        organization_ids = (
            await uow.session.scalars(select(Organization.id).order_by(Organization.id))
        ).all()
    changed = 0
    for organization_id in organization_ids:
        async with UnitOfWork(app, organization_id) as uow:
            organization = await uow.session.get(Organization, organization_id, with_for_update=True)
            if organization is None:
                continue
            wrapped = keys.rewrap_organization_key(organization_id, organization.wrapped_key)
            if wrapped != organization.wrapped_key:
                organization.wrapped_key = wrapped
                changed += 1
    return changed
