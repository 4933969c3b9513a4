"""A member talks to a draft from a real browser, whose microphone is a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import select, update

from appliance.access.domain import Role
from appliance.audit.tables import AuditEntry
from appliance.calls.tables import Call
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.tables import Organization
from provisioning.lite.box import Box
from tests.console.conftest import SignIn
from tests.console.microphone import TALK_MS, start_patiently
from tests.console.pages.conftest import Tab
from tests.console.pages.test_agents import created, fields_of

SLOW_MICROPHONE = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  let asked = 0;
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    if (++asked > 1) await new Promise((done) => setTimeout(done, 4000));
    return ask(wanted);
  };
"""
"""The agent is in the room before the microphone is: the page must not go on waiting for it."""


@pytest.mark.timeout(600)
async def test_a_draft_is_called_before_it_is_published(
    sign_in: SignIn,
    console_box: Box,
    console_url: str,
    speaking_browser: Browser,
    work: Callable[..., UnitOfWork],
) -> None:
    await asyncio.to_thread(start_patiently, console_box)
    member = await sign_in(Role.ADMIN, name=(name := f"Tess Tester {uuid4().hex[:8]}"))
    # A draft of its own that nobody has published.
    address = await created(member)
    fields = fields_of((await member.client.get(address)).text)
    fields |= {"greeting": "Good day, this is a draft.", "consent": "", "voice": "en-gb"}
    assert (await member.post_form(f"{address}/draft", fields)).status_code == 303

    context = await speaking_browser.new_context(permissions=["microphone"])
    cookie = {"name": member.cookie_name, "value": member.secret, "url": console_url}
    await context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]
    page = await context.new_page()
    tab = Tab(page, context, console_url)
    page.on("pageerror", lambda error: tab.problems.append(str(error)))
    await page.add_init_script(SLOW_MICROPHONE)
    await tab.open(f"{address}/test")
    await page.get_by_role("button", name="Start the test call").click()
    await expect(page.locator("[data-state]")).to_have_text("In the call. Speak.", timeout=TALK_MS)
    turns = page.locator("[data-turns]")
    await expect(turns.locator(".caller").first).to_contain_text("appointment", timeout=TALK_MS)
    await expect(turns.get_by_text("Answer after").first).to_be_visible(timeout=TALK_MS)
    await expect(page.locator("[data-state]")).to_have_text("In the call. Speak.")
    await page.get_by_role("button", name="End the call").click()
    await expect(page.locator("[data-state]")).to_contain_text("The call is over", timeout=TALK_MS)
    assert tab.problems == []

    call = await ended_call(work, name)
    assert (call.direction, call.status, call.ended_by) == ("test", "ended", "caller")
    assert call.agent_version_id is None
    assert call.test_agent_id == UUID(address.rsplit("/", 1)[1])
    assert call.test_snapshot is not None
    assert call.test_snapshot["greeting"] == "Good day, this is a draft."
    # The worker's report comes after the end: then the call is read like any other.
    await tab.open(f"/calls/{call.id}")
    await expect(page.get_by_text("Test from the browser")).to_be_visible()
    async with asyncio.timeout(90):
        while await page.get_by_text("Good day, this is a draft.").count() == 0:
            await page.wait_for_timeout(1000)
            await page.reload()
    async with work() as uow:
        actions = await uow.session.scalars(select(AuditEntry.action).where(AuditEntry.actor_name == name))
        assert "agents.test_call" in actions.all()
    await context.close()


async def ended_call(work: Callable[..., UnitOfWork], name: str) -> Call:
    async with asyncio.timeout(60):
        while True:
            async with work() as uow:
                call = await uow.session.scalar(select(Call).where(Call.caller_name == name))
            if call is not None and call.ended_at is not None:
                return call
            await asyncio.sleep(0.3)


async def test_a_test_call_is_counted_and_refused_at_the_limit(
    sign_in: SignIn, console_box: Box, work: Callable[..., UnitOfWork]
) -> None:
    await asyncio.to_thread(console_box.start, "livekit", "tool_api")
    builder = await sign_in(Role.BUILDER)
    address = f"/agents/{console_box.seed.agent_id}/test-calls"
    organization = update(Organization).where(Organization.id == console_box.seed.organization_id)
    async with work() as uow:
        await uow.session.execute(organization.values(max_calls=0))
    try:
        refused = await builder.client.post(address, headers=builder.script_headers())
        assert refused.status_code == 429
        assert "limit" in refused.json()["detail"]
    finally:
        async with work() as uow:
            await uow.session.execute(organization.values(max_calls=10))
    listener = await sign_in(Role.LISTENER)
    assert (await listener.client.post(address, headers=listener.script_headers())).status_code == 403
    assert (await builder.client.post(address)).status_code == 403, "without the session's token"


async def test_a_draft_with_flaws_is_not_called(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    address = await created(admin)
    fields = fields_of((await admin.client.get(address)).text) | {"greeting": ""}
    await admin.post_form(f"{address}/draft", fields)
    assert "cannot be tried yet" in (await admin.client.get(f"{address}/test")).text
    refused = await admin.client.post(f"{address}/test-calls", headers=admin.script_headers())
    assert refused.status_code == 409
