"""The whole way of a new box: from the first login to an auditor who sees who listened.

One test on purpose: each step stands on the one before it, as it does for the people.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from keycloak import KeycloakAdmin
from playwright.async_api import Browser, BrowserContext, Page, expect

from appliance.access.domain import Role
from provisioning.identity.first_login import first_login
from provisioning.lite.box import Box
from tests.console.microphone import PATIENCE, TALK_MS
from tests.console.people import Person
from tests.fixtures.calls import place_call

STEP_MS = 60_000
END_SECONDS = 120.0


@dataclass(frozen=True)
class Window:
    """A browser of one person: a profile of its own."""

    page: Page
    url: str
    problems: list[str]

    async def open(self, path: str) -> None:
        answer = await self.page.goto(self.url + path)
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"

    async def sign_in(self, user: str, password: str) -> None:
        """By the address of the console alone, as somebody who was told nothing else."""
        await self.page.goto(self.url)
        await self.page.locator("#username").fill(user)
        await self.page.locator("#password").fill(password)
        await self.page.locator("#kc-login").click()
        await expect(self.page.get_by_role("heading", level=1)).to_have_text("Overview")
        assert self.page.url.startswith(self.url)


OpenWindow = Callable[[], Awaitable[Window]]


@pytest.fixture
async def window(speaking_browser: Browser, keycloak_box: Box) -> AsyncGenerator[OpenWindow]:
    contexts: list[BrowserContext] = []

    async def opened() -> Window:
        context = await speaking_browser.new_context(
            permissions=["microphone"], viewport={"width": 1360, "height": 900}
        )
        contexts.append(context)
        context.set_default_timeout(STEP_MS)
        page = await context.new_page()
        made = Window(page, keycloak_box.settings.console.url, [])
        page.on("pageerror", lambda error: made.problems.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        return made

    yield opened
    for context in contexts:
        await context.close()


def start_everything(box: Box) -> None:
    """The call path, with a worker that waits longer for the engines than it would for a caller who pays."""
    box.overrides.update(PATIENCE)
    box.prepare()
    box.start()
    box.restart("worker")


async def make_an_agent(page: Page, name: str, greeting: str) -> UUID:
    """Creates it, writes its words, saves the draft and goes to the test call."""
    await page.get_by_role("link", name="Agents", exact=True).click()
    await page.get_by_label("Name of a new agent").fill(name)
    await page.get_by_role("button", name="Create the agent").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    await page.get_by_label("Prompt").fill("You answer for a practice. Be brief.")
    await page.get_by_label("Greeting").fill(greeting)
    await page.get_by_role("button", name="Save and test").click()
    await expect(page.get_by_role("heading", name="Talk to the draft")).to_be_visible()
    return UUID(page.url.split("/agents/")[1].split("/")[0])


async def talk_to_it(page: Page) -> None:
    """The test call: the agent hears the microphone and answers."""
    await page.get_by_role("button", name="Start the test call").click()
    await expect(page.locator("[data-state]")).to_have_text("In the call. Speak.", timeout=TALK_MS)
    turns = page.locator("[data-turns]")
    await expect(turns.locator(".caller").first).to_contain_text("appointment", timeout=TALK_MS)
    await expect(turns.get_by_text("Answer after").first).to_be_visible(timeout=TALK_MS)
    await page.get_by_role("button", name="End the call").click()
    await expect(page.locator("[data-state]")).to_contain_text("The call is over", timeout=TALK_MS)


async def publish(page: Page) -> None:
    await page.get_by_role("link", name="Publish", exact=True).click()
    await page.get_by_label("What changed, in your words").fill("The first words")
    await page.get_by_role("button", name="Publish version 1").click()
    await expect(page.get_by_text("Version 1 answers from the next call on.")).to_be_visible()


async def assign(page: Page, number: str, name: str, agent_id: UUID) -> None:
    await page.get_by_role("link", name="Numbers", exact=True).click()
    await page.get_by_role("heading", name="Add a number").click()
    await page.locator("#number").fill(number)
    await page.get_by_label("Agent that answers").select_option(str(agent_id))
    await page.get_by_role("button", name="Add the number").click()
    await expect(page.get_by_text(f"{number} is answered by {name}.")).to_be_visible()


async def call_by_telephone(box: Box, number: str, agent_id: UUID, greeting: str) -> UUID:
    """A SIP call through the gateway that runs since before the number was given; its id."""
    async with place_call(box, number.removeprefix("+"), start=False) as call:
        await call.leg.answered()
        await call.dialogue.greeting()
        await call.dialogue.say("I would like to book an appointment")
        await call.leg.hangup()
        row = await call.finished(END_SECONDS)
        agents = await call.records.rows(
            "SELECT agent_id, version FROM agent_versions WHERE id = %s", row["agent_version_id"]
        )
        assert agents == [{"agent_id": agent_id, "version": 1}]
        assert row["called"] == number
        words = " ".join(segment["text"] for segment in await call.records.segments(row["id"]))
        assert greeting in words
        stored = await call.stored_recording(END_SECONDS)
        assert stored["seconds"] > 2
        return row["id"]


async def play(page: Page, number: str, call_id: UUID, greeting: str) -> None:
    """Finds the call by its number and listens."""
    await page.get_by_role("link", name="Calls", exact=True).click()
    await page.get_by_label("Number").fill(number)
    await page.get_by_role("button", name="Search").click()
    await page.locator(f"a[href='/calls/{call_id}']").click()
    await expect(page.get_by_role("button", name=greeting)).to_be_visible()
    await expect(page.locator("[data-peaks-state]")).to_be_hidden()
    audio = page.locator("audio")
    assert await audio.evaluate("each => each.currentTime") == 0
    await page.get_by_role("slider", name="Position in the recording").press("Enter")
    sounding = "() => { const each = document.querySelector('audio'); return !each.paused && !each.error"
    await page.wait_for_function(f"{sounding} && each.duration > 2 && each.currentTime > 1; }}")
    await page.get_by_role("slider", name="Position in the recording").press("Enter")


async def until_signed_out(page: Page, url: str) -> None:
    """Looks again until the console asks for a sign-in."""
    async with asyncio.timeout(END_SECONDS):
        while True:
            await page.goto(f"{url}/audit")
            if await page.locator("#kc-form-login").count():
                return
            await asyncio.sleep(0.5)


@pytest.mark.timeout(900)
async def test_from_the_first_login_to_the_auditor(
    keycloak_box: Box,
    window: OpenWindow,
    person: Callable[..., Person],
    realm: KeycloakAdmin,
) -> None:
    box, mark = keycloak_box, uuid4().hex[:8]
    await asyncio.to_thread(start_everything, box)
    name, number = f"Journey {mark}", f"+4989{uuid4().int % 10**8:08}"
    greeting = "Good day, this is the harbour museum."

    admin = await window()
    await admin.sign_in(*first_login(box))
    agent_id = await make_an_agent(admin.page, name, greeting)
    await talk_to_it(admin.page)
    await publish(admin.page)
    await assign(admin.page, number, name, agent_id)
    assert admin.problems == []

    call_id = await call_by_telephone(box, number, agent_id, greeting)

    lena = person(Role.LISTENER)
    listener = await window()
    await listener.sign_in(lena.user, lena.password)
    await play(listener.page, number, call_id, greeting)
    assert listener.problems == []

    anton = person(Role.AUDITOR)
    auditor = await window()
    await auditor.sign_in(anton.user, anton.password)
    await auditor.page.get_by_role("link", name="Audit", exact=True).click()
    played = auditor.page.get_by_role("row").filter(has_text=lena.name).filter(has_text="recordings.play")
    await expect(played).to_have_count(1)
    await played.get_by_role("link").click()
    await auditor.page.get_by_role("link", name="look at it").click()
    await expect(auditor.page).to_have_url(f"{auditor.url}/calls/{call_id}")

    # Keycloak tells the console: nobody has clicked “Sign out” there, and the others stay.
    realm.user_logout(anton.id)
    await until_signed_out(auditor.page, auditor.url)
    await listener.open("/calls")
