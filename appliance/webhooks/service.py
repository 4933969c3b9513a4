"""Endpoints of webhooks, the log of their deliveries, and replays by hand."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.clients.outbound_http import checked_url
from appliance.database.identifiers import uuid7
from appliance.database.locking import row_to_change
from appliance.database.paging import DEFAULT_LIMIT, Listed, newest_first, one_page
from appliance.database.revision import check_revision, revision_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.webhooks.domain import (
    DeliveryDetail,
    DeliveryState,
    EndpointInput,
    NewEndpoint,
    ShownDelivery,
    ShownEndpoint,
    ShownTry,
    cloud_event,
)
from appliance.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint

MAX_ENDPOINTS = 50
_MISSING = "The webhook does not exist."
SECRET_FIELD = "webhook_endpoints.secret"  # noqa: S105 - the name of a column
SECRETS_OVERLAP = timedelta(hours=24)


async def list_endpoints(
    uow: UnitOfWork, actor: Actor, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Listed[ShownEndpoint]:
    """The endpoints, the newest first."""
    actor.must(Right.WEBHOOKS_READ)
    table = WebhookEndpoint
    rows = await uow.session.scalars(newest_first(select(table), table.created_at, table.id, cursor, limit))
    return one_page(rows.all(), limit, lambda row: (row.created_at, row.id), _shown)


async def get_endpoint(uow: UnitOfWork, actor: Actor, endpoint_id: UUID) -> ShownEndpoint:
    actor.must(Right.WEBHOOKS_READ)
    row = await uow.session.get(WebhookEndpoint, endpoint_id, populate_existing=True)
    if row is None:
        raise NotFound(_MISSING)
    return _shown(row)


async def create_endpoint(uow: UnitOfWork, actor: Actor, keys: KeyRing, wanted: EndpointInput) -> NewEndpoint:
    """A new endpoint; its secret is shown this once. Conflict when there are too many."""
    actor.must(Right.WEBHOOKS_WRITE)
    assert uow.organization_id is not None
    checked_url(wanted.url)
    await uow.lock(f"webhooks {uow.organization_id}")
    known = await uow.session.scalars(select(WebhookEndpoint.id))
    if len(known.all()) >= MAX_ENDPOINTS:
        raise Conflict(f"There are {MAX_ENDPOINTS} webhooks already.", remedy="Delete one first.")
    row = WebhookEndpoint(id=uuid7(), organization_id=uow.organization_id)
    secret = await _renew(uow, keys, row)
    _write(row, wanted)
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)
    shown = _shown(row)
    await record(uow, actor, "webhooks.created", f"webhook:{row.id}", after=shown.model_dump(mode="json"))
    return NewEndpoint(endpoint=shown, secret=secret)


async def change_endpoint(
    uow: UnitOfWork, actor: Actor, endpoint_id: UUID, wanted: EndpointInput, *, revision: str | None
) -> ShownEndpoint:
    actor.must(Right.WEBHOOKS_WRITE)
    checked_url(wanted.url)
    row = await row_to_change(uow, WebhookEndpoint, endpoint_id, _MISSING)
    before = _shown(row)
    check_revision(revision, revision_of(before))
    _write(row, wanted)
    await uow.session.flush()
    shown = _shown(row)
    await record(
        uow,
        actor,
        "webhooks.changed",
        f"webhook:{endpoint_id}",
        before=before.model_dump(mode="json"),
        after=shown.model_dump(mode="json"),
    )
    return shown


async def switch_endpoint(
    uow: UnitOfWork, actor: Actor, endpoint_id: UUID, *, enabled: bool
) -> ShownEndpoint:
    """On or off, and nothing else; the same twice changes nothing."""
    actor.must(Right.WEBHOOKS_WRITE)
    row = await row_to_change(uow, WebhookEndpoint, endpoint_id, _MISSING)
    if row.enabled != enabled:
        row.enabled = enabled
        await uow.session.flush()
        after = {"enabled": enabled}
        await record(
            uow,
            actor,
            "webhooks.switched",
            f"webhook:{endpoint_id}",
            before={"enabled": not enabled},
            after=after,
        )
    return _shown(row)


async def renew_secret(uow: UnitOfWork, actor: Actor, keys: KeyRing, endpoint_id: UUID) -> NewEndpoint:
    """A new secret, from the next try on; shown this once.

    For `SECRETS_OVERLAP` each sending carries the signature of the former one too, so that the receiver may
    take the new one at any time of it. A second renewal ends that: of a leaked secret nothing is left then.
    """
    actor.must(Right.WEBHOOKS_WRITE)
    row = await row_to_change(uow, WebhookEndpoint, endpoint_id, _MISSING)
    row.previous_secret, row.previous_until = row.secret, datetime.now(UTC) + SECRETS_OVERLAP
    secret = await _renew(uow, keys, row)
    await uow.session.flush()
    await record(uow, actor, "webhooks.secret_renewed", f"webhook:{endpoint_id}")
    return NewEndpoint(endpoint=_shown(row), secret=secret)


async def delete_endpoint(
    uow: UnitOfWork, actor: Actor, endpoint_id: UUID, *, revision: str | None = None
) -> None:
    """With its deliveries; what waits is not sent any more."""
    actor.must(Right.WEBHOOKS_WRITE)
    row = await row_to_change(uow, WebhookEndpoint, endpoint_id, _MISSING)
    before = _shown(row)
    check_revision(revision, revision_of(before))
    await uow.session.delete(row)
    await uow.session.flush()
    await record(
        uow, actor, "webhooks.deleted", f"webhook:{endpoint_id}", before=before.model_dump(mode="json")
    )


async def list_deliveries(
    uow: UnitOfWork,
    actor: Actor,
    endpoint_id: UUID,
    *,
    state: DeliveryState | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Listed[ShownDelivery]:
    """The deliveries of an endpoint, the newest first."""
    await get_endpoint(uow, actor, endpoint_id)
    table = WebhookDelivery
    statement = select(table).where(table.endpoint_id == endpoint_id)
    if state is not None:
        statement = statement.where(table.state == state)
    rows = (
        await uow.session.scalars(newest_first(statement, table.created_at, table.id, cursor, limit))
    ).all()
    last = await _last_tries(uow, [row.id for row in rows])
    return one_page(
        rows, limit, lambda row: (row.created_at, row.id), lambda row: _delivery(row, last.get(row.id))
    )


async def get_delivery(uow: UnitOfWork, actor: Actor, delivery_id: UUID) -> DeliveryDetail:
    """A delivery with what is sent and each try of it."""
    actor.must(Right.WEBHOOKS_READ)
    row = await uow.session.get(WebhookDelivery, delivery_id, populate_existing=True)
    if row is None:
        raise NotFound("The delivery does not exist.")
    tries = (
        await uow.session.scalars(
            select(WebhookAttempt)
            .where(WebhookAttempt.delivery_id == delivery_id)
            .order_by(WebhookAttempt.created_at, WebhookAttempt.id)
        )
    ).all()
    return DeliveryDetail(
        **_delivery(row, tries[-1] if tries else None).model_dump(),
        payload=row.payload,
        attempts=[
            ShownTry(
                at=each.created_at,
                status=each.status,
                error=each.error,
                duration_ms=each.duration_ms,
                answer=each.answer,
            )
            for each in tries
        ],
    )


async def replay(uow: UnitOfWork, actor: Actor, delivery_id: UUID) -> ShownDelivery:
    """Sends the event once more, as a delivery of its own with the same event id."""
    actor.must(Right.WEBHOOKS_WRITE)
    found = await uow.session.get(WebhookDelivery, delivery_id)
    if found is None:
        raise NotFound("The delivery does not exist.")
    row = _new_delivery(found.organization_id, found.endpoint_id, found.event, found.payload)
    row.replay_of = found.id
    await _add(uow, row)
    await record(
        uow, actor, "webhooks.replayed", f"webhook:{found.endpoint_id}", after={"delivery_id": row.id}
    )
    return _delivery(row, None)


async def send_test(uow: UnitOfWork, actor: Actor, endpoint_id: UUID) -> ShownDelivery:
    """Sends an event `endpoint.test`, which says nothing."""
    actor.must(Right.WEBHOOKS_WRITE)
    endpoint = await row_to_change(uow, WebhookEndpoint, endpoint_id, _MISSING)
    payload = cloud_event(
        uuid7(), endpoint.organization_id, "endpoint.test", f"webhooks/{endpoint_id}", {}, datetime.now(UTC)
    )
    row = _new_delivery(endpoint.organization_id, endpoint_id, "endpoint.test", payload)
    await _add(uow, row)
    await record(uow, actor, "webhooks.tested", f"webhook:{endpoint_id}", after={"delivery_id": row.id})
    return _delivery(row, None)


def _new_delivery(
    organization_id: UUID, endpoint_id: UUID, event: str, payload: dict[str, Any]
) -> WebhookDelivery:
    return WebhookDelivery(
        id=uuid7(), organization_id=organization_id, endpoint_id=endpoint_id, event=event, payload=payload
    )


async def _add(uow: UnitOfWork, row: WebhookDelivery) -> None:
    uow.session.add(row)
    await uow.session.flush()
    await uow.session.refresh(row)


async def _renew(uow: UnitOfWork, keys: KeyRing, row: WebhookEndpoint) -> str:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    organization = await uow.session.get_one(Organization, row.organization_id)
    row.secret = keys.encrypt_field(organization.id, organization.wrapped_key, SECRET_FIELD, row.id, secret)
    return secret


def _write(row: WebhookEndpoint, wanted: EndpointInput) -> None:
    row.url, row.description = wanted.url, wanted.description
    row.events, row.enabled = sorted(set(wanted.events)), wanted.enabled


def _shown(row: WebhookEndpoint) -> ShownEndpoint:
    return ShownEndpoint(
        id=row.id,
        url=row.url,
        description=row.description,
        events=list(row.events),
        enabled=row.enabled,
        created_at=row.created_at,
    )


async def _last_tries(uow: UnitOfWork, deliveries: Sequence[UUID]) -> dict[UUID, WebhookAttempt]:
    rows = await uow.session.scalars(
        select(WebhookAttempt)
        .where(WebhookAttempt.delivery_id.in_(deliveries))
        .order_by(WebhookAttempt.created_at, WebhookAttempt.id)
    )
    return {row.delivery_id: row for row in rows}


def _delivery(row: WebhookDelivery, last: WebhookAttempt | None) -> ShownDelivery:
    return ShownDelivery.model_validate(
        {
            "id": row.id,
            "endpoint_id": row.endpoint_id,
            "event": row.event,
            "state": row.state,
            "tries": row.tries,
            "created_at": row.created_at,
            "next_try_at": row.next_try_at if row.state == "waiting" else None,
            "delivered_at": row.delivered_at,
            "replay_of": row.replay_of,
            "last_status": last.status if last else None,
            "last_error": last.error if last else None,
            "last_duration_ms": last.duration_ms if last else None,
        }
    )
