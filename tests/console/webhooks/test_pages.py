"""The pages of webhooks: what people do with them, and that everybody can read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.async_api import Dialog
from sqlalchemy import select

from appliance.access.domain import Role
from appliance.audit.tables import AuditEntry
from appliance.clients.outbound_http import OutboundHttp
from appliance.webhooks.outbox import announce
from appliance.webhooks.sending import WebhookSender
from appliance.webhooks.tables import InboundHook, WebhookEndpoint
from tests.console.api.receiver import receiver
from tests.console.conftest import SignedIn, SignIn
from tests.console.pages.conftest import OpenTab, new_page_of
from tests.console.pages.test_every_page import AXE, RULES
from tests.console.webhooks.senders import MISSED, Sender
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_read_the_pages(
    data: Data,
    sign_in: SignIn,
    open_tab: OpenTab,
    axe_script: str,
    tenant: Tenant,
    scheme: str,
    console_url: str,
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    endpoint, _ = await add_endpoint(admin, "https://example.com/hooks", "call.ended")
    delivery = (await admin.post_form(f"{endpoint}/test")).headers["location"]
    hook, path, secret = await add_hook(admin, tenant)
    taken = await Sender(console_url, {"hook": {"path": path}, "secret": secret}).send({"note": "x"})
    request = f"/webhooks/incoming/requests/{taken.json()['request_id']}"
    tab = await open_tab(admin, scheme=scheme)
    problems: dict[str, list[str]] = {}
    for page in (
        *(
            "/webhooks",
            "/webhooks/new",
            endpoint,
            f"{endpoint}?state=failed",
            f"{endpoint}/settings",
            delivery,
        ),
        *("/webhooks/incoming", "/webhooks/incoming/new", hook, f"{hook}/settings", request),
    ):
        await tab.open(page)
        await tab.page.evaluate(axe_script)
        found: list[str] = await tab.page.evaluate(AXE, RULES[scheme])
        wide = await tab.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        if found or wide > 0:
            problems[page] = [*found, f"{wide} px too wide"]
    assert problems == {}
    assert (tab.foreign, tab.problems) == ([], [])


async def test_the_pages_fit_a_narrow_screen(sign_in: SignIn, open_tab: OpenTab, tenant: Tenant) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    endpoint, _ = await add_endpoint(admin, "https://example.com/" + "long" * 40, "call.ended")
    hook, _, _ = await add_hook(admin, tenant)
    tab = await open_tab(admin, width=390)
    for page in (
        "/webhooks",
        endpoint,
        f"{endpoint}/settings",
        "/webhooks/incoming",
        hook,
        f"{hook}/settings",
    ):
        await tab.open(page)
        assert await tab.page.evaluate("() => document.documentElement.scrollWidth") <= 390, page


async def test_by_the_keyboard_alone_in_a_real_browser(
    sign_in: SignIn, open_tab: OpenTab, tenant: Tenant
) -> None:
    admin = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    tab = await open_tab(admin)
    page = tab.page
    await tab.open("/")
    await page.get_by_role("link", name="Webhooks").focus()
    async with new_page_of(tab):
        await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Add a webhook").first.focus()
    async with new_page_of(tab):
        await page.keyboard.press("Enter")
    await page.get_by_label("Address").focus()
    await page.keyboard.type("https://example.com/keyboard")
    await page.get_by_label("A call has ended").focus()
    await page.keyboard.press("Space")
    async with new_page_of(tab):
        await page.get_by_label("Address").press("Enter")
    secret = await page.locator("code.long").inner_text()
    assert secret.startswith("whsec_")
    await page.get_by_role("link", name="I have kept it").focus()
    async with new_page_of(tab):
        await page.keyboard.press("Enter")
    async with new_page_of(tab):
        await page.get_by_role("link", name="Settings").press("Enter")
    asked: list[str] = []

    async def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    page.once("dialog", refuse)
    await page.get_by_role("button", name="Delete this webhook").press("Enter")
    await page.wait_for_function("() => document.readyState === 'complete'")
    assert len(asked) == 1
    assert "https://example.com/keyboard" in asked[0]
    page.once("dialog", lambda dialog: dialog.accept())
    async with new_page_of(tab):
        await page.get_by_role("button", name="Delete this webhook").press("Enter")
    assert await page.get_by_text("The webhook is deleted").is_visible()
    assert await page.get_by_text("https://example.com/keyboard").count() == 0
