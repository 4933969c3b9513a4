"""The overview."""

from __future__ import annotations

from litestar import Response, get

from appliance.access.domain import Right
from console.web.features import NavigationEntry
from console.web.page import Page

NAVIGATION = [NavigationEntry("Overview", "/", Right.OVERVIEW_READ, order=10)]


@get("/", right=Right.OVERVIEW_READ)
async def overview(page: Page) -> Response[str]:
    return page.render("overview/overview.html")


ROUTES = [overview]
