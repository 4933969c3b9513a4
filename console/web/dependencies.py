"""What a handler may name as an argument: `wiring`, `actor`, `work`, `page`."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request
from litestar.datastructures import State
from sqlalchemy import select

from appliance.access.domain import Actor
from appliance.access.sessions import Session
from appliance.organizations.settings_service import settings_of
from appliance.organizations.tables import Organization
from console.web.cookies import NOTICE
from console.web.guard import SignInNeeded
from console.web.identity import identify
from console.web.page import OrganizationChoice, Page, Viewer
from console.web.wiring import Wiring
from console.web.work import Work

AnyRequest = Request[object, object, State]
THEMES = ("light", "dark")


def provide_wiring(state: State) -> Wiring:
    return state.wiring


def provide_actor(request: AnyRequest) -> Actor:
    """The one that the guard let in."""
    found = request.scope.get("trunkline_identity")
    if found is None:
        raise SignInNeeded("Nobody is signed in.", remedy="Sign in, or show a key that holds.")
    return found.actor


def provide_work(wiring: Wiring, actor: Actor) -> Work:
    return Work(wiring, actor)


async def provide_page(request: AnyRequest, wiring: Wiring) -> Page:
    """For pages of those who are signed in, and for public ones."""
    found = await identify(request, wiring)
    viewer = Viewer() if found is None else await _viewer(wiring, found.actor, found.session)
    return Page(
        wiring=wiring,
        path=request.url.path,
        viewer=viewer,
        form_token=wiring.cookies.form_token(found.secret) if found and found.secret else "",
        notice=wiring.cookies.open(NOTICE, request.cookies.get(wiring.cookies.name(NOTICE))),
        theme=theme if (theme := request.cookies.get("trunkline-theme")) in THEMES else "",
    )


async def _viewer(wiring: Wiring, actor: Actor, session: Session | None) -> Viewer:
    seen = await seen_by_guests(wiring, actor.organization_id) if actor.organization_id else Viewer()
    choices: list[OrganizationChoice] = []
    member_of = list(session.member.organizations) if session is not None else []
    if len(member_of) > 1:
        async with wiring.work_of_router() as uow:
            rows = await uow.session.execute(
                select(Organization.id, Organization.name)
                .where(Organization.id.in_(member_of))
                .order_by(Organization.name)
            )
            choices = [OrganizationChoice(row.id, row.name) for row in rows]
    email = session.member.email if session is not None else None
    return replace(seen, actor=actor, email=email, organizations=tuple(choices))


async def seen_by_guests(wiring: Wiring, organization_id: UUID) -> Viewer:
    """An organization's name, colour, time zone and language, for whoever looks at something of its own."""
    async with wiring.work_of(organization_id) as uow:
        organization = await uow.session.get(Organization, organization_id)
        branding = (await settings_of(uow)).branding
    if organization is None:
        return Viewer()
    return Viewer(
        organization_name=branding.display_name or organization.name,
        accent=branding.accent or "",
        timezone=ZoneInfo(organization.timezone),
        language=organization.language,
    )
