"""Sending what waits: signed (Standard Webhooks), each try written down, later tries after longer waits."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from appliance.clients.outbound_http import OutboundHttp
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import IntegrityError, TrunklineError
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.webhooks.domain import next_try
from appliance.webhooks.service import SECRET_FIELD
from appliance.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint

log = structlog.get_logger()
TIMEOUT_SECONDS = 10.0
CLAIMED_FOR = timedelta(seconds=60)
"""Longer than a try can last: who died with a claim gives it back by the clock."""
AT_ONCE = 32
OF_ONE_ORGANIZATION = 4
"""Tries at a time; the rest waits its turn."""
KEPT_FOR = timedelta(days=30)
SHOWN_ANSWER_BYTES = 1000


@dataclass(frozen=True)
class Due:
    delivery_id: UUID
    organization_id: UUID
    endpoint_id: UUID


@dataclass(frozen=True)
class _Letter:
    """What is sent, once the claim is committed: no transaction is open while the far side thinks."""

    url: str
    secrets: tuple[str, ...]
    """The endpoint's, and the one before it while both count."""
    event: str
    event_id: str
    body: str


@dataclass(frozen=True)
class _Tried:
    status: int | None
    error: str | None
    duration_ms: int
    answer: str | None = None


@dataclass(frozen=True)
class WebhookSender:
    app: AsyncEngine
    router: AsyncEngine
    keys: KeyRing
    http: OutboundHttp

    async def due(self, now: datetime, busy: Collection[UUID] = ()) -> Sequence[Due]:
        """What may be tried now, the longest waiting first: of each endpoint one, of each organization a few.

        `busy` are endpoints that are being tried: a slow receiver keeps nobody else waiting.
        """
        table = WebhookDelivery
        first = (
            select(table.id, table.organization_id, table.endpoint_id, table.next_try_at)
            .where(table.state == "waiting", table.next_try_at <= now, table.endpoint_id.not_in(busy))
            .ext(distinct_on(table.endpoint_id))
            .order_by(table.endpoint_id, table.next_try_at, table.id)
            .subquery()
        )
        place = func.row_number().over(partition_by=first.c.organization_id, order_by=first.c.next_try_at)
        ranked = select(first, place.label("place")).subquery()
        async with UnitOfWork(self.router, None) as uow:
            rows = await uow.session.execute(
                select(ranked.c.id, ranked.c.organization_id, ranked.c.endpoint_id)
                .where(ranked.c.place <= OF_ONE_ORGANIZATION)
                .order_by(ranked.c.next_try_at, ranked.c.id)
                .limit(AT_ONCE)
            )
            return [Due(*row) for row in rows]

    async def deliver(self, due: Due, now: datetime) -> bool:
        """One try; True when the far side took it (2xx). One that somebody else tries is left alone."""
        letter = await self._claim(due, now)
        if letter is None:
            return False
        signed = (Webhook(secret).sign(letter.event_id, now, letter.body) for secret in letter.secrets)
        headers = {
            "Content-Type": "application/cloudevents+json",
            "webhook-id": letter.event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signed),
        }
        started = time.monotonic()
        try:
            answer = await self.http.send(
                "POST",
                letter.url,
                headers=headers,
                content=letter.body.encode(),
                timeout_seconds=TIMEOUT_SECONDS,
            )
            wrong = None if 200 <= answer.status < 300 else f"answered {answer.status}"
            said = answer.body[:SHOWN_ANSWER_BYTES].decode(errors="replace").replace("\x00", "")
            tried = _Tried(answer.status, wrong, answer.duration_ms, said or None)
        except TrunklineError as refused:
            tried = _Tried(None, refused.message, int((time.monotonic() - started) * 1000))
        await self._write_down(due, tried)
        ok = tried.error is None
        log.info("webhook tried", delivery_id=str(due.delivery_id), webhook=letter.event, ok=ok)
        return ok

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
                return _give_up(uow, row, "The webhook was switched off.")
            organization = await uow.session.get_one(Organization, row.organization_id)
            try:
                secrets = tuple(
                    self.keys.decrypt_field(
                        organization.id, organization.wrapped_key, SECRET_FIELD, endpoint.id, sealed
                    )
                    for sealed in _sealed_secrets(endpoint, now)
                )
            except IntegrityError:
                return _give_up(uow, row, "The secret cannot be opened: make a new one.")
            row.next_try_at = now + CLAIMED_FOR
            body = json.dumps(row.payload, separators=(",", ":"))
            return _Letter(endpoint.url, secrets, row.event, str(row.payload["id"]), body)

    async def _write_down(self, due: Due, tried: _Tried) -> None:
        now = datetime.now(UTC)
        async with UnitOfWork(self.app, due.organization_id) as uow:
            row = await uow.session.scalar(
                select(WebhookDelivery).where(WebhookDelivery.id == due.delivery_id).with_for_update()
            )
            if row is None:
                return
            uow.session.add(_attempt(row, tried))
            row.tries += 1
            if tried.error is None:
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


def _give_up(uow: UnitOfWork, row: WebhookDelivery, why: str) -> None:
    row.state = "failed"
    uow.session.add(_attempt(row, _Tried(None, why, 0)))


def _attempt(row: WebhookDelivery, tried: _Tried) -> WebhookAttempt:
    return WebhookAttempt(
        id=uuid7(),
        organization_id=row.organization_id,
        delivery_id=row.id,
        status=tried.status,
        error=tried.error,
        duration_ms=tried.duration_ms,
        answer=tried.answer,
    )


def _sealed_secrets(endpoint: WebhookEndpoint, now: datetime) -> tuple[bytes, ...]:
    """What signs now, the newest first."""
    if endpoint.previous_secret is None or endpoint.previous_until is None or endpoint.previous_until <= now:
        return (endpoint.secret,)
    return (endpoint.secret, endpoint.previous_secret)
