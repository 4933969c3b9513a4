"""A real Chromium, and calls to look at."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright
from sqlalchemy.ext.asyncio import AsyncEngine

from provisioning.lite.box import Box
from provisioning.lite.cache import cache_directory
from tests.console.conftest import SignedIn
from tests.console.microphone import CHROMIUM, CHROMIUM_FLAGS
from tests.console.pages.call_world import KeptCall, keep_call

PAGE_MS = 60_000
"""How long a step in the browser may take on a busy machine."""


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield started
        await started.close()


@dataclass
class Tab:
    """A tab of one member, and what it asked of whom."""

    page: Page
    context: BrowserContext
    origin: str
    requested: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        answer = await self.page.goto(self.origin + path)
        assert answer is not None
        assert answer.status < 400, f"{path}: {answer.status}"

    @property
    def foreign(self) -> list[str]:
        """Requests to any other origin; what never leaves the browser does not count."""
        own = urlsplit(self.origin)
        asked = [urlsplit(each) for each in self.requested]
        return [
            each.geturl()
            for each in asked
            if each.scheme not in {"data", "blob"} and (each.scheme, each.netloc) != (own.scheme, own.netloc)
        ]


OpenTab = Callable[..., Awaitable[Tab]]


@pytest.fixture
async def open_tab(browser: Browser, console_url: str) -> AsyncGenerator[OpenTab]:
    """`tab = await open_tab(member)`: a fresh profile with the member's session; `scheme="dark"`."""
    contexts: list[BrowserContext] = []

    async def opened(member: SignedIn | None, *, scheme: str = "light", width: int = 1360) -> Tab:
        context = await browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 900}
        )
        contexts.append(context)
        context.set_default_timeout(PAGE_MS)
        if member is not None:
            cookie = {"name": member.cookie_name, "value": member.secret, "url": console_url}
            await context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]
        page = await context.new_page()
        tab = Tab(page, context, console_url)

        def asked(request: Request) -> None:
            tab.requested.append(request.url)

        page.on("request", asked)
        page.on("pageerror", lambda error: tab.problems.append(str(error)))
        page.on(
            "console",
            lambda message: tab.problems.append(message.text) if message.type == "error" else None,
        )
        return tab

    yield opened
    for context in contexts:
        await context.close()


@pytest.fixture(scope="session")
def axe_script() -> str:
    return (cache_directory() / "browser" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
async def kept_call(
    console_box: Box, app_engine: AsyncEngine, tmp_path_factory: pytest.TempPathFactory
) -> KeptCall:
    """A finished call with words, tools and a recording."""
    console_box.start("minio")
    return await keep_call(console_box, app_engine, tmp_path_factory.mktemp("spool"))


@asynccontextmanager
async def new_page_of(tab: Tab) -> AsyncGenerator[Page]:
    """Waits for the page that a click leads to."""
    async with tab.page.expect_navigation(timeout=PAGE_MS):
        yield tab.page
