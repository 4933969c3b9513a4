"""The box, for its operator: organizations, parts, versions, storage, certificates, the box's own log."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body

from appliance.access.domain import Actor, Right
from appliance.audit import service as audit
from appliance.audit.service import Filter
from appliance.box import service
from appliance.box.service import NewOrganization
from appliance.errors import Conflict, InvalidInput
from console.overview.health import BoxHealth
from console.overview.pages import provide_box_health
from console.web.features import NavigationEntry
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [
    NavigationEntry("Box", "/box", Right.BOX_READ, order=90, group="Operator"),
    NavigationEntry("Log of the box", "/box/log", Right.BOX_READ, order=91, group="Operator"),
]
PAGE_SIZE = 50
NOT_THERE = (
    ("Backups", "are not made by this release: back up the box's folder with its database stopped."),
    ("Models", "are listed by `appliance models list` on the box."),
    ("Logs and support bundle", "lie in the box's folder `log`; there is no bundle yet."),
    ("GPU", "and engine load are not measured in the lite profile: it has none."),
)
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get(
    "/box",
    right=Right.BOX_READ,
    dependencies={"box_health": Provide(provide_box_health, sync_to_thread=False)},
)
async def box(page: Page, work: Work, actor: Actor, wiring: Wiring, box_health: BoxHealth) -> Response[str]:
    async with work.across() as uow:
        organizations = await service.organizations(uow, actor)
    async with work.box() as uow:
        facts = await service.facts(uow, actor, wiring.settings)
    return page.render(
        "box/box.html",
        organizations=organizations,
        facts=facts,
        parts=await box_health.look(),
        not_there=NOT_THERE,
    )


@get("/box/organizations/new", right=Right.BOX_WRITE)
async def new_organization(page: Page) -> Response[str]:
    return page.render(
        "box/organization.html", values={"timezone": "Europe/Berlin", "language": "en"}, errors={}
    )


@post("/box/organizations", right=Right.BOX_WRITE, fresh=True)
async def create_organization(page: Page, actor: Actor, wiring: Wiring, data: Form) -> Response[Any]:
    try:
        wanted = NewOrganization(
            slug=data.get("slug", "").strip(),
            name=data.get("name", ""),
            timezone=data.get("timezone", "").strip(),
            language=data.get("language", "").strip(),
            max_calls=_whole(data.get("max_calls", "10")),
        )
        await service.create_organization(wiring.app, actor, wiring.keys, wanted)
    except (InvalidInput, Conflict) as error:
        field = error.field if isinstance(error, InvalidInput) else "slug"
        return page.render(
            "box/organization.html", status_code=422, values=data, errors={field: error.message}
        )
    return page.redirect(
        "/box", notice=f"{wanted.name} is there. Its first administrator is made at Keycloak."
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInput("A whole number, please.", field="max_calls") from error


@get("/box/log", right=Right.BOX_READ)
async def box_log(page: Page, work: Work, actor: Actor, before: int | None = None) -> Response[str]:
    async with work.box() as uow:
        found = await audit.find(uow, actor, Filter(), before_sequence=before, limit=PAGE_SIZE + 1)
        result = await audit.verify(uow, actor)
    shown = found[:PAGE_SIZE]
    older = f"/box/log?{urlencode({'before': shown[-1].sequence})}" if len(found) > PAGE_SIZE else ""
    return page.render(
        "box/log.html", entries=shown, older=older, newest="/box/log" if before else "", result=result
    )


ROUTES = [box, new_organization, create_organization, box_log]
