"""Tells, once a month, that a quota is nearly used up."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.console_tables import OrganizationSettings as Row
from appliance.organizations.domain import OrganizationSettings
from appliance.usage.service import measured_usage
from appliance.webhooks.outbox import announce


async def warn_when_near(uow: UnitOfWork, now: datetime) -> bool:
    """True when it was told now."""
    row = await uow.session.scalar(select(Row).with_for_update())
    if row is None:
        return False
    quota = OrganizationSettings.model_validate(row.settings).quota
    if quota.minutes_per_month is None:
        return False
    usage = await measured_usage(uow, None, now)
    if row.quota_announced == usage.month or (usage.quota_percent or 0) < quota.warn_at_percent:
        return False
    row.quota_announced = usage.month
    told = {
        "month": usage.month.isoformat(),
        "minutes": usage.minutes,
        "quota_minutes": quota.minutes_per_month,
    }
    await announce(uow, "quota.near", f"organizations/{uow.organization_id}", told)
    return True
