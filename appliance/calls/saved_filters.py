"""Searches of calls that are kept under a name."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import or_, select

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.calls.archive_domain import CallFilter, ShownFilter
from appliance.calls.archive_tables import SavedFilter
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound

MAX_FILTERS = 200


async def saved_filters(uow: UnitOfWork, actor: Actor) -> list[ShownFilter]:
    """One's own and the shared ones, by name."""
    actor.must(Right.CALLS_READ)
    rows = await uow.session.scalars(
        select(SavedFilter)
        .where(or_(SavedFilter.owner == actor.id, SavedFilter.shared))
        .order_by(SavedFilter.name, SavedFilter.id)
        .limit(2 * MAX_FILTERS)
    )
    return [_shown(row, actor) for row in rows]


async def save_filter(
    uow: UnitOfWork, actor: Actor, name: str, wanted: CallFilter, *, shared: bool = False
) -> ShownFilter:
    """Keeps a filter; the same name again replaces one's own."""
    actor.must(Right.CALLS_READ)
    assert uow.organization_id is not None
    await uow.lock(f"saved filters {uow.organization_id} {actor.id}")
    mine = (await uow.session.scalars(select(SavedFilter).where(SavedFilter.owner == actor.id))).all()
    row = next((each for each in mine if each.name == name), None)
    if row is None:
        if len(mine) >= MAX_FILTERS:
            raise Conflict(f"There are {MAX_FILTERS} filters already.", remedy="Delete one first.")
        row = SavedFilter(id=uuid7(), organization_id=uow.organization_id, owner=actor.id, name=name)
        uow.session.add(row)
    row.filter = wanted.model_dump(mode="json")
    row.shared = shared
    await uow.session.flush()
    await record(uow, actor, "calls.filter_saved", f"filter:{row.id}", after={"name": name, "shared": shared})
    return _shown(row, actor)


async def delete_filter(uow: UnitOfWork, actor: Actor, filter_id: UUID) -> None:
    """Deletes one of one's own filters."""
    actor.must(Right.CALLS_READ)
    row = await uow.session.get(SavedFilter, filter_id)
    if row is None or row.owner != actor.id:
        raise NotFound("The filter does not exist, or is somebody else's.")
    await uow.session.delete(row)
    await record(uow, actor, "calls.filter_deleted", f"filter:{filter_id}", before={"name": row.name})


def _shown(row: SavedFilter, actor: Actor) -> ShownFilter:
    return ShownFilter(
        id=row.id,
        name=row.name,
        mine=row.owner == actor.id,
        shared=row.shared,
        filter=CallFilter.model_validate(row.filter),
    )
