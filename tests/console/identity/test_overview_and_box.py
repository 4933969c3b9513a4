"""The first page with calls as they go on, and the operator's pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Browser, async_playwright
from sqlalchemy import update

from appliance.access.domain import Role
from appliance.backups.manifest import LastBackup
from appliance.calls.tables import Call, Turn
from appliance.database.unit_of_work import UnitOfWork
from provisioning.lite.box import Box
from provisioning.lite.postgres import connect_as_superuser
from tests.console.conftest import SignedIn, SignIn

Work = Callable[..., UnitOfWork]
DEADLINE_MS = 60_000
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


@pytest.fixture(scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


async def _call(work: Work, box: Box, **values: object) -> UUID:
    async with work() as uow:
        call = Call(
            organization_id=box.seed.organization_id,
            agent_version_id=box.seed.agent_version_id,
            direction="inbound",
            room_name=f"call-{uuid4()}",
            caller="+49301234567",
            called=box.seed.number,
            status="answered",
            answered_at=datetime.now(UTC),
            **values,
        )
        uow.session.add(call)
        await uow.session.flush()
        return call.id


async def _turn(work: Work, box: Box, call_id: UUID, index: int, caller: str) -> None:
    async with work() as uow:
        uow.session.add(
            Turn(
                organization_id=box.seed.organization_id,
                call_id=call_id,
                index=index,
                caller_text=caller,
                agent_text="Certainly.",
                stamps={"first_audio_out": 612.0},
            )
        )


async def _end(work: Work, call_id: UUID) -> None:
    async with work() as uow:
        await uow.session.execute(
            update(Call).where(Call.id == call_id).values(ended_at=datetime.now(UTC), status="ended")
        )


async def _open(chromium: Browser, member: SignedIn, path: str):
    context = await chromium.new_context()
    url = str(member.client.base_url)
    await context.add_cookies([{"name": member.cookie_name, "value": member.secret, "url": url}])
    page = await context.new_page()
    await page.goto(f"{url.rstrip('/')}{path}")
    return page


async def test_a_call_appears_with_its_turns_and_goes(
    chromium: Browser, sign_in: SignIn, work: Work, console_box: Box
) -> None:
    page = await _open(chromium, await sign_in(Role.LISTENER), "/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    # The stream is open before the call begins.
    async with page.expect_response("**/overview/live", timeout=DEADLINE_MS):
        call_id = await _call(work, console_box)
    card = page.locator(f'a[href="/calls/{call_id}"]')
    await card.wait_for(timeout=DEADLINE_MS)
    words = f"I would like {uuid4().hex[:6]} <b>bold</b>"
    await _turn(work, console_box, call_id, 0, words)
    await page.get_by_text(words).wait_for(timeout=DEADLINE_MS)
    await page.get_by_text("612 ms").first.wait_for(timeout=DEADLINE_MS)
    await _end(work, call_id)
    await card.wait_for(state="detached", timeout=DEADLINE_MS)
    base = console_box.settings.console.url
    assert all(url.startswith(base) for url in asked)
    assert problems == []
    await page.context.close()


async def test_what_is_said_is_for_listeners(sign_in: SignIn, work: Work, console_box: Box) -> None:
    call_id = await _call(work, console_box)
    words = f"secret {uuid4().hex[:6]}"
    await _turn(work, console_box, call_id, 0, words)
    listener, auditor = await sign_in(Role.LISTENER), await sign_in(Role.AUDITOR)
    assert words in (await listener.client.get("/overview/live")).text
    seen = (await auditor.client.get("/overview/live")).text
    assert str(call_id) in seen
    assert words not in seen
    await _end(work, call_id)


async def test_another_organization_sees_none_of_it(sign_in: SignIn, work: Work, console_box: Box) -> None:
    call_id = await _call(work, console_box)
    stranger = await sign_in(Role.ADMIN, organization_id=uuid4())
    page = await stranger.client.get("/overview/live")
    assert page.status_code == 200
    assert str(call_id) not in page.text
    await _end(work, call_id)


async def test_the_operator_sees_the_last_backup(sign_in: SignIn, console_box: Box) -> None:
    operator = await sign_in(operator=True)
    name = console_box.settings.database.name

    async def shown(record: LastBackup | None) -> str:
        with connect_as_superuser(console_box.site, name) as connection:
            kept = None if record is None else record.model_dump_json()
            connection.execute("UPDATE box SET last_backup = %s", (kept,))
        return (await operator.client.get("/box")).text

    try:
        page = await shown(None)
        assert "No backup was made yet" in page
        assert "appliance backup create --to DIRECTORY" in page
        long_ago = datetime(2026, 1, 7, 12, 30, tzinfo=UTC)
        made = LastBackup(file="x.tlbackup", made_at=long_ago, size_bytes=2048, verified_at=long_ago)
        page = await shown(made)
        assert "07 Jan 2026 12:30 UTC" in page
        assert "2.0 KiB" in page
        assert "x.tlbackup" in page
    finally:
        await shown(None)


async def test_the_operator_makes_an_organization(sign_in: SignIn, keycloak_box: Box) -> None:
    operator = await sign_in(operator=True)
    page = await operator.client.get("/box")
    assert page.status_code == 200
    assert "Riverside Dental Practice" in page.text
    assert "PostgreSQL" in page.text
    slug = f"org-{uuid4().hex[:8]}"
    fields = {
        "name": "Second & Co",
        "slug": slug,
        "timezone": "Europe/Paris",
        "language": "fr",
        "max_calls": "3",
    }
    for change in ({"slug": "Not Good"}, {"timezone": "Mars/Base"}, {"max_calls": "many"}, {"name": " "}):
        answer = await operator.post_form("/box/organizations", {**fields, **change})
        assert answer.status_code == 422
    made = await operator.post_form("/box/organizations", fields)
    assert made.status_code == 303
    again = await operator.post_form("/box/organizations", fields)
    assert again.status_code == 422
    assert "already" in again.text
    page = await operator.client.get("/box")
    assert "Second &amp; Co" in page.text
    log = await operator.client.get("/box/log")
    assert "organizations.create" in log.text
    # Its first administrator is invited by the operator, and finds what to do first.
    address = made.headers["location"]
    nobody = {"email": "x", "first_name": "Ada", "last_name": "First"}
    assert 'id="email-error"' in (await operator.post_form(address, nobody)).text
    person = nobody | {"email": f"{slug}@example.org"}
    invited = await operator.post_form(address, person)
    assert invited.status_code == 200, invited.text
    assert "Password for once" in invited.text
    assert (
        await operator.post_form(f"/box/organizations/{uuid4()}/administrator", person)
    ).status_code == 404
    organization_id = UUID(address.split("/")[3])
    first = await sign_in(Role.ADMIN, organization_id=organization_id)
    assert "Ada First" in (await first.client.get("/members")).text
    assert "members.invite" in (await first.client.get("/audit")).text
    overview = await first.client.get("/")
    assert "To the first answered call" in overview.text
    admin = await sign_in(Role.ADMIN)
    assert (await admin.client.get("/box")).status_code == 403
    assert (await admin.post_form("/box/organizations", fields)).status_code == 403
    assert (await admin.post_form(address, person)).status_code == 403


async def test_the_theme_is_kept(chromium: Browser, sign_in: SignIn) -> None:
    page = await _open(chromium, await sign_in(Role.ADMIN), "/")
    await page.get_by_role("button", name="Light or dark").click()
    chosen = await page.evaluate("document.documentElement.dataset.theme")
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == chosen
    await page.context.close()


async def test_the_keyboard_reaches_the_content_first(chromium: Browser, sign_in: SignIn) -> None:
    page = await _open(chromium, await sign_in(Role.ADMIN), "/audit")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.context.close()
