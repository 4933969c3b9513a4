"""Numbers, trunks and hours in the console."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID, uuid4

from playwright.async_api import expect
from sqlalchemy import select

from appliance.access.domain import Role
from appliance.database.unit_of_work import UnitOfWork
from appliance.organizations.tables import Organization
from appliance.security.keys import KeyRing
from appliance.telephony.tables import Number, Trunk
from provisioning.lite.box import Box
from tests.console.conftest import SignedIn, SignIn
from tests.console.pages.conftest import OpenTab


def new_number() -> str:
    return f"+4989{uuid4().int % 10**8:08}"


def revision_in(html: str) -> str:
    found = re.search(r'name="revision" value="([0-9a-f]+)"', html)
    assert found is not None
    return found.group(1)


async def row_of(work: Callable[..., UnitOfWork], number: str) -> Number | None:
    async with work() as uow:
        return await uow.session.scalar(select(Number).where(Number.number == number))


async def test_an_admin_gives_an_agent_a_number_and_takes_it_back(
    sign_in: SignIn, open_tab: OpenTab, console_box: Box, work: Callable[..., UnitOfWork]
) -> None:
    tab = await open_tab(await sign_in(Role.ADMIN))
    page, number = tab.page, new_number()
    await tab.open("/numbers")
    await page.get_by_role("heading", name="Add a number").click()
    await page.locator("#number").fill(number)
    await page.get_by_label("Agent that answers").select_option(str(console_box.seed.agent_id))
    await page.get_by_role("button", name="Add the number").click()
    await expect(page.get_by_text(f"{number} is answered by Reception.")).to_be_visible()
    row = await row_of(work, number)
    assert row is not None
    assert row.agent_id == console_box.seed.agent_id
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("link", name=number).click()
    await page.get_by_role("button", name="Give up this number").click()
    await expect(page.get_by_text("is not answered here any more")).to_be_visible()
    assert await row_of(work, number) is None
    assert tab.problems == []


async def test_a_wrong_number_is_told_beside_its_field(sign_in: SignIn, console_box: Box) -> None:
    admin = await sign_in(Role.ADMIN)
    agent = str(console_box.seed.agent_id)
    for fields, field in (
        ({"number": "zero", "agent_id": agent}, "number"),
        ({"number": new_number()}, "agent_id"),
        ({"number": new_number(), "agent_id": agent, "overflow": "nowhere"}, "overflow"),
        ({"number": new_number(), "agent_id": agent, "max_calls": "many"}, "max_calls"),
        ({"number": console_box.seed.number, "agent_id": agent}, "number"),
    ):
        answer = await admin.post_form("/numbers", {"closed_action": "answer", **fields})
        assert answer.status_code == 422, fields
        assert f'id="{field}-error"' in answer.text, fields
    foreign = await admin.post_form("/numbers", {"number": new_number(), "agent_id": str(uuid4())})
    assert foreign.status_code == 422
    auditor = await sign_in(Role.AUDITOR)
    refused = await auditor.post_form("/numbers", {"number": new_number(), "agent_id": agent})
    assert refused.status_code == 403


async def test_a_password_goes_in_and_never_comes_out(
    sign_in: SignIn, console_box: Box, work: Callable[..., UnitOfWork]
) -> None:
    admin = await sign_in(Role.ADMIN)
    name, secret = f"Carrier {uuid4().hex[:8]}", f"s3cret-{uuid4().hex}"
    fields = {"name": name, "host": "sip.example.com", "transport": "udp", "srtp": "off", "codec.alaw": "on"}
    made = await admin.post_form("/trunks", fields | {"auth_username": "box", "auth_password": secret})
    assert made.status_code == 303, made.text

    async def stored() -> tuple[UUID, str]:
        async with work() as uow:
            row = await uow.session.scalar(select(Trunk).where(Trunk.name == name))
            assert row is not None
            assert row.auth_password is not None
            wrapped = await uow.session.scalar(select(Organization.wrapped_key))
            assert wrapped is not None
            keys = KeyRing.from_settings(console_box.settings.security)
            plain = keys.decrypt_field(
                row.organization_id, wrapped, "trunks.auth_password", row.id, row.auth_password
            )
            return row.id, plain

    trunk_id, plain = await stored()
    assert plain == secret
    address = f"/trunks/{trunk_id}"
    html = (await admin.client.get(address)).text
    assert secret not in html
    assert "leave empty to keep it" in html
    # Saved without a password, it stays; what does not fit together is told.
    kept = fields | {"auth_username": "box", "revision": revision_in(html), "max_calls": "4"}
    assert (await admin.post_form(address, kept)).status_code == 303
    assert (await stored())[1] == secret
    stale = await admin.post_form(address, kept)
    assert stale.status_code == 422
    assert "Somebody else has changed this meanwhile." in stale.text
    wrong = await admin.post_form("/trunks", {"name": name, "transport": "udp", "srtp": "required"})
    assert wrong.status_code == 422
    assert (await admin.post_form(f"{address}/delete")).status_code == 303


async def hours(member: SignedIn) -> dict[str, str]:
    html = (await member.client.get("/hours")).text
    found = re.findall(r'<input type="(?:time|date|text)" name="([a-z]+\.[0-9.]+)" value="([^"]*)"', html)
    return {**dict(found), "revision": revision_in(html)}


async def test_hours_are_set_and_what_cannot_be_is_told(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    before = await hours(admin)
    assert before["opens.0.0"] == "09:00"
    wanted = before | {"opens.5.0": "10:00", "closes.5.0": "13:00", "date.0": "2030-12-24", "name.0": "Žák's"}
    try:
        assert (await admin.post_form("/hours", wanted)).status_code == 303
        after = await hours(admin)
        assert (after["opens.5.0"], after["closes.5.0"], after["date.0"]) == ("10:00", "13:00", "2030-12-24")
        told = await admin.post_form("/hours", after | {"opens.2.0": "18:00", "closes.2.0": "08:00"})
        assert told.status_code == 422
        assert 'id="day-2-error"' in told.text
        overlap = await admin.post_form("/hours", after | {"opens.0.1": "10:00", "closes.0.1": "18:00"})
        assert "overlap" in overlap.text
        stale = await admin.post_form("/hours", wanted)
        assert "changed this meanwhile" in stale.text
    finally:
        now = await hours(admin)
        back = {name: value for name, value in before.items() if not name.startswith(("date", "name"))}
        assert (await admin.post_form("/hours", back | {"revision": now["revision"]})).status_code == 303
