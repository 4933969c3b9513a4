"""Minutes and calls of a month, by day and by agent, against the organization's quota."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Float, func, select

from appliance.access.domain import Actor, Right
from appliance.agents.tables import Agent, AgentVersion
from appliance.calls.tables import Call
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.settings_service import settings_of
from appliance.organizations.tables import Organization
from appliance.telephony.service import zone_of


class Amount(BaseModel):
    model_config = ConfigDict(frozen=True)

    calls: int
    answered: int
    minutes: float
    """From answer to end; of calls that last, to now."""


class DayUsage(Amount):
    day: date


class AgentUsage(Amount):
    agent_id: UUID | None
    agent_name: str | None


class Usage(Amount):
    """Of a calendar month in the organization's time zone."""

    month: date
    quota_minutes: int | None
    quota_percent: float | None
    days: list[DayUsage]
    agents: list[AgentUsage]


async def usage_of_month(uow: UnitOfWork, actor: Actor, month: date | None, now: datetime) -> Usage:
    """The usage of the month in which the day lies; of this month when none is given."""
    actor.must(Right.ORGANIZATION_READ)
    return await measured_usage(uow, month, now)


async def measured_usage(uow: UnitOfWork, month: date | None, now: datetime) -> Usage:
    """As `usage_of_month`, for the box's own work."""
    organization = await uow.session.get_one(Organization, uow.organization_id)
    zone = zone_of(organization.timezone)
    first = (month or now.astimezone(zone).date()).replace(day=1)
    after = (
        date(first.year + first.month // 12, first.month % 12 + 1, 1) if first.year < date.max.year else first
    )
    begins, ends = (datetime(day.year, day.month, 1, tzinfo=zone).astimezone(UTC) for day in (first, after))
    seconds = func.extract("epoch", func.coalesce(Call.ended_at, now) - Call.answered_at).cast(Float)
    amounts = (
        func.count().label("calls"),
        func.count(Call.answered_at).label("answered"),
        (func.coalesce(func.sum(func.greatest(seconds, 0.0)), 0.0) / 60).label("minutes"),
    )
    day = func.date(func.timezone(zone.key, Call.created_at)).label("day")
    of_month = (Call.created_at >= begins) & (Call.created_at < ends)
    by_day = (
        await uow.session.execute(select(day, *amounts).where(of_month).group_by(day).order_by(day))
    ).all()
    by_agent = (
        await uow.session.execute(
            select(Agent.id, Agent.name, *amounts)
            .select_from(Call)
            .outerjoin(AgentVersion, AgentVersion.id == Call.agent_version_id)
            .outerjoin(Agent, Agent.id == AgentVersion.agent_id)
            .where(of_month)
            .group_by(Agent.id, Agent.name)
            .order_by(func.count().desc())
        )
    ).all()
    minutes = sum(float(row.minutes) for row in by_day)
    quota = (await settings_of(uow)).quota.minutes_per_month
    return Usage(
        month=first,
        calls=sum(row.calls for row in by_day),
        answered=sum(row.answered for row in by_day),
        minutes=round(minutes, 2),
        quota_minutes=quota,
        quota_percent=round(100 * minutes / quota, 1) if quota else None,
        days=[
            DayUsage(day=row.day, calls=row.calls, answered=row.answered, minutes=round(row.minutes, 2))
            for row in by_day
        ],
        agents=[
            AgentUsage(
                agent_id=row.id,
                agent_name=row.name,
                calls=row.calls,
                answered=row.answered,
                minutes=round(row.minutes, 2),
            )
            for row in by_agent
        ],
    )
