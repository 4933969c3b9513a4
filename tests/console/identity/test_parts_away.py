"""Keycloak or the database away: a clear page, no traceback, and whoever is signed in goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable

import httpx

from appliance.access.domain import Role
from provisioning.lite.box import Box
from tests.console.conftest import SignIn
from tests.console.identity.conftest import Browser, Person

DEADLINE_SECONDS = 90.0


@contextlib.asynccontextmanager
async def _frozen(box: Box, part: str) -> AsyncGenerator[None]:
    box.kill(part, signal.SIGSTOP)
    try:
        yield
    finally:
        box.kill(part, signal.SIGCONT)


async def _until_answers(client: httpx.AsyncClient, path: str, status: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if (await client.get(path, timeout=60)).status_code == status:
                return
            await asyncio.sleep(0.5)


async def test_keycloak_away(
    keycloak_box: Box,
    person: Callable[..., Person],
    browser: Callable[[], Browser],
    anonymous: httpx.AsyncClient,
    sign_in: SignIn,
) -> None:
    window = browser()
    await window.sign_in(person(Role.ADMIN))
    admin = await sign_in(Role.ADMIN)
    async with _frozen(keycloak_box, "keycloak"):
        assert (await window.get("/audit")).status_code == 200
        page = await anonymous.get("/sign-in")
        assert page.status_code == 503
        assert "does not answer" in page.text
        assert "Traceback" not in page.text
        members = await admin.client.get("/members", timeout=60)
        assert members.status_code == 503
        assert "identity service does not answer" in members.text
        # Signing out ends the console's session at least.
        answer = await window.post_form("/sign-out")
        assert answer.headers["location"] == "/signed-out"
        assert (await window.get("/")).status_code == 303
    await _until_answers(anonymous, "/sign-in", 303)


async def test_database_away(console_box: Box, anonymous: httpx.AsyncClient, sign_in: SignIn) -> None:
    admin = await sign_in(Role.ADMIN)
    async with _frozen(console_box, "postgres"):
        page = await admin.client.get("/", timeout=60)
        assert page.status_code == 503
        assert page.headers["retry-after"]
        assert "A part of the box is away" in page.text
        assert "Traceback" not in page.text
        assert "psycopg" not in page.text
        program = await admin.client.get("/audit", headers={"accept": "application/json"}, timeout=60)
        assert program.status_code == 503
        assert program.json()["code"] == "unavailable"
        # What needs no database is there.
        assert (await anonymous.get("/static/app.css")).status_code == 200
        assert (await anonymous.get("/signed-out")).status_code == 200
    await _until_answers(admin.client, "/", 200)
