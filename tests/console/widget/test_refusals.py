"""Who may not: pages of other origins, too many sessions, tokens that do not hold, sessions of others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from playwright.async_api import expect
from sqlalchemy import delete, func, select, update

from appliance.calls.tables import Call
from appliance.clients.rooms import RoomServer
from appliance.database.identifiers import uuid7
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.organizations.console_tables import OrganizationSettings
from appliance.organizations.tables import Organization
from appliance.widgets import service
from appliance.widgets.domain import ShownWidget, WidgetInput
from appliance.widgets.tables import WidgetSession
from appliance.widgets.tokens import VisitorTokens
from provisioning.lite.box import Box
from tests.console.widget.conftest import Sites, Visitor, WidgetMaker, builder_of

Work = Callable[..., UnitOfWork]
SECONDS = 60.0


@pytest.fixture(scope="module")
def rooms_box(console_box: Box) -> Box:
    """What admission and a room need; no agent comes, as nobody waits for one."""
    console_box.start("livekit", "tool_api")
    return console_box


@pytest.fixture
async def browser_of(console_url: str) -> AsyncGenerator[Callable[[str | None], httpx.AsyncClient]]:
    """`browser_of(origin)`: what a page of that origin sends."""
    clients: list[httpx.AsyncClient] = []

    def make(origin: str | None) -> httpx.AsyncClient:
        headers = {"accept": "application/json"} | ({"origin": origin} if origin else {})
        client = httpx.AsyncClient(base_url=console_url, headers=headers, timeout=SECONDS, trust_env=False)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


async def begin(http: httpx.AsyncClient, widget: ShownWidget, visitor: str | None = None) -> httpx.Response:
    return await http.post(
        f"/widget/v1/{widget.public_id}/sessions", json={"mode": "text", "visitor": visitor}
    )


async def end(http: httpx.AsyncClient, widget: ShownWidget, grant: dict[str, Any]) -> httpx.Response:
    path = f"/widget/v1/{widget.public_id}/sessions/{grant['call_id']}/end"
    return await http.post(path, json={"session": grant["session"]})


async def test_a_page_of_another_origin_is_refused_and_told_so(
    console_box: Box, sites: Sites, new_widget: WidgetMaker, visit: Visitor
) -> None:
    widget = await new_widget()
    tab = await visit(sites.foreign, widget.public_id)
    await tab.state("unavailable")
    await expect(tab.page.get_by_text("may not be used on this page")).to_be_visible()
    assert await tab.page.get_by_role("button").count() == 0
    assert tab.origins() == {sites.foreign, console_box.settings.console.url}


@pytest.mark.parametrize(
    "origin", ["foreign", None, "null", "https://127.0.0.1", "http://127.0.0.1:22700.example.com"]
)
async def test_each_endpoint_refuses_other_origins(
    browser_of: Any, sites: Sites, new_widget: WidgetMaker, origin: str | None, work: Work
) -> None:
    widget = await new_widget()
    http = browser_of(sites.foreign if origin == "foreign" else origin)
    for path in ("open", "sessions", f"sessions/{uuid7()}/answered", f"sessions/{uuid7()}/end"):
        address = f"/widget/v1/{widget.public_id}/{path}"
        for answer in (
            await http.post(address, json={"mode": "text"}),
            await http.options(address, headers={"access-control-request-method": "POST"}),
        ):
            assert (path, answer.status_code) == (path, 403)
            assert answer.json()["code"] == "origin_not_allowed"
            assert "access-control-allow-origin" not in answer.headers
            assert "set-cookie" not in answer.headers
    async with work() as uow:
        sessions = select(func.count()).where(WidgetSession.widget_id == widget.id)
        assert await uow.session.scalar(sessions) == 0


async def test_an_allowed_origin_is_answered_without_cookies(
    browser_of: Any, sites: Sites, new_widget: WidgetMaker, console_url: str
) -> None:
    widget = await new_widget(origins=[sites.own, "https://*.example.org"])
    for origin in (sites.own, "https://www.example.org", "https://a.b.example.org", console_url):
        http = browser_of(origin)
        asked = await http.options(f"/widget/v1/{widget.public_id}/sessions")
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-methods"] == "POST"
        opened = await http.post(f"/widget/v1/{widget.public_id}/open", json={})
        assert opened.status_code == 200
        for answer in (asked, opened):
            assert answer.headers["access-control-allow-origin"] == origin
            assert "access-control-allow-credentials" not in answer.headers
            assert "set-cookie" not in answer.headers
            assert "Origin" in answer.headers["vary"]
    for origin in ("https://example.org", "http://www.example.org", "https://www.example.org:444"):
        refused = await browser_of(origin).post(f"/widget/v1/{widget.public_id}/open", json={})
        assert refused.status_code == 403, origin


async def test_the_demo_page_is_allowed_only_where_it_is_wished(
    browser_of: Any, new_widget: WidgetMaker, console_url: str
) -> None:
    widget = await new_widget(demo=False)
    assert (await browser_of(console_url).post(f"/widget/v1/{widget.public_id}/open")).status_code == 403


async def test_what_is_not_there_and_what_is_switched_off_are_told_alike(
    browser_of: Any, sites: Sites, new_widget: WidgetMaker
) -> None:
    off = await new_widget(enabled=False)
    http = browser_of(sites.own)
    told = [
        await http.post(f"/widget/v1/{name}/open", json={})
        for name in (off.public_id, "wg_nobody", "%00", "x" * 200)
    ]
    assert {answer.status_code for answer in told} == {404}
    assert all(answer.json() == told[0].json() for answer in told)


async def test_a_visitor_has_so_many_sessions_an_hour(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker, visit: Visitor
) -> None:
    widget = await new_widget(visitor_sessions_per_hour=2, max_sessions=50, voice=False)
    http = browser_of(sites.own)
    visitor = (await http.post(f"/widget/v1/{widget.public_id}/open", json={})).json()["visitor"]
    for _ in range(2):
        begun = await begin(http, widget, visitor)
        assert begun.status_code == 200
        visitor = begun.json()["visitor"]
        assert (await end(http, widget, begun.json())).status_code == 204
    refused = await begin(http, widget, visitor)
    assert (refused.status_code, refused.json()["code"]) == (429, "visitor_limit")
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["access-control-allow-origin"] == sites.own, "the page may read why"
    another = await begin(http, widget)
    assert another.status_code == 200, "another browser of the same address"
    await end(http, widget, another.json())
    # The same in a browser that is known by the token which it keeps.
    tab = await visit(sites.own, widget.public_id)
    key = f"trunkline-visitor-{widget.public_id}"
    await tab.state("idle")
    await expect(tab.page.get_by_role("button", name="Write")).to_be_visible()
    await tab.page.evaluate("([key, token]) => localStorage.setItem(key, token)", [key, visitor])
    await tab.page.get_by_role("button", name="Write").click()
    await tab.state("limit-reached")
    await expect(tab.page.get_by_text("number of conversations")).to_be_visible()


async def test_an_address_has_so_many_sessions_an_hour_whatever_browser_it_is(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker
) -> None:
    widget = await new_widget(address_sessions_per_hour=2, max_sessions=50)
    http = browser_of(sites.own)
    for _ in range(2):
        begun = await begin(http, widget)
        await end(http, widget, begun.json())
    assert (await begin(http, widget)).json()["code"] == "visitor_limit"


async def test_an_agent_speaks_with_so_many_visitors_at_once(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker
) -> None:
    first, second = await new_widget(max_sessions=1), await new_widget(max_sessions=1)
    http = browser_of(sites.own)
    begun = await begin(http, first)
    assert begun.status_code == 200
    for widget in (first, second):
        refused = await begin(http, widget)
        assert (refused.status_code, refused.json()["code"]) == (429, "agent_limit")
    await end(http, first, begun.json())
    again = await begin(http, second)
    assert again.status_code == 200
    await end(http, second, again.json())


async def test_the_organizations_limit_holds_and_no_room_is_made(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker, work: Work
) -> None:
    widget = await new_widget()
    organization = update(Organization).where(Organization.id == rooms_box.seed.organization_id)
    async with work() as uow:
        calls = await uow.session.scalar(select(func.count()).select_from(Call))
        await uow.session.execute(organization.values(max_calls=0))
    async with RoomServer(rooms_box.settings.rooms) as rooms:
        before = set(await rooms.names())
        try:
            refused = await begin(browser_of(sites.own), widget)
        finally:
            async with work() as uow:
                await uow.session.execute(organization.values(max_calls=10))
        assert (refused.status_code, refused.json()["code"]) == (429, "at_capacity")
        assert set(await rooms.names()) <= before
    async with work() as uow:
        assert await uow.session.scalar(select(func.count()).select_from(Call)) == calls


async def test_visitors_are_refused_when_the_months_minutes_are_used_up(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker, work: Work
) -> None:
    widget = await new_widget()
    http, now, call_id = browser_of(sites.own), datetime.now(UTC), uuid7()
    organization_id = rooms_box.seed.organization_id
    async with work() as uow:
        kept = await uow.session.scalar(select(OrganizationSettings.settings))
        await uow.session.execute(delete(OrganizationSettings))
        quota = {"quota": {"minutes_per_month": 1}}
        uow.session.add(OrganizationSettings(organization_id=organization_id, settings=quota))
        uow.session.add(
            Call(
                id=call_id,
                organization_id=organization_id,
                direction="inbound",
                room_name=f"call-{call_id}",
                status="ended",
                answered_at=now - timedelta(minutes=2),
                ended_at=now,
            )
        )
    try:
        refused = await begin(http, widget)
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_reached")
    finally:
        async with work() as uow:
            await uow.session.execute(delete(Call).where(Call.id == call_id))
            await uow.session.execute(delete(OrganizationSettings))
            if kept is not None:
                uow.session.add(OrganizationSettings(organization_id=organization_id, settings=kept))
    begun = await begin(http, widget)
    assert begun.status_code == 200
    await end(http, widget, begun.json())


async def test_the_ticket_is_for_one_room_and_for_minutes(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker
) -> None:
    widget = await new_widget()
    http = browser_of(sites.own)
    grant = (await begin(http, widget)).json()
    claims = jwt.decode(grant["token"], options={"verify_signature": False})
    assert claims["video"]["room"] == f"call-{grant['call_id']}"
    assert not claims["video"].get("canPublish"), "who writes has no microphone"
    assert not claims["video"].get("roomAdmin")
    assert not claims["video"].get("roomCreate")
    assert claims["exp"] - datetime.now(UTC).timestamp() < 300
    # The room server itself: what was changed, has expired or names a room that nobody made lets nobody in.
    secret = rooms_box.settings.rooms.api_secret.reveal()
    elsewhere = {**claims, "video": {**claims["video"], "room": f"call-{uuid7()}"}}
    expired = {**claims, "exp": claims["exp"] - 600, "nbf": claims["exp"] - 900}
    tickets = {
        "the visitor's": (grant["token"], True),
        "forged": (jwt.encode(claims, "x" * 40, algorithm="HS256"), False),
        "without a signature": (jwt.encode(claims, None, algorithm="none"), False),
        "expired": (jwt.encode(expired, secret, algorithm="HS256"), False),
        "of no room": (jwt.encode(elsewhere, secret, algorithm="HS256"), False),
    }
    async with httpx.AsyncClient(base_url=grant["url"].replace("ws", "http", 1), trust_env=False) as room:
        for what, (ticket, good) in tickets.items():
            answer = await room.get("/rtc/validate", params={"access_token": ticket}, timeout=SECONDS)
            assert (what, answer.status_code == 200) == (what, good), answer.text
    await end(http, widget, grant)


async def test_tokens_that_do_not_hold_are_refused(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker
) -> None:
    widget, other = await new_widget(), await new_widget()
    http = browser_of(sites.own)
    grant = (await begin(http, widget)).json()
    call_id = UUID(grant["call_id"])
    tokens = VisitorTokens(rooms_box.settings.console.cookie_key.reveal())
    now = datetime.now(UTC)
    claims = jwt.decode(grant["session"], options={"verify_signature": False})
    bad = {
        "expired": tokens.session(call_id, widget.public_id, 60, now - timedelta(hours=1)),
        "forged": VisitorTokens("another secret").session(call_id, widget.public_id, 60, now),
        "without a signature": jwt.encode(claims, None, algorithm="none"),
        "a visitor's": tokens.visitor(widget.public_id, None, now)[1],
        "the room's": grant["token"],
        "rubbish": "x.y.z",
    }
    for what, token in bad.items():
        for path in ("answered", "end"):
            address = f"/widget/v1/{widget.public_id}/sessions/{call_id}/{path}"
            answer = await http.post(address, json={"session": token})
            assert (what, answer.status_code) == (what, 401)
    # Tokens that hold, for something else.
    for public_id, named, token in (
        (other.public_id, call_id, grant["session"]),
        (widget.public_id, uuid7(), grant["session"]),
        (other.public_id, call_id, tokens.session(call_id, other.public_id, 60, now)),
        (widget.public_id, uuid7(), tokens.session(uuid7(), widget.public_id, 60, now)),
    ):
        answer = await http.post(f"/widget/v1/{public_id}/sessions/{named}/end", json={"session": token})
        assert answer.status_code == 404
    # A forged or foreign visitor's token makes a new visitor, and nothing worse.
    assert (await http.post(f"/widget/v1/{widget.public_id}/open", json={"visitor": "x"})).status_code == 200
    assert (await end(http, widget, grant)).status_code == 204
    assert (await end(http, widget, grant)).status_code == 204, "ended already: nothing changes"


async def test_what_cannot_be_read_is_refused(browser_of: Any, sites: Sites, new_widget: WidgetMaker) -> None:
    widget = await new_widget(voice=False)
    http = browser_of(sites.own)
    address = f"/widget/v1/{widget.public_id}/sessions"
    for body in (b"{", b"[]", b'{"mode": "video"}', b'{"visitor": 7, "mode": "text"}', b"\xff\xfe"):
        assert (await http.post(address, content=body)).status_code == 422, body
    assert (await http.post(address, content=b" " * 100_000)).status_code == 413


async def test_a_foreign_agent_or_widget_is_not_there(
    console_box: Box, work: Work, new_widget: WidgetMaker
) -> None:
    widget = await new_widget()
    actor = builder_of(console_box.seed.organization_id)
    wanted = WidgetInput.model_validate(widget.model_dump(include=set(WidgetInput.model_fields)))
    with pytest.raises(NotFound):
        async with work() as uow:
            await service.create_widget(uow, actor, wanted.model_copy(update={"agent_id": uuid7()}))
    foreign = builder_of(uuid7())
    with pytest.raises(NotFound):
        async with work(foreign.organization_id) as uow:
            await service.get_widget(uow, foreign, widget.id)


async def test_a_place_that_nobody_gave_back_falls_back(
    rooms_box: Box, browser_of: Any, sites: Sites, new_widget: WidgetMaker, work: Work
) -> None:
    widget = await new_widget(max_sessions=1)
    http = browser_of(sites.own)
    lost = (await begin(http, widget)).json()
    async with work() as uow:
        overdue = update(WidgetSession).where(WidgetSession.call_id == UUID(lost["call_id"]))
        await uow.session.execute(overdue.values(ends_by=datetime.now(UTC) - timedelta(seconds=1)))
    begun = await begin(http, widget)
    assert begun.status_code == 200
    await end(http, widget, begun.json())
    async with work() as uow:
        call = await uow.session.get_one(Call, UUID(lost["call_id"]))
    assert (call.status, call.outcome) == ("ended", "failed")
