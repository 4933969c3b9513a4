"""Web sites that carry the widget, on origins of their own, and a browser whose microphone is a file."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Browser, Page, async_playwright

from appliance.access.domain import RIGHTS_OF_ROLE, Actor, ActorKind, Role
from appliance.database.unit_of_work import UnitOfWork
from appliance.widgets import service
from appliance.widgets.domain import ShownWidget, WidgetInput
from provisioning.lite.box import Box
from tests.console.microphone import CHROMIUM, CHROMIUM_FLAGS, TALK_MS, spoken, start_patiently
from tests.fixtures.box import TEST_PORT

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A practice</title>
<script src="{server}/widget/v1/trunkline-agent.js" defer></script></head>
<body><main><h1>A practice</h1><trunkline-agent agent="{agent}" server="{server}"></trunkline-agent></main>
</body></html>"""


class _Site(BaseHTTPRequestHandler):
    """Any path is the page; `agent` and `server` of the query go into its element."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        values = {name: escape(query.get(name, [""])[0]) for name in ("agent", "server")}
        body = PAGE.format(**values).encode()
        self.send_response(200 if values["server"] else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


@dataclass(frozen=True)
class Sites:
    """Origins of two web sites."""

    own: str
    foreign: str


@pytest.fixture(scope="session")
def sites() -> Iterator[Sites]:
    servers = [ThreadingHTTPServer(("127.0.0.1", port), _Site) for port in (TEST_PORT + 700, TEST_PORT + 701)]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    yield Sites(*(f"http://127.0.0.1:{server.server_port}" for server in servers))
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join(10)


WidgetMaker = Callable[..., Awaitable[ShownWidget]]


def builder_of(organization_id: UUID) -> Actor:
    return Actor(
        ActorKind.MEMBER, "test-builder", "Test Builder", organization_id, RIGHTS_OF_ROLE[Role.BUILDER]
    )


@pytest.fixture
async def new_widget(
    console_box: Box, work: Callable[..., UnitOfWork], sites: Sites
) -> AsyncGenerator[WidgetMaker]:
    """`await new_widget(text=False)`: a widget of the seeded agent for the own site; deleted at the end."""
    made: list[UUID] = []
    seed = console_box.seed
    actor = builder_of(seed.organization_id)

    async def make(**wanted: Any) -> ShownWidget:
        given = {
            "name": f"Widget {uuid4().hex[:6]}",
            "agent_id": seed.agent_id,
            "title": "Ask the practice",
            "origins": [sites.own],
            "visitor_sessions_per_hour": 100,
            "address_sessions_per_hour": 1000,
            **wanted,
        }
        async with work() as uow:
            widget = await service.create_widget(uow, actor, WidgetInput.model_validate(given))
        made.append(widget.id)
        return widget

    yield make
    for widget_id in made:
        async with work() as uow:
            await service.delete_widget(uow, actor, widget_id)


@pytest.fixture(scope="session")
def talking_box(console_box: Box) -> Box:
    """Everything that a conversation needs, with a worker that waits longer for the engines."""
    start_patiently(console_box)
    return console_box


@pytest.fixture(scope="session")
async def visitor_browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Browser]:
    """Its microphone hears, over and over, a pause as long as the greeting and then a wish."""
    path = await spoken(tmp_path_factory.mktemp("microphone") / "visitor.wav")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*CHROMIUM_FLAGS, f"--use-file-for-fake-audio-capture={path}"]
        )
        yield started
        await started.close()


@dataclass
class Visit:
    """A visitor's tab, and whom it asked."""

    page: Page
    requested: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    async def state(self, name: str, timeout_ms: float = TALK_MS) -> None:
        """Waits until the widget is in this state."""
        await self.page.locator(f"trunkline-agent[state='{name}']").wait_for(timeout=timeout_ms)

    def origins(self) -> set[str]:
        """Of everything that was asked for, the sockets of the room included."""
        parts = [urlsplit(each) for each in (*self.requested, *self.sockets)]
        return {f"{each.scheme}://{each.netloc}" for each in parts if each.scheme not in {"data", "blob"}}


Visitor = Callable[..., Awaitable[Visit]]


@pytest.fixture
async def visit(visitor_browser: Browser, console_url: str) -> AsyncGenerator[Visitor]:
    """`await visit(sites.own, widget)`: a new visitor opens the page of a site."""
    contexts: list[Any] = []

    async def opened(
        site: str, public_id: str, *, microphone: bool = True, path: str = "/", **options: Any
    ) -> Visit:
        context = await visitor_browser.new_context(
            permissions=["microphone"] if microphone else [], **options
        )
        contexts.append(context)
        context.set_default_timeout(60_000)
        tab = Visit(await context.new_page())
        tab.page.on("request", lambda request: tab.requested.append(request.url))
        tab.page.on("websocket", lambda socket: tab.sockets.append(socket.url))
        tab.page.on("pageerror", lambda error: tab.problems.append(str(error)))
        await tab.page.goto(f"{site}{path}?agent={public_id}&server={console_url}")
        return tab

    yield opened
    for context in contexts:
        await context.close()


async def until(condition: Callable[[], Awaitable[Any]], what: str, seconds: float = 60.0) -> Any:
    """What the condition gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        await asyncio.sleep(0.3)
    return found
