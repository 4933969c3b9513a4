"""The way in when Keycloak is away: once, for a time, and loud."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from appliance.access.domain import Role
from console.identity.emergency import KIND, make_address
from console.web.cookies import Cookies
from provisioning.lite.box import Box
from tests.console.conftest import SignIn, form_token


def _command(box: Box) -> subprocess.CompletedProcess[str]:
    words = ["console", "emergency", "--by", "Olga Operator", "--reason", "Keycloak does not start"]
    code = "from console.cli import app; app(prog_name='console')"
    return subprocess.run(
        [sys.executable, "-c", code, *words[1:]],
        env={**os.environ, **box.environment},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_in_once_and_written_everywhere(
    console_box: Box, anonymous: httpx.AsyncClient, sign_in: SignIn
) -> None:
    done = _command(console_box)
    assert done.returncode == 0, done.stderr
    path = urlsplit(done.stdout.strip()).path
    # Whatever looks at the address does not use it up.
    for _ in range(2):
        offer = await anonymous.get(path)
        assert offer.status_code == 200
        assert "Olga Operator" in offer.text
    foreign = await anonymous.post(path, headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert (await anonymous.post(path)).status_code == 303
    inside = await anonymous.get("/")
    assert inside.status_code == 200
    assert "Emergency access: everything you do" in inside.text
    assert (await anonymous.get("/box")).status_code == 200

    async with httpx.AsyncClient(base_url=console_box.settings.console.url, trust_env=False) as other:
        assert (await other.post(path, headers={"accept": "text/html"})).status_code == 403

    auditor = await sign_in(Role.AUDITOR, operator=True)
    log = await auditor.client.get("/audit", params={"action": "emergency.entered"})
    assert "Emergency access (Olga Operator)" in log.text
    box_log = await auditor.client.get("/box/log")
    assert "emergency.offered" in box_log.text
    assert "emergency.entered" in box_log.text
    overview = await auditor.client.get("/")
    assert "Emergency access was used" in overview.text
    out = await anonymous.post("/sign-out", data={"_csrf": form_token(inside.text)})
    assert out.headers["location"] == "/signed-out"


@pytest.mark.parametrize("token", ["x", "a" * 3000, "..%2f"])
async def test_a_made_up_address_lets_nobody_in(anonymous: httpx.AsyncClient, token: str) -> None:
    assert (await anonymous.get(f"/emergency/{token}")).status_code in {403, 404}
    assert (await anonymous.post(f"/emergency/{token}")).status_code in {403, 404}


async def test_an_address_of_another_box_or_too_old_lets_nobody_in(
    console_box: Box, anonymous: httpx.AsyncClient
) -> None:
    url = console_box.settings.console.url
    foreign, _ = make_address(url, Cookies("another box", secure=False), by="x", reason="y")
    assert (await anonymous.post(urlsplit(foreign).path)).status_code == 403
    own = Cookies(console_box.settings.console.cookie_key.reveal(), secure=False)
    old = own.seal_text(KIND, {"id": "1", "by": "x", "reason": "y"}, seconds=-1)
    assert (await anonymous.post(f"/emergency/{old}")).status_code == 403
