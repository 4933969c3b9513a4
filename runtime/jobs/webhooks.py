"""Sends webhooks while the jobs worker runs; warns of quotas; forgets what is old."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import TrunklineError
from appliance.organizations.retention import enforce
from appliance.organizations.tables import Organization
from appliance.usage.warning import warn_when_near
from appliance.webhooks.sending import Due, WebhookSender

_log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
RESPITE_SECONDS = 5.0


async def send_webhooks(sender: WebhookSender) -> None:
    """Runs until it is cancelled. Several deliveries at a time, one of each endpoint."""
    while True:
        try:
            now = datetime.now(UTC)
            found = await sender.due(now)
            await asyncio.gather(*(_deliver(sender, due, now) for due in found))
        except TrunklineError as error:
            _log.warning("webhooks wait", reason=str(error))
            await asyncio.sleep(RESPITE_SECONDS)
            continue
        if not found:
            await asyncio.sleep(LOOK_SECONDS)


async def _deliver(sender: WebhookSender, due: Due, now: datetime) -> None:
    """Whatever goes wrong with one delivery concerns it alone; its claim falls back by the clock."""
    try:
        await sender.deliver(due, now)
    except TrunklineError as error:
        _log.warning("webhook not tried", delivery_id=str(due.delivery_id), reason=str(error))
    except Exception:
        _log.exception("webhook not tried", delivery_id=str(due.delivery_id))


async def look_after_organizations(router: AsyncEngine, app: AsyncEngine, sender: WebhookSender) -> None:
    """Once in a while: quotas that are nearly used up, what is kept no longer, deliveries of long ago."""
    async with UnitOfWork(router, None) as uow:
        found = list(await uow.session.scalars(select(Organization.id).order_by(Organization.id)))
    now = datetime.now(UTC)
    for organization_id in found:
        async with UnitOfWork(app, organization_id) as uow:
            await warn_when_near(uow, now)
            await enforce(uow, now)
        await sender.forget_old(organization_id, now)
