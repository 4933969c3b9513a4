"""Pictures of the pages, light and dark, for `docs/screenshots`; made by hand: TRUNKLINE_SCREENSHOTS=1.

TRUNKLINE_SCREENSHOTS=audit,box makes these alone. The prettiest come from a box that no other test has used.
"""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import expect
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.access.domain import Role
from provisioning.lite.box import Box
from provisioning.lite.cache import REPOSITORY
from tests.console.conftest import SignIn
from tests.console.pages.call_world import LINES, SCRIPT, keep_call
from tests.console.pages.conftest import OpenTab

FOLDER = REPOSITORY / "docs" / "screenshots"
WIDTH = 1280
WANTED = os.environ.get("TRUNKLINE_SCREENSHOTS", "")
pytestmark = pytest.mark.skipif(not WANTED, reason="only when the pictures are to be made anew")


def keep(name: str, scheme: str, png: bytes) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(colors=96, dither=Image.Dither.NONE)
    few.save(FOLDER / f"{name}-{scheme}.png", optimize=True)


@pytest.mark.timeout(900)
async def test_pictures(
    console_box: Box, app_engine: AsyncEngine, sign_in: SignIn, open_tab: OpenTab, tmp_path: Path
) -> None:
    console_box.start()  # the overview says how each part is
    console_box.start("keycloak")
    lines = tuple((who, text.replace(f" {SCRIPT}", "")) for who, text in LINES)
    now = datetime.now(UTC)
    call = await keep_call(console_box, app_engine, tmp_path, lines=lines, at=now - timedelta(minutes=12))
    outcomes = ("completed", "caller_hung_up", "transferred", "ordered", "no_speech", "failed")
    for place, outcome in enumerate(outcomes):
        await keep_call(
            console_box,
            app_engine,
            tmp_path,
            lines=lines[: 3 + place % 5],
            at=now - timedelta(hours=2 + 5 * place),
            caller=f"+4930{2223344 + 71111 * place}",
            outcome=outcome,
            recorded=False,
        )
    agent = f"/agents/{console_box.seed.agent_id}"
    pages = {
        "calls": "/calls",
        "call": f"/calls/{call.call_id}",
        "agents": "/agents",
        "agent": agent,
        "agent-test": f"{agent}/test",
        "agent-publish": f"{agent}/publish",
        "agent-versions": f"{agent}/versions",
        "numbers": "/numbers",
        "trunks": "/trunks",
        "trunk": f"/trunks/{console_box.seed.trunk_id}",
        "hours": "/hours",
        "functions": "/functions",
        "function": "/functions/new",
        "bookings": "/bookings",
        "callbacks": "/bookings/callbacks",
        "organization": "/organization",
        "usage": "/organization/usage",
        "keys": "/organization/keys",
        "overview": "/",
        "number": f"/numbers/{console_box.seed.number_id}",
        "agent-version": f"{agent}/versions/{console_box.seed.agent_version_id}",
        "orders": "/bookings/orders",
        "audit": "/audit",
        "audit-entry": "/audit/1",
        "members": "/members",
        "member-invite": "/members/new",
        "webhooks": "/webhooks",
        "webhook": "/webhooks/new",
        "webhooks-incoming": "/webhooks/incoming",
        "webhook-incoming": "/webhooks/incoming/new",
        "widgets": "/widgets",
        "widget": "/widgets/new",
        "box": "/box",
        "box-log": "/box/log",
        "box-organization": "/box/organizations/new",
        "not-there": "/no-such-page",
    }
    member = await sign_in(Role.ADMIN, operator=True, name="Ada Admin")
    # Something for the audit log to tell.
    listener = await sign_in(Role.LISTENER, name="Lena Listener")
    sound = f"/calls/{call.call_id}/recordings/{call.recording_id}/audio.wav"
    assert (await listener.client.get(sound)).status_code == 200
    assert (await listener.client.get("/audit")).status_code == 403
    assert (await member.client.get("/calls/export.csv")).status_code == 200
    only = set() if WANTED == "1" else set(WANTED.split(","))
    pages = {name: path for name, path in pages.items() if not only or name in only}
    for scheme in ("light", "dark"):
        tab = await open_tab(member, scheme=scheme, width=WIDTH)
        for name, path in pages.items():
            answer = await tab.page.goto(tab.origin + path)
            assert answer is not None
            assert answer.status in {200, 404}, f"{path}: {answer.status}"
            if answer.status == 404 and name != "not-there":
                continue
            if name == "call":
                await expect(tab.page.locator("[data-peaks-state]")).to_be_hidden()
            tall = await tab.page.evaluate("() => document.documentElement.scrollHeight")
            await tab.page.set_viewport_size({"width": WIDTH, "height": min(max(tall, 800), 1400)})
            keep(name, scheme, await tab.page.screenshot())
            await tab.page.set_viewport_size({"width": WIDTH, "height": 800})
        nobody = await open_tab(None, scheme=scheme, width=WIDTH)
        await nobody.page.set_viewport_size({"width": WIDTH, "height": 800})
        await nobody.page.goto(nobody.origin)
        await expect(nobody.page.locator("#kc-form-login")).to_be_visible()
        keep("sign-in", scheme, await nobody.page.screenshot())
        await nobody.open("/signed-out")
        keep("signed-out", scheme, await nobody.page.screenshot())
    size = sum(each.stat().st_size for each in FOLDER.glob("*.png"))
    assert size < 5_000_000, f"{size} bytes"
