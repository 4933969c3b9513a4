"""What people fill in on the pages of webhooks, and what the pages say."""

from __future__ import annotations

import re
from uuid import uuid4

from sqlalchemy import select

from appliance.audit.tables import AuditEntry
from tests.console.conftest import SignedIn
from tests.integration.database.world import Data, Tenant

SECRET = re.compile(r'<code class="long">([^<]+)</code>')


def secret_in(html: str) -> str:
    found = SECRET.search(html)
    assert found is not None
    return found.group(1)


def revision_in(html: str) -> str:
    found = re.search(r'name="revision" value="([0-9a-f]+)"', html)
    assert found is not None
    return found.group(1)


async def audited(data: Data, tenant: Tenant, prefix: str) -> list[str]:
    async with data.work(tenant.organization_id) as uow:
        rows = await uow.session.scalars(
            select(AuditEntry.action)
            .where(AuditEntry.action.startswith(prefix))
            .order_by(AuditEntry.sequence)
        )
        return list(rows)


async def add_endpoint(admin: SignedIn, url: str, *events: str) -> tuple[str, str]:
    """The path of its page, and its secret."""
    fields = {"url": url, "enabled": "on"} | {f"event.{name}": "on" for name in events}
    made = await admin.post_form("/webhooks", fields)
    assert made.status_code in {200, 201}, made.text
    found = re.search(r'href="(/webhooks/[0-9a-f-]{36})"', made.text)
    assert found is not None
    return found.group(1), secret_in(made.text)


async def add_hook(admin: SignedIn, tenant: Tenant, **more: str) -> tuple[str, str, str]:
    """The path of its page, the path of its senders, and its secret."""
    fields = {
        "name": f"Customers {uuid4().hex[:6]}",
        "requests_per_minute": "100",
        "delivery_id": 'headers."webhook-id"',
        "enabled": "on",
        "auth": "signature",
        "rule-0-name": "Missed",
        "rule-0-when": "body.event == 'appointment.missed'",
        "rule-0-action": "call",
        "rule-0-agent_id": str(tenant.agent_id),
        "rule-0-to": "body.customer.phone",
        "rule-0-position": "2",
        "rule-1-name": "Notes",
        "rule-1-when": "body.note",
        "rule-1-action": "file",
        "rule-1-title": "body.note",
        "rule-1-position": "1",
    }
    made = await admin.post_form("/webhooks/incoming", fields | more)
    assert made.status_code in {200, 201}, made.text
    page = re.search(r'href="(/webhooks/incoming/[0-9a-f-]{36})"', made.text)
    path = re.search(r"(/hooks/[A-Za-z0-9_-]+)", made.text)
    assert page is not None
    assert path is not None
    return page.group(1), path.group(1), secret_in(made.text)
