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
from appliance.webhooks.calling import HookCaller
from appliance.webhooks.sending import AT_ONCE, OF_ONE_ORGANIZATION, Due, WebhookSender

_log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
RESPITE_SECONDS = 5.0


async def send_webhooks(sender: WebhookSender) -> None:
    """Runs until it is cancelled. Several deliveries at a time, one of each endpoint and a few of each
    organization: one that does not answer keeps nobody else waiting."""
    trying: dict[asyncio.Task[None], Due] = {}
    try:
        while True:
            try:
                now = datetime.now(UTC)
                found = await sender.due(now, {due.endpoint_id for due in trying.values()})
            except TrunklineError as error:
                _log.warning("webhooks wait", reason=str(error))
                await asyncio.sleep(RESPITE_SECONDS)
                continue
            for due in found:
                of_organization = sum(each.organization_id == due.organization_id for each in trying.values())
                if len(trying) < AT_ONCE and of_organization < OF_ONE_ORGANIZATION:
                    trying[asyncio.create_task(_deliver(sender, due, now), name="webhook")] = due
            await _pause(trying)
    finally:
        for task in trying:
            task.cancel()
        await asyncio.gather(*trying, return_exceptions=True)


async def _pause(trying: dict[asyncio.Task[None], Due]) -> None:
    """Until one try has ended, or it is time to look for new ones."""
    if not trying:
        await asyncio.sleep(LOOK_SECONDS)
        return
    done, _ = await asyncio.wait(trying, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        del trying[task]


async def _deliver(sender: WebhookSender, due: Due, now: datetime) -> None:
    """Whatever goes wrong with one delivery concerns its endpoint alone, which then has a while of peace."""
    try:
        await sender.deliver(due, now)
    except TrunklineError as error:
        _log.warning("webhook not tried", delivery_id=str(due.delivery_id), reason=str(error))
        await asyncio.sleep(RESPITE_SECONDS)
    except Exception:
        _log.exception("webhook not tried", delivery_id=str(due.delivery_id))
        await asyncio.sleep(RESPITE_SECONDS)


async def look_after_organizations(
    router: AsyncEngine, app: AsyncEngine, sender: WebhookSender, caller: HookCaller
) -> None:
    """Once in a while: quotas that are nearly used up, what is kept no longer, deliveries of long ago."""
    async with UnitOfWork(router, None) as uow:
        found = list(await uow.session.scalars(select(Organization.id).order_by(Organization.id)))
    now = datetime.now(UTC)
    for organization_id in found:
        async with UnitOfWork(app, organization_id) as uow:
            await warn_when_near(uow, now)
            await enforce(uow, now)
        await sender.forget_old(organization_id, now)
        await caller.forget_old(organization_id, now)
