"""What holds for every page: who is let in, what a form must carry, which headers an answer has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from appliance.access.domain import Role
from appliance.access.sessions import Limits
from appliance.database.unit_of_work import UnitOfWork
from tests.console.conftest import SignIn, form_token


async def test_nobody_is_sent_to_the_sign_in_and_back(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/?of=today")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2F%3Fof%3Dtoday"
    api = await anonymous.get("/", headers={"accept": "application/json"})
    assert api.status_code == 401
    assert api.headers["content-type"].startswith("application/problem+json")
    assert api.json()["code"] == "sign_in_needed"


async def test_a_member_sees_the_page_with_its_headers(sign_in: SignIn) -> None:
    member = await sign_in(Role.ADMIN)
    answer = await member.client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in answer.text
    assert form_token(answer.text) == member.csrf


@pytest.mark.parametrize("cookie", ["", "x", "a" * 5000, "%00", "../../etc"])
async def test_a_made_up_cookie_is_nobody(anonymous: httpx.AsyncClient, sign_in: SignIn, cookie: str) -> None:
    member = await sign_in(Role.ADMIN)
    answer = await anonymous.get("/", headers={"cookie": f"{member.cookie_name}={cookie}"})
    assert answer.status_code == 303


async def test_a_session_ends_by_idleness_and_at_its_limit(sign_in: SignIn) -> None:
    over = Limits(idle=timedelta(minutes=30), absolute=timedelta(seconds=-1))
    member = await sign_in(Role.ADMIN, limits=over)
    assert (await member.client.get("/")).status_code == 303


async def test_an_idle_session_is_over(sign_in: SignIn, work: Callable[..., UnitOfWork]) -> None:
    from sqlalchemy import update

    from appliance.access.tables import ConsoleSession

    member = await sign_in(Role.ADMIN)
    async with work(None) as uow:
        await uow.session.execute(
            update(ConsoleSession)
            .where(ConsoleSession.member_id == member.member.id)
            .values(last_seen_at=datetime.now(UTC) - timedelta(minutes=31))
        )
    assert (await member.client.get("/")).status_code == 303


async def test_a_form_of_elsewhere_changes_nothing(sign_in: SignIn) -> None:
    member = await sign_in(Role.ADMIN)
    other = await sign_in(Role.ADMIN)
    for fields, headers in (
        ({}, {}),
        ({"_csrf": other.csrf}, {}),
        ({"_csrf": member.csrf}, {"origin": "http://evil.example"}),
        ({"_csrf": member.csrf}, {"sec-fetch-site": "cross-site"}),
    ):
        answer = await member.client.post("/sign-out", data=fields, headers=headers)
        assert answer.status_code == 403
    assert (await member.client.get("/")).status_code == 200
    assert (await member.post_form("/sign-out")).status_code == 303
    assert (await member.client.get("/")).status_code == 303


async def test_another_organization_is_looked_at_only_by_its_members(
    sign_in: SignIn, console_box: object
) -> None:
    first, second = uuid4(), uuid4()
    member = await sign_in(
        organizations={first: frozenset({Role.ADMIN}), second: frozenset({Role.AUDITOR})},
        organization_id=first,
    )
    assert (await member.post_form("/switch-organization", {"organization": str(uuid4())})).status_code == 404
    assert (await member.post_form("/switch-organization", {"organization": "x"})).status_code == 404
    assert (await member.post_form("/switch-organization", {"organization": str(second)})).status_code == 303


async def test_what_is_not_there_is_a_page(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/no-such-page")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert (await anonymous.get("/static/../settings.yaml")).status_code == 404
    assert (await anonymous.get("/static/%2e%2e/app.py")).status_code == 404
    style = await anonymous.get("/static/app.css")
    assert style.status_code == 200
    assert "immutable" in style.headers["cache-control"]
