"""The pages of webhooks in a real browser: readable for everybody, by the keyboard alone."""

from __future__ import annotations

import pytest
from playwright.async_api import Dialog

from appliance.access.domain import Role
from tests.console.conftest import SignIn
from tests.console.pages.conftest import OpenTab, new_page_of
from tests.console.pages.test_every_page import AXE, RULES
from tests.console.webhooks.page_forms import add_endpoint, add_hook
from tests.console.webhooks.senders import Sender
from tests.integration.database.world import Data, Tenant


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
