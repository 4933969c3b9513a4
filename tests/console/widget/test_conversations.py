"""A visitor of a web site of another origin speaks with the agent, and writes to it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect
from sqlalchemy import select

from appliance.access.domain import Role
from appliance.calls.tables import Call, TranscriptSegment
from appliance.database.unit_of_work import UnitOfWork
from appliance.widgets.domain import ShownWidget
from appliance.widgets.tables import WidgetSession
from provisioning.lite.box import Box
from tests.console.conftest import SignIn
from tests.console.microphone import TALK_MS
from tests.console.widget.conftest import Sites, Visitor, WidgetMaker, until

HOSTILE = "<img src=x onerror=\"document.title='taken over'\">"
Work = Callable[..., UnitOfWork]


async def _call_of(work: Work, widget: ShownWidget) -> tuple[Call, WidgetSession]:
    """The newest call of the widget once the worker has told of its end."""

    async def found() -> tuple[Call, WidgetSession] | None:
        async with work() as uow:
            row = (
                await uow.session.execute(
                    select(Call, WidgetSession)
                    .join(WidgetSession, WidgetSession.call_id == Call.id)
                    .where(WidgetSession.widget_id == widget.id)
                    .order_by(Call.created_at.desc())
                    .limit(1)
                )
            ).one_or_none()
        return (row[0], row[1]) if row is not None and row[0].finished_at and row[0].ended_at else None

    return await until(found, "the worker's report")


async def _transcript(work: Work, call: Call) -> list[tuple[str, str]]:
    async with work() as uow:
        rows = await uow.session.scalars(
            select(TranscriptSegment)
            .where(TranscriptSegment.call_id == call.id)
            .order_by(TranscriptSegment.index)
        )
        return [(row.speaker, row.text) for row in rows]


def _asked_only(origins: set[str], *allowed: str) -> None:
    assert origins <= set(allowed), origins - set(allowed)


@pytest.mark.timeout(600)
async def test_a_visitor_speaks_with_the_agent_from_another_origin(
    talking_box: Box, sites: Sites, new_widget: WidgetMaker, visit: Visitor, work: Work, sign_in: SignIn
) -> None:
    widget = await new_widget()
    tab = await visit(sites.own, widget.public_id)
    page = tab.page
    await expect(page.get_by_text("Ask the practice")).to_be_visible()
    await page.get_by_role("button", name="Talk").click()
    await expect(page.locator(".line.agent", has_text="How can I help")).to_be_visible(timeout=TALK_MS)
    await expect(page.locator(".line.you").first).to_contain_text("appointment", timeout=TALK_MS)
    await expect(page.locator(".line.you ~ .line.agent").first).to_be_visible(timeout=TALK_MS)
    assert await page.locator("trunkline-agent").get_attribute("state") in {"listening", "speaking"}
    await page.get_by_role("button", name="End", exact=True).click()
    await tab.state("ended")
    call, session = await _call_of(work, widget)
    assert (call.direction, call.status, call.ended_by) == ("web", "ended", "caller")
    assert call.agent_version_id == talking_box.seed.agent_version_id
    assert call.answered_at is not None
    assert (session.mode, session.origin) == ("voice", sites.own)
    told = await _transcript(work, call)
    assert any(who == "caller" and "appointment" in text for who, text in told), told
    assert tab.problems == []
    room = urlsplit(talking_box.settings.rooms.url).netloc
    server = talking_box.settings.console.url
    _asked_only(tab.origins(), sites.own, server, f"ws://{room}", f"http://{room}")
    assert await page.context.cookies() == []
    # It is a call like any other.
    listener = await sign_in(Role.LISTENER)
    listed = await listener.client.get("/calls?direction=web")
    assert f"/calls/{call.id}" in listed.text
    shown = await listener.client.get(f"/calls/{call.id}")
    assert f"Visitor of {urlsplit(sites.own).netloc}" in shown.text


@pytest.mark.timeout(600)
async def test_a_visitor_writes_to_the_agent_and_reads_what_it_answers(
    talking_box: Box, sites: Sites, new_widget: WidgetMaker, visit: Visitor, work: Work
) -> None:
    widget = await new_widget(voice=False)
    tab = await visit(sites.own, widget.public_id, microphone=False)
    page = tab.page
    await page.get_by_role("button", name="Write").click()
    await expect(page.locator(".line.agent", has_text="How can I help")).to_be_visible(timeout=TALK_MS)
    message = page.get_by_label("Your message")
    await expect(message).to_be_focused()
    await message.fill("I would like to book an appointment")
    await message.press("Enter")
    answer = page.locator(".line.you + .line.agent").first
    await expect(answer).to_contain_text("day", timeout=TALK_MS)
    await message.fill(HOSTILE)
    await message.press("Enter")
    await expect(page.locator(".line.you").nth(1)).to_contain_text(HOSTILE)
    assert await page.locator(".line img").count() == 0
    assert await page.title() == "A practice"
    await expect(page.locator(".line.you + .line.agent").nth(1)).to_be_visible(timeout=TALK_MS)
    await page.get_by_role("button", name="End", exact=True).click()
    await tab.state("ended")
    call, session = await _call_of(work, widget)
    assert (call.direction, session.mode) == ("web", "text")
    told = await _transcript(work, call)
    assert ("caller", "I would like to book an appointment") in told
    assert ("caller", HOSTILE) in told
    assert tab.problems == []
