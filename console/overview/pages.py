"""The overview: calls in progress with their turns, today's figures, parts, what needs attention."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, get
from litestar.datastructures import State
from litestar.di import Provide

from appliance.access.domain import Actor, Right
from appliance.box.health import BoxHealth
from appliance.overview import service
from console.web.features import NavigationEntry
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [NavigationEntry("Overview", "/", Right.OVERVIEW_READ, order=10)]


def provide_box_health(state: State, wiring: Wiring) -> BoxHealth:
    """One for the process, closed with it."""
    if "box_health" not in state:
        state.box_health = BoxHealth(wiring.settings)
        wiring.stack.push_async_callback(state.box_health.close)
    return state.box_health


_health = {"box_health": Provide(provide_box_health, sync_to_thread=False)}


@get("/", right=Right.OVERVIEW_READ, dependencies=_health)
async def overview(page: Page, work: Work, actor: Actor, box_health: BoxHealth) -> Response[str]:
    if actor.organization_id is None:
        return page.render("overview/nowhere.html")
    now = datetime.now(UTC)
    async with work.tenant() as uow:
        today = await service.today(uow, actor, page.timezone, now)
        live = await service.live_calls(uow, actor)
        attention = await service.attention(uow, actor, now)
        steps = await service.first_steps(uow, actor)
    parts = await box_health.look()
    return page.render(
        "overview/overview.html",
        today=today,
        live=live,
        attention=attention,
        parts=parts,
        steps=steps,
        now=now,
    )


@get("/overview/live", right=Right.OVERVIEW_READ)
async def live(page: Page, work: Work, actor: Actor) -> Response[str]:
    """The piece of the page that changes as calls go on; its script asks for it when something happened."""
    now = datetime.now(UTC)
    async with work.tenant() as uow:
        today = await service.today(uow, actor, page.timezone, now)
        calls = await service.live_calls(uow, actor)
    text = page.fragment("overview/_live.html", today=today, live=calls, now=now)
    return Response(text, media_type="text/html; charset=utf-8")


ROUTES = [overview, live]
