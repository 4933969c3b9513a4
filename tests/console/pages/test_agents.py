"""Agents in the console: written, saved with their flaws, published, compared, rolled back."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

from playwright.async_api import expect
from sqlalchemy import select

from appliance.access.domain import Role
from appliance.agents.tables import Agent, AgentVersion
from appliance.database.unit_of_work import UnitOfWork
from tests.console.conftest import SignedIn, SignIn
from tests.console.pages.conftest import OpenTab

HOSTILE = "Zoë's <script>document.title='taken over'</script> “Praxis”"


async def created(member: SignedIn, name: str | None = None) -> str:
    """The address of a new agent."""
    answer = await member.post_form("/agents", {"name": name or f"Agent {uuid4().hex[:12]}"})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def fields_of(html: str) -> dict[str, str]:
    """The fields of the editor that stand in every form here."""
    found = re.search(r'name="revision" value="([0-9a-f]+)"', html)
    assert found is not None
    return {
        "revision": found.group(1),
        "name": "Reception",
        "prompt": "You answer.",
        "greeting": "Hello.",
        "voice": "default",
        "language": "en",
        "turn_taking.min_endpointing_ms": "250",
        "turn_taking.max_endpointing_ms": "1200",
        "turn_taking.interruption_min_ms": "400",
        "turn_taking.interruption_min_words": "0",
        "silence.prompt_after_seconds": "8",
        "silence.end_after_seconds": "8",
        "limits.max_duration_seconds": "600",
    }


async def test_an_admin_writes_and_publishes_an_agent_and_takes_it_back(
    sign_in: SignIn, open_tab: OpenTab, work: Callable[..., UnitOfWork]
) -> None:
    tab = await open_tab(await sign_in(Role.ADMIN))
    page = tab.page
    name = f"Empfang {uuid4().hex[:8]}"
    await tab.open("/agents")
    await page.get_by_label("Name of a new agent").fill(name)
    await page.get_by_role("button", name="Create the agent").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    await page.get_by_label("Prompt").fill("You answer for a practice.\nBe brief.")
    await page.get_by_label("Greeting").fill(HOSTILE)
    await page.get_by_label("log_note").check()
    await page.get_by_label("Longest call (s)").fill("300")
    await expect(page.get_by_text("Not saved yet")).to_be_visible()
    await page.get_by_role("button", name="Save and publish …").click()
    await expect(page.get_by_text("The draft becomes version 1")).to_be_visible()
    await page.get_by_label("What changed, in your words").fill("The first words")
    await page.get_by_role("button", name="Publish version 1").click()
    await expect(page.get_by_text("Version 1 answers from the next call on.")).to_be_visible()
    agent_id = page.url.split("/")[4]
    # A second version, whose difference is shown before it is published.
    await tab.open(f"/agents/{agent_id}")
    assert await page.get_by_label("Greeting").input_value() == HOSTILE
    await page.get_by_label("Greeting").fill("Good day.")
    await page.get_by_role("button", name="Save and publish …").click()
    change = page.get_by_role("region", name="Greeting")
    await expect(change).to_contain_text(HOSTILE)
    await expect(change).to_contain_text("Good day.")
    assert await page.title() != "taken over"
    await page.get_by_role("button", name="Publish version 2").click()
    await expect(page.get_by_text("Version 2 answers from the next call on.")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Let it answer again").click()
    await expect(page.get_by_text("Version 1 answers again.")).to_be_visible()
    assert tab.problems == []
    async with work() as uow:
        live = await uow.session.scalar(
            select(AgentVersion)
            .join(Agent, Agent.published_version_id == AgentVersion.id)
            .where(Agent.name == name)
        )
    assert live is not None
    assert live.snapshot["greeting"] == HOSTILE
    assert live.snapshot["tools"] == ["log_note"]
    assert live.snapshot["limits"]["max_duration_seconds"] == 300
    assert live.snapshot["prompt"] == "You answer for a practice.\nBe brief."


async def test_a_flaw_is_told_beside_its_field_and_keeps_it_from_being_published(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    address = await created(admin)
    fields = fields_of((await admin.client.get(address)).text)
    fields |= {"limits.max_duration_seconds": "soon", "silence.end_after_seconds": "9999", "greeting": " "}
    saved = await admin.post_form(f"{address}/draft", fields)
    assert saved.status_code == 303
    html = (await admin.client.get(address)).text
    for path in ("limits.max_duration_seconds", "silence.end_after_seconds", "greeting"):
        assert f'id="{path}-error"' in html, path
    assert 'value="soon"' in html, "what was typed is kept"
    published = await admin.post_form(f"{address}/publish", {})
    assert published.status_code == 409
    assert "cannot be published yet" in published.text


async def test_two_who_edit_are_told_and_nothing_is_lost(sign_in: SignIn) -> None:
    first, second = await sign_in(Role.ADMIN, name="First"), await sign_in(Role.BUILDER, name="Second")
    address = await created(first)
    mine = fields_of((await first.client.get(address)).text)
    theirs = dict(mine)
    assert (await second.post_form(f"{address}/draft", theirs | {"greeting": "Theirs."})).status_code == 303
    told = await first.post_form(f"{address}/draft", mine | {"greeting": "Mine."})
    assert told.status_code == 409
    assert "Somebody else changed this draft" in told.text
    assert "Theirs." in told.text
    assert "Mine." in told.text
    # Asked, and answered with the revision that was shown: now mine is kept.
    again = await first.post_form(f"{address}/draft", fields_of(told.text) | {"greeting": "Mine."})
    assert again.status_code == 303
    assert "Mine." in (await second.client.get(address)).text


async def test_own_functions_are_given_to_an_agent(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    name = f"look_up_{uuid4().hex[:8]}"
    function = {"name": name, "description": "Finds.", "url": "https://crm.example.com/", "parameters": ""}
    function |= {"parameters": '{"type": "object"}', "auth": "none", "method": "POST", "enabled": "on"}
    made = await admin.post_form("/functions", function)
    assert made.status_code == 303, made.text
    address = await created(admin)
    fields = fields_of((await admin.client.get(address)).text) | {f"function.{name}": "on"}
    assert (await admin.post_form(f"{address}/draft", fields)).status_code == 303
    html = (await admin.client.get(address)).text
    box = re.search(rf'<input id="function.{name}"[^>]*>', html)
    assert box is not None
    assert "checked" in box.group(0)
    assert (await admin.post_form(f"{made.headers['location']}/delete")).status_code == 303
    assert "There is no such function" in (await admin.client.get(address)).text


async def test_names_are_checked_and_agents_archived_and_brought_back(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    name = f"Ärzte {uuid4().hex[:8]}"
    address = await created(admin, name)
    twice = await admin.post_form("/agents", {"name": name})
    assert twice.status_code == 422
    assert f"There is an agent named {name} already." in twice.text
    assert (await admin.post_form("/agents", {"name": "  "})).status_code == 422
    assert (await admin.post_form(f"{address}/archive")).status_code == 303
    assert name not in (await admin.client.get("/agents")).text
    assert name in (await admin.client.get("/agents?show=archived")).text
    assert (await admin.post_form(f"{address}/archive", {"back": "1"})).status_code == 303
    assert name in (await admin.client.get("/agents")).text


async def test_who_may_only_read_changes_nothing(sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    address = await created(admin)
    fields = fields_of((await admin.client.get(address)).text)
    auditor = await sign_in(Role.AUDITOR)
    page = await auditor.client.get(address)
    assert page.status_code == 200
    assert "Save the draft" not in page.text
    for path in (f"{address}/draft", f"{address}/publish", f"{address}/archive", "/agents"):
        assert (await auditor.post_form(path, fields)).status_code == 403, path
    assert (await admin.client.get(f"/agents/{uuid4()}")).status_code == 404
    assert (await admin.client.get(f"{address}/versions/{uuid4()}")).status_code == 404
