"""The box, for its operator: organizations, parts, versions, storage, certificates, the box's own log."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Stream

from appliance.access.domain import Actor, Right
from appliance.audit import service as audit
from appliance.audit.service import Filter
from appliance.audit.signing import HeadSigner
from appliance.box import service
from appliance.box.health import BoxHealth
from appliance.box.service import NewOrganization
from appliance.box.support_bundle import download
from appliance.clients.identity_admin import IdentityAdmin
from appliance.errors import Conflict, InvalidInput, NotFound
from console.box.support_bundle import bundle_stream
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
    ("Models", "Listed by “appliance models list”."),
    ("Logs", "In the folder “log” of the box; the end of each is in the support bundle."),
    ("GPU", "Not measured: the lite profile has none."),
    ("Audit log", "“appliance audit verify” looks at the chains of all organizations."),
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


@post(
    "/box/support-bundle",
    right=Right.BOX_WRITE,
    fresh=True,
    status_code=200,
    dependencies={"box_health": Provide(provide_box_health, sync_to_thread=False)},
)
async def support_bundle(work: Work, actor: Actor, wiring: Wiring, box_health: BoxHealth) -> Stream:
    """What a helper from outside needs, in one file without secrets; the download is in the box's log."""
    return bundle_stream(await download(work.box, actor, wiring.settings, box_health))


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
        made = await service.create_organization(wiring.app, actor, wiring.keys, wanted)
    except (InvalidInput, Conflict) as error:
        field = error.field if isinstance(error, InvalidInput) else "slug"
        return page.render(
            "box/organization.html", status_code=422, values=data, errors={field: error.message}
        )
    notice = f"{wanted.name} is there. Invite its first administrator."
    return page.redirect(f"/box/organizations/{made}/administrator", notice=notice)


@get("/box/organizations/{organization_id:uuid}/administrator", right=Right.BOX_WRITE)
async def new_administrator(page: Page, work: Work, actor: Actor, organization_id: UUID) -> Response[str]:
    return await _administrator(page, work, actor, organization_id, {}, {})


async def _administrator(
    page: Page, work: Work, actor: Actor, organization_id: UUID, values: Form, errors: dict[str, str]
) -> Response[str]:
    async with work.across() as uow:
        found = await service.organizations(uow, actor)
    organization = next((each for each in found if each.id == organization_id), None)
    if organization is None:
        raise NotFound("There is no such organization.")
    status = 422 if errors else 200
    return page.render(
        "box/administrator.html", status_code=status, shown=organization, values=values, errors=errors
    )


@post(
    "/box/organizations/{organization_id:uuid}/administrator",
    right=Right.BOX_WRITE,
    fresh=True,
    status_code=200,
)
async def invite_administrator(
    page: Page, work: Work, actor: Actor, wiring: Wiring, organization_id: UUID, data: Form
) -> Response[str]:
    person = {name: data.get(name, "") for name in ("email", "first_name", "last_name")}
    identity = IdentityAdmin(wiring.settings.identity)
    try:
        async with wiring.work_of(organization_id) as uow:
            invited = await service.invite_administrator(uow, actor, identity, **person)
    except (InvalidInput, Conflict) as error:
        field = error.field if isinstance(error, InvalidInput) else "email"
        errors = {field or "email": error.message}
        return await _administrator(page, work, actor, organization_id, data, errors)
    finally:
        await identity.close()
    return page.render(
        "members/invited.html",
        invited=invited,
        address=wiring.settings.console.url,
        back=("/box", "The box"),
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInput("A whole number, please.", field="max_calls") from error


@get("/box/log", right=Right.BOX_READ)
async def box_log(
    page: Page, work: Work, wiring: Wiring, actor: Actor, before: int | None = None
) -> Response[str]:
    signer = HeadSigner.from_settings(wiring.settings.security)
    async with work.box() as uow:
        found = await audit.find(uow, actor, Filter(), before_sequence=before, limit=PAGE_SIZE + 1)
        result = await audit.verify(uow, actor, signer)
    shown = found[:PAGE_SIZE]
    older = f"/box/log?{urlencode({'before': shown[-1].sequence})}" if len(found) > PAGE_SIZE else ""
    return page.render(
        "box/log.html", entries=shown, older=older, newest="/box/log" if before else "", result=result
    )


ROUTES = [
    box,
    support_bundle,
    new_organization,
    create_organization,
    new_administrator,
    invite_administrator,
    box_log,
]
