"""A row in each table that the console and the API brought."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from appliance.agents.tables import AgentDraft
from appliance.calls.archive_tables import CallSummary, SavedFilter, ShareLink
from appliance.database.identifiers import uuid7
from appliance.organizations.console_tables import ApiKey, IdempotencyKey, OrganizationSettings, RateWindow
from appliance.tools.tables import Function
from appliance.webhooks.tables import (
    InboundHook,
    InboundRequest,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from appliance.widgets.tables import Widget, WidgetSession

NOON = datetime(2030, 1, 7, 12, tzinfo=UTC)


def console_rows(organization_id: UUID, agent_id: UUID, call_id: UUID) -> list[Any]:
    """Not yet in a session; parents come before their children."""
    mine = {"organization_id": organization_id}
    endpoint, delivery, hook = uuid7(), uuid7(), uuid7()
    widget = uuid7()
    return [
        AgentDraft(agent_id=agent_id, snapshot={}, **mine),
        CallSummary(call_id=call_id, call_created_at=NOON, words="'hello':1", turns=0, **mine),
        SavedFilter(name="Test", owner="member:test", filter={}, **mine),
        ShareLink(call_id=call_id, secret_hash=b"x", created_by="Test", expires_at=NOON, **mine),
        OrganizationSettings(settings={}, **mine),
        ApiKey(
            name="Test",
            prefix=organization_id.hex,
            secret_hash=b"x",
            scopes=[],
            created_by="Test",
            **mine,
        ),
        IdempotencyKey(actor="test", key="1", fingerprint=b"x", **mine),
        RateWindow(actor="test", **mine),
        Function(
            name="test", description="", method="POST", url="https://example.com/", parameters={}, **mine
        ),
        WebhookEndpoint(id=endpoint, url="https://example.com/", events=[], secret=b"x", **mine),
        WebhookDelivery(id=delivery, endpoint_id=endpoint, event="call.ended", payload={}, **mine),
        WebhookAttempt(delivery_id=delivery, status=200, duration_ms=1, **mine),
        InboundHook(
            id=hook,
            public_id=organization_id.hex,
            name="Test",
            auth="bearer",
            secret_hash=b"x",
            requests_per_minute=1,
            delivery_id="",
            rules=[],
            **mine,
        ),
        InboundRequest(hook_id=hook, size_bytes=0, document={}, state="filed", **mine),
        Widget(
            id=widget,
            public_id=f"wg_{organization_id.hex}",
            name="Test",
            agent_id=agent_id,
            title="Test",
            max_sessions=1,
            visitor_sessions_per_hour=1,
            address_sessions_per_hour=1,
            max_duration_seconds=60,
            **mine,
        ),
        WidgetSession(
            widget_id=widget, call_id=call_id, agent_id=agent_id, mode="text", origin="", ends_by=NOON, **mine
        ),
    ]
