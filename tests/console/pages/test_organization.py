"""What an organization sets for itself: how it is shown, and how long it keeps things."""

from __future__ import annotations

import re
from html import unescape

import httpx
from playwright.async_api import expect

from appliance.access.domain import Role
from tests.console.conftest import SignIn
from tests.console.pages.call_world import KeptCall
from tests.console.pages.conftest import OpenTab
from tests.console.pages.test_lines import revision_in


def stored_fields(html: str) -> dict[str, str]:
    """What the settings page holds, as a browser would send it back unchanged."""
    texts = re.findall(r'<input id="([a-z_.]+)"[^>]*? value="([^"]*)"', html)
    area = re.search(r'<textarea id="consent.text"[^>]*>\n([^<]*)</textarea>', html)
    kept = {name: unescape(value) for name, value in texts if not name.startswith("redaction.")}
    for name in re.findall(r'<input id="(redaction\.[a-z_]+)"[^>]* checked', html):
        kept[name] = "on"
    return kept | {"revision": revision_in(html), "consent.text": unescape(area.group(1)) if area else ""}


async def test_an_organization_shows_its_name_and_colour_and_says_how_long_it_keeps(
    sign_in: SignIn, open_tab: OpenTab, kept_call: KeptCall, anonymous: httpx.AsyncClient
) -> None:
    admin = await sign_in(Role.ADMIN)
    before = stored_fields((await admin.client.get("/organization")).text)
    wanted = {"branding.display_name": "Zahnärzte <am> Fluß", "branding.accent": "#7A1FA2"}
    wanted |= {"retention.recordings_days": "400", "retention.calls_days": "3650"}
    wrong = await admin.post_form("/organization", before | {"branding.accent": "red; }"})
    assert wrong.status_code == 422
    assert 'id="branding.accent-error"' in wrong.text
    wrong = await admin.post_form("/organization", before | {"retention.calls_days": "0"})
    assert 'id="retention.calls_days-error"' in wrong.text
    try:
        assert (await admin.post_form("/organization", before | wanted)).status_code == 303
        after = stored_fields((await admin.client.get("/organization")).text)
        assert {name: after[name] for name in wanted} == wanted | {"branding.accent": "#7a1fa2"}
        # Seen by a member, and by the guest of a shared call.
        tab = await open_tab(admin)
        await tab.open("/organization")
        await expect(tab.page.locator(".organization-name")).to_have_text("Zahnärzte <am> Fluß")
        top = tab.page.locator(".bar")
        await expect(top).to_have_css("border-top-color", "rgb(122, 31, 162)")
        save = tab.page.get_by_role("button", name="Save the settings")
        await expect(save).to_have_css("background-color", "rgb(122, 31, 162)")
        await expect(save).to_have_css("color", "rgb(255, 255, 255)")
        assert tab.problems == []
        shared = await admin.post_form(f"/calls/{kept_call.call_id}/links", {"days": "1"})
        link = re.search(r"/shared/[A-Za-z0-9_.-]+", shared.text)
        assert link is not None
        guest = await anonymous.get(link.group(0))
        assert guest.status_code == 200
        assert "/brand/7a1fa2.css" in guest.text
        assert "Zahnärzte &lt;am&gt; Fluß" in guest.text
        assert "(Europe/Berlin)" in guest.text
    finally:
        now = (await admin.client.get("/organization")).text
        back = await admin.post_form("/organization", before | {"revision": revision_in(now)})
        assert back.status_code == 303


async def test_a_colour_sheet_holds_a_colour_and_nothing_else(anonymous: httpx.AsyncClient) -> None:
    good = await anonymous.get("/brand/ffee00.css")
    assert good.headers["content-type"].startswith("text/css")
    assert "--brand: #ffee00; --brand-ink: #000000;" in good.text
    for name in ("red.css", "ffee0.css", "ffee00", "ffee00.css;x", "FFEE00.css", "%7D.css"):
        assert (await anonymous.get(f"/brand/{name}")).status_code == 404, name
