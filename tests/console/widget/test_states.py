"""What a visitor meets: keyboard, states and looks of the widget, and pages on which axe finds nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from appliance.access.domain import Role
from provisioning.lite.box import Box
from provisioning.lite.cache import cache_directory
from tests.console.conftest import SignIn
from tests.console.microphone import CHROMIUM, CHROMIUM_FLAGS, TALK_MS
from tests.console.pages.test_every_page import AXE, MOST_BYTES, RULES
from tests.console.widget.conftest import Sites, Visitor, WidgetMaker

SCHEMES = ("light", "dark")
BEAT = """() => {
  const widget = document.querySelector("trunkline-agent");
  widget.setAttribute("state", "speaking");
  return getComputedStyle(widget.shadowRoot.querySelector(".indicator")).animationName;
}"""
OPENED = """([server, agent]) => {
  const widget = document.createElement("trunkline-agent");
  widget.setAttribute("server", server);
  widget.setAttribute("agent", agent);
  window.told = [];
  widget.addEventListener("trunkline-state", (event) => window.told.push(event.detail.state));
  document.querySelector("trunkline-agent").replaceWith(widget);
}"""


async def serious(page: Page, scheme: str = "light") -> list[str]:
    """What axe finds serious or critical on the page as it is now."""
    script = cache_directory() / "browser" / "axe-core" / "axe.min.js"
    await page.evaluate(script.read_text(encoding="utf-8"))
    return await page.evaluate(AXE, RULES[scheme])


@pytest.fixture
async def deaf_browser() -> AsyncGenerator[Browser]:
    """Asks for the microphone, and nobody allows it."""
    flags = [flag for flag in CHROMIUM_FLAGS if flag != "--use-fake-ui-for-media-stream"]
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        await started.close()


@pytest.mark.timeout(600)
async def test_by_keyboard_alone_and_readable_in_every_state(
    talking_box: Box, sites: Sites, new_widget: WidgetMaker, visit: Visitor
) -> None:
    widget = await new_widget()
    tab = await visit(sites.own, widget.public_id)
    page, keys = tab.page, tab.page.keyboard
    write = page.get_by_role("button", name="Write")
    await expect(write).to_be_visible()
    assert await serious(page) == []
    await keys.press("Tab")
    await keys.press("Tab")
    await expect(write).to_be_focused()
    await keys.press("Enter")
    await expect(page.get_by_role("button", name="End", exact=True)).to_be_focused()
    message = page.get_by_label("Your message")
    await expect(message).to_be_focused(timeout=TALK_MS)
    await expect(page.get_by_role("status")).to_have_text("Write your message.", timeout=TALK_MS)
    assert await serious(page) == []
    await keys.type("I would like to book an appointment")
    await keys.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("I would like to book an appointment")
    # Typed while the greeting was still on its way or not: it is answered.
    await expect(page.locator(".line.agent", has_text="day")).to_be_visible(timeout=TALK_MS)
    await keys.press("Shift+Tab")
    await expect(page.get_by_role("log")).to_be_focused()
    await keys.press("Shift+Tab")
    await keys.press("Enter")
    await tab.state("ended")
    await expect(page.get_by_role("status")).to_have_text("The conversation is over.")
    await expect(page.get_by_role("button", name="Talk again")).to_be_focused()
    assert await serious(page) == []
    assert tab.problems == []


async def test_a_refused_microphone_is_told_and_writing_is_offered(
    console_box: Box, deaf_browser: Browser, sites: Sites, new_widget: WidgetMaker, console_url: str
) -> None:
    widget = await new_widget()
    page = await deaf_browser.new_page()
    await page.goto(f"{sites.own}/?agent={widget.public_id}&server={console_url}")
    await page.get_by_role("button", name="Talk").click()
    await page.locator("trunkline-agent[state='microphone-refused']").wait_for(timeout=60_000)
    await expect(page.get_by_role("status")).to_contain_text("write instead")
    await expect(page.get_by_role("button", name="Write again")).to_be_enabled()
    assert await serious(page) == []


async def test_a_server_that_is_away_and_an_unknown_agent_are_told(
    console_box: Box, sites: Sites, new_widget: WidgetMaker, visit: Visitor, console_url: str
) -> None:
    widget = await new_widget()
    tab = await visit(sites.own, widget.public_id)
    nobody = sites.own.rsplit(":", 1)[0] + ":1"
    for server, agent, words in (
        (nobody, widget.public_id, "not available at the moment"),
        (console_url, "wg_nobody", "may not be used on this page"),
    ):
        await tab.page.evaluate(OPENED, [server, agent])
        await tab.state("unavailable")
        await expect(tab.page.get_by_role("status")).to_contain_text(words)
        assert await tab.page.evaluate("window.told") == ["idle", "unavailable"]
    assert await serious(tab.page) == []


async def test_it_keeps_still_and_takes_the_pages_colours(
    console_box: Box, sites: Sites, new_widget: WidgetMaker, visit: Visitor
) -> None:
    widget = await new_widget()
    moving = await visit(sites.own, widget.public_id)
    still = await visit(sites.own, widget.public_id, reduced_motion="reduce")
    assert await moving.page.evaluate(BEAT) == "trunkline-beat"
    assert await still.page.evaluate(BEAT) == "none"
    await moving.page.add_style_tag(
        content="trunkline-agent { --trunkline-surface: rgb(1, 2, 3); }"
        "trunkline-agent::part(title) { color: rgb(4, 5, 6); }"
    )
    panel, title = moving.page.locator(".panel"), moving.page.locator(".title")
    await expect(panel).to_have_css("background-color", "rgb(1, 2, 3)")
    await expect(title).to_have_css("color", "rgb(4, 5, 6)")


async def test_it_speaks_the_language_of_the_page(
    console_box: Box, sites: Sites, new_widget: WidgetMaker, visit: Visitor, console_url: str
) -> None:
    widget = await new_widget()
    tab = await visit(sites.own, widget.public_id)
    await tab.page.evaluate("document.documentElement.lang = 'de-AT'")
    await tab.page.evaluate(OPENED, [console_url, widget.public_id])
    await expect(tab.page.get_by_role("button", name="Schreiben")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_demo_page(
    console_box: Box, new_widget: WidgetMaker, visit: Visitor, console_url: str, scheme: str
) -> None:
    """From here alone, small, without a cookie, and with the console's own strict policy."""
    widget = await new_widget(origins=[])
    tab = await visit(console_url, widget.public_id, path="/widget/demo", color_scheme=scheme)
    await expect(tab.page.get_by_role("button", name="Talk")).to_be_visible()
    assert await serious(tab.page, scheme) == []
    assert tab.origins() == {console_url}
    assert tab.problems == []
    assert await tab.page.context.cookies() == []
    sizes = await tab.page.evaluate(
        "performance.getEntries().reduce((sum, each) => sum + (each.transferSize ?? 0), 0)"
    )
    assert 0 < sizes < MOST_BYTES, sizes


async def test_the_pages_of_the_console_are_readable(
    sign_in: SignIn, visitor_browser: Browser, new_widget: WidgetMaker, console_url: str
) -> None:
    widget = await new_widget()
    admin = await sign_in(Role.ADMIN)
    for scheme in SCHEMES:
        context = await visitor_browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
        cookie = {"name": admin.cookie_name, "value": admin.secret, "url": console_url}
        await context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]
        page = await context.new_page()
        for path in ("/widgets", "/widgets/new", f"/widgets/{widget.id}", "/widget/demo"):
            answer = await page.goto(console_url + path)
            assert answer is not None
            assert answer.status == 200
            assert await serious(page, scheme) == [], path
        await context.close()
