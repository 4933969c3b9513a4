"""How many requests an actor makes in a minute, counted in the database: one count for all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from appliance.access.domain import Actor
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.console_tables import RateWindow

WINDOW = timedelta(minutes=1)
KEPT = timedelta(hours=1)


@dataclass(frozen=True)
class Allowance:
    limit: int
    remaining: int
    reset_seconds: int
    exceeded: bool


async def count_request(uow: UnitOfWork, actor: Actor, limit: int, now: datetime) -> Allowance:
    """Counts one request of this minute."""
    starts_at = now.replace(second=0, microsecond=0)
    who = f"{actor.kind}:{actor.id}"
    requests = (
        await uow.session.execute(
            insert(RateWindow)
            .values(
                id=uuid7(), organization_id=uow.organization_id, actor=who, starts_at=starts_at, requests=1
            )
            .on_conflict_do_update(
                index_elements=["organization_id", "actor", "starts_at"],
                set_={"requests": RateWindow.requests + 1},
            )
            .returning(RateWindow.requests)
        )
    ).scalar_one()
    if requests == 1:
        await uow.session.execute(
            delete(RateWindow).where(RateWindow.actor == who, RateWindow.starts_at < now - KEPT)
        )
    return Allowance(
        limit=limit,
        remaining=max(0, limit - requests),
        reset_seconds=max(1, round((starts_at + WINDOW - now).total_seconds())),
        exceeded=requests > limit,
    )
