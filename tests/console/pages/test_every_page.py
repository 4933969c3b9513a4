"""Every page that a link leads to: readable by all (WCAG 2.2 AA), light and dark, from here alone, small."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from appliance.access.domain import Role
from provisioning.lite.box import Box
from tests.console.conftest import SignIn
from tests.console.pages.call_world import KeptCall
from tests.console.pages.conftest import OpenTab, Tab

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_BYTES = 200_000
MOST_PAGES = 60
FILES = (".csv", ".wav", ".json", ".jsonl", "/export")
ALL_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RULES = {
    "light": {"type": "tag", "values": ALL_RULES},
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
"""In the dark only the colours are others."""
AXE = """async (rules) => {
  const told = (node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ""}`;
  const found = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.nodes.slice(0, 3).map(told).join(" | ")}`);
}"""


def kind_of(path: str) -> str:
    """Pages that differ only in what they show are one kind."""
    return re.sub(r"/\d+$", "/*", UUID.sub("*", path.split("?")[0].split("#")[0]))


async def links(tab: Tab) -> list[str]:
    """Where the page leads within the console."""
    found: list[str] = await tab.page.eval_on_selector_all(
        "a[href^='/']", "elements => elements.map((each) => each.getAttribute('href'))"
    )
    return [each for each in found if not each.split("?")[0].endswith(FILES)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_that_a_link_leads_to(
    sign_in: SignIn, kept_call: KeptCall, open_tab: OpenTab, axe_script: str, scheme: str, console_box: Box
) -> None:
    console_box.start("keycloak")  # whose members one page shows
    tab = await open_tab(await sign_in(Role.ADMIN, operator=True), scheme=scheme)
    network = await tab.context.new_cdp_session(tab.page)
    await network.send("Network.enable")
    await network.send("Network.setCacheDisabled", {"cacheDisabled": True})
    received: list[int] = []

    def count(event: dict[str, Any]) -> None:
        received.append(int(event["encodedDataLength"]))

    network.on("Network.loadingFinished", count)
    agent = f"/agents/{console_box.seed.agent_id}"
    waiting = ["/", "/calls", f"/calls/{kept_call.call_id}", agent, f"{agent}/test"]
    seen: set[str] = set()
    problems: dict[str, list[str]] = {}
    while waiting and len(seen) < MOST_PAGES:
        path = waiting.pop(0)
        kind = kind_of(path)
        if kind in seen:
            continue
        seen.add(kind)
        received.clear()
        answer = await tab.page.goto(tab.origin + path)
        assert answer is not None
        if answer.status != 200:
            problems[path] = [f"status {answer.status}"]
            continue
        await tab.page.evaluate(axe_script)
        found: list[str] = await tab.page.evaluate(AXE, RULES[scheme])
        if sum(received) > MOST_BYTES:
            found.append(f"{sum(received)} bytes")
        if found:
            problems[path] = found
        waiting += await links(tab)
    assert not waiting or len(seen) < MOST_PAGES, "more kinds of pages than are looked at"
    assert tab.foreign == []
    assert problems == {}
    assert tab.problems == []
    expected = {"/", "/calls", "/calls/*", "/agents", "/agents/*", "/agents/*/test", "/agents/*/publish"}
    expected |= {
        "/agents/*/versions",
        "/agents/*/versions/*",
        "/numbers",
        "/numbers/*",
        "/trunks",
        "/trunks/*",
    }
    expected |= {"/trunks/new", "/hours", "/functions", "/functions/new", "/bookings", "/bookings/orders"}
    expected |= {"/bookings/callbacks", "/organization", "/organization/usage", "/organization/keys"}
    expected |= {"/members", "/members/new", "/members/*", "/audit", "/audit/*", "/box", "/box/log"}
    expected |= {"/box/organizations/new", "/box/organizations/*/administrator"}
    assert expected <= seen, f"no link leads to {expected - seen}"


async def test_a_narrow_screen_scrolls_down_and_not_aside(
    sign_in: SignIn, kept_call: KeptCall, open_tab: OpenTab
) -> None:
    tab = await open_tab(await sign_in(Role.ADMIN), width=390)
    for path in (
        "/calls",
        f"/calls/{kept_call.call_id}",
        "/agents",
        "/numbers",
        "/hours",
        "/organization/keys",
    ):
        await tab.open(path)
        wide = await tab.page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= 390, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_those_see_who_are_not_signed_in(
    sign_in: SignIn,
    kept_call: KeptCall,
    open_tab: OpenTab,
    axe_script: str,
    scheme: str,
    keycloak_box: Box,
) -> None:
    """The sign-in page of Keycloak (with its own origin alone), and the pages of one message."""
    admin = await sign_in(Role.ADMIN)
    made = await admin.post_form(f"/calls/{kept_call.call_id}/links", {"days": "1", "recording": "on"})
    link = re.search(r"/shared/[A-Za-z0-9_.-]+", made.text)
    assert link is not None
    tab = await open_tab(None, scheme=scheme)
    problems: dict[str, list[str]] = {}
    for path, status in (("/", 200), ("/signed-out", 200), ("/no-such-page", 404), (link.group(0), 200)):
        tab.requested.clear()
        answer = await tab.page.goto(tab.origin + path)
        assert answer is not None
        assert answer.status == status, path
        await tab.page.evaluate(axe_script)
        found: list[str] = await tab.page.evaluate(AXE, RULES[scheme])
        asked = {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, tab.requested)} - {"data://"}
        if asked - {tab.origin, keycloak_box.settings.identity.url}:
            found.append(f"asked {asked}")
        if found:
            problems[path] = found
    assert problems == {}
