"""Deleting what an organization no longer wants to keep."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from appliance.access.domain import Actor, ActorKind
from appliance.audit.service import record
from appliance.calls.tables import Call
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.settings_service import settings_of
from appliance.recordings.tables import Recording

AT_ONCE = 500
"""Rows of one round: the next round comes soon, and no transaction lasts long."""


async def enforce(uow: UnitOfWork, now: datetime) -> tuple[int, int]:
    """Deletes the keys of recordings and the calls that are older than the settings say; returns how many.

    A recording without its key is deleted wherever copies of it lie. A call goes with its transcript, turns,
    events and recordings; bookings and orders stay.
    """
    retention = (await settings_of(uow)).retention
    recordings = calls = 0
    if retention.recordings_days is not None:
        old = Recording.created_at < now - timedelta(days=retention.recordings_days)
        found = list(
            await uow.session.scalars(
                select(Recording.id).where(old, Recording.wrapped_data_key.is_not(None)).limit(AT_ONCE)
            )
        )
        await uow.session.execute(
            update(Recording).where(Recording.id.in_(found)).values(wrapped_data_key=None)
        )
        recordings = len(found)
    if retention.calls_days is not None:
        old = Call.ended_at < now - timedelta(days=retention.calls_days)
        found = list(await uow.session.scalars(select(Call.id).where(old).order_by(Call.id).limit(AT_ONCE)))
        await uow.session.execute(delete(Call).where(Call.id.in_(found)))
        calls = len(found)
    if recordings or calls:
        actor = Actor(ActorKind.SYSTEM, "jobs", "Retention", uow.organization_id)
        told = {"recordings": recordings, "calls": calls}
        await record(uow, actor, "retention.deleted", f"organization:{uow.organization_id}", after=told)
    return recordings, calls
