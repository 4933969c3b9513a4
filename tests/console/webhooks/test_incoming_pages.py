"""The pages of incoming webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance.access.domain import Role
from tests.console.conftest import SignIn
from tests.console.webhooks.page_forms import add_hook, audited, revision_in, secret_in
from tests.console.webhooks.senders import MISSED, Sender
from tests.integration.database.world import Data, Tenant


async def test_an_incoming_webhook_from_its_making_to_its_end(
    data: Data, sign_in: SignIn, tenant: Tenant, console_url: str
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    home, path, secret = await add_hook(admin, tenant)
    sender = Sender(console_url, {"hook": {"path": path}, "secret": secret})
    assert "Nothing was sent yet" in (await admin.client.get(home)).text
    taken = await sender.send({"note": "<b>Order 7</b>", "event": "appointment.missed"})
    assert taken.json()["state"] == "filed", "the rule in the first place is asked first"
    listed = (await admin.client.get(home)).text
    assert "&lt;b&gt;Order 7" in listed
    one = f"/webhooks/incoming/requests/{taken.json()['request_id']}"
    shown = (await admin.client.get(one)).text
    assert "webhook-id" in shown
    assert "webhook-signature" not in shown
    again = await admin.post_form(f"{one}/replay")
    assert again.status_code == 303
    assert "the first request" in (await admin.client.get(again.headers["location"])).text
    assert (await sender.post(b"{}")).status_code == 401
    refused = (await admin.client.get(f"{home}?state=refused")).text
    assert "signature does not hold" in refused
    tried = await admin.post_form(
        f"{home}/try", {"sample": '{"event": "appointment.missed", "customer": {"phone": "+4930555010"}}'}
    )
    assert "An agent would call" in tried.text
    assert "+4930555010" in tried.text
    wrong = await admin.post_form(f"{home}/try", {"sample": "{"})
    assert wrong.status_code == 422
    assert 'id="sample-error"' in wrong.text
    settings = (await admin.client.get(f"{home}/settings")).text
    assert settings.index("Notes") < settings.index("Missed")
    change = {
        "name": "Renamed",
        "requests_per_minute": "5",
        "delivery_id": "",
        "enabled": "on",
        "rule-0-name": "All",
        "rule-0-action": "file",
        "revision": revision_in(settings),
    }
    assert (await admin.post_form(f"{home}/settings", change)).status_code == 303
    late = await admin.post_form(f"{home}/settings", change)
    assert late.status_code == 422
    assert "Somebody else" in late.text
    assert (await sender.send(MISSED)).json()["state"] == "filed"
    await admin.post_form(f"{home}/enabled", {"enabled": "0"})
    assert (await sender.send(MISSED)).status_code == 404
    await admin.post_form(f"{home}/enabled", {"enabled": "1"})
    renewed = await admin.post_form(f"{home}/secret")
    assert (await sender.send(MISSED)).status_code == 401
    assert secret_in(renewed.text) != secret
    assert (await admin.post_form(f"{home}/delete")).status_code == 303
    assert (await admin.client.get(home)).status_code == 404
    assert await audited(data, tenant, "hooks.") == [
        *("hooks.created", "hooks.replayed", "hooks.changed", "hooks.switched", "hooks.switched"),
        *("hooks.secret_renewed", "hooks.deleted"),
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"requests_per_minute": "0"}, "requests_per_minute"),
        ({"requests_per_minute": "many"}, "requests_per_minute"),
        ({"delivery_id": "body."}, "delivery_id"),
        ({"auth": "basic"}, "user"),
        ({"auth": "none"}, "auth"),
        ({"rule-0-when": "body.x ="}, "rule-0-when"),
        ({"rule-0-name": ""}, "rule-0-name"),
        ({"rule-0-to": ""}, "rule-0-to"),
        ({"rule-0-agent_id": "nobody"}, "rule-0-agent_id"),
        ({"rule-1-title": "join(',', body)"}, "rule-1-title"),
    ],
)
async def test_what_cannot_be_a_path_is_told_beside_the_field(
    sign_in: SignIn, tenant: Tenant, change: dict[str, str], field: str
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    fields = {
        "name": "x",
        "requests_per_minute": "10",
        "auth": "signature",
        "rule-0-name": "Call",
        "rule-0-action": "call",
        "rule-0-to": "body.phone",
        "rule-0-agent_id": str(tenant.agent_id),
        "rule-1-name": "File",
        "rule-1-action": "file",
    }
    answer = await admin.post_form("/webhooks/incoming", fields | change)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text


async def test_a_new_secret_wants_the_password_again(sign_in: SignIn, tenant: Tenant) -> None:
    admin = await sign_in(
        Role.ADMIN,
        organization_id=tenant.organization_id,
        authenticated_at=datetime.now(UTC) - timedelta(hours=1),
    )
    home, _, _ = await add_hook(admin, tenant)
    asked = await admin.post_form(f"{home}/secret")
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/sign-in?")
