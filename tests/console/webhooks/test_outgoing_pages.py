"""The pages of outgoing webhooks, and who may open any of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook, WebhookVerificationError

from appliance.access.domain import Role
from appliance.clients.outbound_http import OutboundHttp
from appliance.webhooks.outbox import announce
from appliance.webhooks.sending import WebhookSender
from appliance.webhooks.tables import InboundHook, WebhookEndpoint
from tests.console.api.receiver import receiver
from tests.console.conftest import SignIn
from tests.console.webhooks.page_forms import add_endpoint, audited, revision_in, secret_in
from tests.integration.database.world import Data, Tenant


async def deliver(data: Data, tenant: Tenant) -> None:
    """As the jobs worker does, with the loopback allowed."""
    sender = WebhookSender(data.app, data.router, data.keys, OutboundHttp.of(["127.0.0.0/8"]))
    now = datetime.now(UTC)
    for due in await sender.due(now):
        if due.organization_id == tenant.organization_id:
            await sender.deliver(due, now)


async def test_an_outgoing_webhook_from_its_making_to_its_end(
    data: Data, sign_in: SignIn, tenant: Tenant
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    async with receiver(500) as far:
        far.answer = "<script>alert(1)</script>"
        home, secret = await add_endpoint(admin, far.url, "call.ended", "booking.made")
        assert secret.startswith("whsec_")
        assert secret not in (await admin.client.get(home)).text
        assert "Nothing was sent yet" in (await admin.client.get(home)).text
        assert far.url in (await admin.client.get("/webhooks")).text
        sent = await admin.post_form(f"{home}/test")
        assert sent.status_code == 303
        delivery = sent.headers["location"]
        assert "not tried yet" in (await admin.client.get(delivery)).text
        await deliver(data, tenant)
        shown = (await admin.client.get(delivery)).text
        assert "answered 500" in shown
        assert "&lt;script&gt;alert(1)" in shown
        assert "Next try" in shown
        again = await admin.post_form(f"{delivery}/replay")
        await deliver(data, tenant)
        shown = (await admin.client.get(again.headers["location"])).text
        assert "Delivered" in shown
        assert "the first delivery" in shown
        log = (await admin.client.get(home)).text
        assert "replay" in log
        assert "Waiting" in log
        waiting = (await admin.client.get(f"{home}?state=waiting")).text
        assert waiting.count('href="/webhooks/deliveries/') == 1
        assert "Nothing is failed" in (await admin.client.get(f"{home}?state=failed")).text
    settings = (await admin.client.get(f"{home}/settings")).text
    change = {"url": "https://example.com/x", "event.quota.near": "on", "revision": revision_in(settings)}
    assert (await admin.post_form(f"{home}/settings", change)).status_code == 303
    late = await admin.post_form(f"{home}/settings", change | {"url": "https://example.com/y"})
    assert late.status_code == 422
    assert "Somebody else" in late.text
    assert (await admin.post_form(f"{home}/enabled", {"enabled": "1"})).status_code == 303
    assert (await admin.post_form(f"{home}/enabled", {"enabled": "0"})).status_code == 303
    assert "Switch on" in (await admin.client.get(home)).text
    renewed = await admin.post_form(f"{home}/secret")
    assert secret_in(renewed.text) != secret
    assert (await admin.post_form(f"{home}/delete")).status_code == 303
    assert (await admin.client.get(home)).status_code == 404
    assert await audited(data, tenant, "webhooks.") == [
        *("webhooks.created", "webhooks.tested", "webhooks.replayed", "webhooks.changed"),
        *("webhooks.switched", "webhooks.switched", "webhooks.secret_renewed", "webhooks.deleted"),
    ]


async def test_an_endpoint_that_is_switched_off_is_not_sent_to(
    data: Data, sign_in: SignIn, tenant: Tenant
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    async with receiver() as far:
        home, _ = await add_endpoint(admin, far.url, "call.ended")
        sent = await admin.post_form(f"{home}/test")
        await admin.post_form(f"{home}/enabled", {"enabled": "0"})
        async with data.work(tenant.organization_id) as uow:
            await announce(uow, "call.ended", "calls/x", {})
        await deliver(data, tenant)
        assert far.received == []
    assert "switched off" in (await admin.client.get(sent.headers["location"])).text
    log = (await admin.client.get(home)).text
    assert log.count('href="/webhooks/deliveries/') == 1, "what happens while it is off is not for it"


async def test_a_renewed_secret_and_the_one_before_it_sign_for_a_day(
    data: Data, sign_in: SignIn, tenant: Tenant
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    async with receiver() as far:
        home, first = await add_endpoint(admin, far.url, "call.ended")

        async def sent_by() -> list[str]:
            """Which of the secrets made the signatures of a sending."""
            await admin.post_form(f"{home}/test")
            await deliver(data, tenant)
            headers, body = far.received[-1]
            return [name for name, secret in secrets.items() if _is_signed(secret, body, headers)]

        secrets = {"first": first}
        assert await sent_by() == ["first"]
        renewed = await admin.post_form(f"{home}/secret")
        assert "24 hours" in renewed.text
        secrets["second"] = secret_in(renewed.text)
        assert await sent_by() == ["first", "second"]
        secrets["third"] = secret_in((await admin.post_form(f"{home}/secret")).text)
        assert await sent_by() == ["second", "third"], "a second renewal ends the first secret"
        async with data.work(tenant.organization_id) as uow:
            past = update(WebhookEndpoint).values(previous_until=datetime.now(UTC) - timedelta(seconds=1))
            await uow.session.execute(past)
        assert await sent_by() == ["third"], "the day is over"


def _is_signed(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://user:pass@example.com/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://example.com/" + "x" * 2000}, "url"),
        ({"description": "x" * 400}, "description"),
        ({"event.call.ended": None}, "events"),
    ],
)
async def test_what_cannot_be_a_webhook_is_told_beside_the_field(
    sign_in: SignIn, tenant: Tenant, change: dict[str, str | None], field: str
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    wanted = {"url": "https://example.com/", "event.call.ended": "on"} | change
    fields = {name: value for name, value in wanted.items() if value is not None}
    answer = await admin.post_form("/webhooks", fields)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text


async def test_pages_are_for_those_with_the_right_and_of_ones_own_organization(
    data: Data, sign_in: SignIn, tenant: Tenant, other: Tenant
) -> None:
    builder = await sign_in(Role.BUILDER, organization_id=tenant.organization_id)
    for path in ("/webhooks", "/webhooks/new", "/webhooks/incoming", "/webhooks/incoming/new"):
        assert (await builder.client.get(path)).status_code == 403
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    async with data.work(other.organization_id) as uow:
        endpoint = await uow.session.scalar(select(WebhookEndpoint.id))
        hook = await uow.session.scalar(select(InboundHook.id))
    for path in (f"/webhooks/{endpoint}", f"/webhooks/incoming/{hook}"):
        assert (await admin.client.get(path)).status_code == 404
        assert (await admin.client.get(f"{path}/settings")).status_code == 404
        for action in ("enabled", "secret", "delete"):
            assert (await admin.post_form(f"{path}/{action}")).status_code == 404
    forged = await admin.client.post(f"/webhooks/{endpoint}/delete", data={})
    assert forged.status_code == 403
