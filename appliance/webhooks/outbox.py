"""Telling of something: a delivery for each endpoint that asked, in the transaction of what happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.webhooks.domain import EventName, cloud_event
from appliance.webhooks.tables import WebhookDelivery, WebhookEndpoint


async def announce(uow: UnitOfWork, event: EventName, subject: str, data: dict[str, Any]) -> None:
    """Nothing is sent here: rows are written, and the jobs worker sends them. One query where nobody asked.

    `data` holds identifiers and plain facts, never words, names or telephone numbers: who is allowed to know
    them asks the API.
    """
    if uow.organization_id is None:
        return
    endpoints = await uow.session.scalars(
        select(WebhookEndpoint.id).where(WebhookEndpoint.enabled, WebhookEndpoint.events.contains([event]))
    )
    payload = cloud_event(uuid7(), uow.organization_id, event, subject, data, datetime.now(UTC))
    rows = [
        {
            "id": uuid7(),
            "organization_id": uow.organization_id,
            "endpoint_id": endpoint,
            "event": event,
            "payload": payload,
        }
        for endpoint in endpoints
    ]
    if rows:
        await uow.session.execute(insert(WebhookDelivery), rows)
