"""Sending what waits: signed (Standard Webhooks), each try written down, later tries after longer waits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from appliance.clients.outbound_http import OutboundHttp
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import TrunklineError
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.webhooks.domain import next_try
from appliance.webhooks.service import SECRET_FIELD
from appliance.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint

log = structlog.get_logger()
TIMEOUT_SECONDS = 10.0
CLAIMED_FOR = timedelta(seconds=60)
"""Longer than a try can last: who died with a claim gives it back by the clock."""
AT_ONCE = 8
KEPT_FOR = timedelta(days=30)


@dataclass(frozen=True)
class Due:
    delivery_id: UUID
    organization_id: UUID
    endpoint_id: UUID


@dataclass(frozen=True)
class _Letter:
    """What is sent, once the claim is committed: no transaction is open while the far side thinks."""

    url: str
    secret: str
    event: str
    event_id: str
    body: str


@dataclass(frozen=True)
class WebhookSender:
    app: AsyncEngine
    router: AsyncEngine
    keys: KeyRing
    http: OutboundHttp

    async def due(self, now: datetime) -> Sequence[Due]:
        """What may be tried now, of each endpoint the oldest: a slow one costs the others one time-out."""
        table = WebhookDelivery
        async with UnitOfWork(self.router, None) as uow:
            rows = await uow.session.execute(
                select(table.id, table.organization_id, table.endpoint_id)
                .where(table.state == "waiting", table.next_try_at <= now)
                .distinct(table.endpoint_id)
                .order_by(table.endpoint_id, table.next_try_at, table.id)
                .limit(AT_ONCE)
            )
            return [Due(*row) for row in rows]

    async def deliver(self, due: Due, now: datetime) -> bool:
        """One try; True when the far side took it (2xx). One that somebody else tries is left alone."""
        letter = await self._claim(due, now)
        if letter is None:
            return False
        signed = Webhook(letter.secret).sign(letter.event_id, now, letter.body)
        headers = {
            "Content-Type": "application/cloudevents+json",
            "webhook-id": letter.event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signed,
        }
        status, error, duration_ms = None, None, 0
        try:
            answer = await self.http.send(
                "POST",
                letter.url,
                headers=headers,
                content=letter.body.encode(),
                timeout_seconds=TIMEOUT_SECONDS,
            )
            status, duration_ms = answer.status, answer.duration_ms
            if not 200 <= status < 300:
                error = f"answered {status}"
        except TrunklineError as refused:
            error = refused.message
        await self._write_down(due, status, error, duration_ms)
        log.info("webhook tried", delivery_id=str(due.delivery_id), webhook=letter.event, ok=error is None)
        return error is None

    async def _claim(self, due: Due, now: datetime) -> _Letter | None:
        async with UnitOfWork(self.app, due.organization_id) as uow:
            row = await uow.session.scalar(
                select(WebhookDelivery)
                .where(WebhookDelivery.id == due.delivery_id, WebhookDelivery.state == "waiting")
                .where(WebhookDelivery.next_try_at <= now)
                .with_for_update(skip_locked=True)
            )
            if row is None:
                return None
            endpoint = await uow.session.get_one(WebhookEndpoint, row.endpoint_id)
            if not endpoint.enabled:
                row.state = "failed"
                return None
            organization = await uow.session.get_one(Organization, row.organization_id)
            secret = self.keys.decrypt_field(
                organization.id, organization.wrapped_key, SECRET_FIELD, endpoint.id, endpoint.secret
            )
            row.next_try_at = now + CLAIMED_FOR
            body = json.dumps(row.payload, separators=(",", ":"))
            return _Letter(endpoint.url, secret, row.event, str(row.payload["id"]), body)

    async def _write_down(self, due: Due, status: int | None, error: str | None, duration_ms: int) -> None:
        now = datetime.now(UTC)
        async with UnitOfWork(self.app, due.organization_id) as uow:
            row = await uow.session.scalar(
                select(WebhookDelivery).where(WebhookDelivery.id == due.delivery_id).with_for_update()
            )
            if row is None:
                return
            uow.session.add(
                WebhookAttempt(
                    id=uuid7(),
                    organization_id=due.organization_id,
                    delivery_id=row.id,
                    status=status,
                    error=error,
                    duration_ms=duration_ms,
                )
            )
            row.tries += 1
            if error is None:
                row.state, row.delivered_at = "delivered", now
                return
            again = next_try(row.tries, now)
            if again is None:
                row.state = "failed"
            else:
                row.next_try_at = again

    async def forget_old(self, organization_id: UUID, now: datetime) -> None:
        """Deletes deliveries that came to their end long ago."""
        async with UnitOfWork(self.app, organization_id) as uow:
            await uow.session.execute(
                delete(WebhookDelivery).where(
                    WebhookDelivery.created_at < now - KEPT_FOR, WebhookDelivery.state != "waiting"
                )
            )
