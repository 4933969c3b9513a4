"""Members of the organization: invited, given other roles, removed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post

from appliance.access.domain import Actor, Right, Role
from appliance.clients.identity_admin import IdentityAdmin
from appliance.errors import Conflict, InvalidInput
from appliance.members import service
from console.web.features import NavigationEntry
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

NAVIGATION = [NavigationEntry("Members", "/members", Right.MEMBERS_READ, order=75, group="Control")]
AnyRequest = Request[Any, Any, Any]

ROLE_WORDS: dict[Role, str] = {
    Role.BUILDER: "Builder: writes, tests and publishes agents",
    Role.LISTENER: "Listener: reads transcripts, plays recordings",
    Role.AUDITOR: "Auditor: sees who did what, not what was said",
    Role.ADMIN: "Administrator: everything in this organization",
}


def _identity(wiring: Wiring) -> IdentityAdmin:
    """One for each request: its token and connections end with it."""
    return IdentityAdmin(wiring.settings.identity)


@get("/members", right=Right.MEMBERS_READ)
async def members(page: Page, work: Work, actor: Actor, wiring: Wiring) -> Response[str]:
    identity = _identity(wiring)
    try:
        async with work.tenant() as uow:
            found = await service.members(uow, actor, identity)
    finally:
        await identity.close()
    return page.render("members/list.html", members=found)


@get("/members/new", right=Right.MEMBERS_WRITE)
async def new_member(page: Page) -> Response[str]:
    return page.render("members/invite.html", values={}, chosen=[], errors={}, words=ROLE_WORDS)


@post("/members", right=Right.MEMBERS_WRITE, fresh=True, status_code=200)
async def invite(request: AnyRequest, page: Page, work: Work, actor: Actor, wiring: Wiring) -> Response[Any]:
    form = await request.form()
    values = {key: str(form.get(key) or "") for key in ("email", "first_name", "last_name")}
    chosen = [str(role) for role in form.getall("roles", [])]
    identity = _identity(wiring)
    try:
        async with work.tenant() as uow:
            invited = await service.invite(uow, actor, identity, roles=service.read_roles(chosen), **values)
    except (InvalidInput, Conflict) as error:
        field = error.field if isinstance(error, InvalidInput) else "email"
        errors = {field or "email": error.message}
        return page.render(
            "members/invite.html",
            status_code=422,
            values=values,
            chosen=chosen,
            errors=errors,
            words=ROLE_WORDS,
        )
    finally:
        await identity.close()
    return page.render(
        "members/invited.html",
        invited=invited,
        address=wiring.settings.console.url,
        back=("/members", "All members"),
    )


@get("/members/{member_id:uuid}", right=Right.MEMBERS_READ)
async def member(page: Page, work: Work, actor: Actor, wiring: Wiring, member_id: UUID) -> Response[str]:
    identity = _identity(wiring)
    try:
        async with work.tenant() as uow:
            found = await service.member(uow, actor, identity, str(member_id))
    finally:
        await identity.close()
    return page.render("members/member.html", member=found, words=ROLE_WORDS, error="")


@post("/members/{member_id:uuid}/roles", right=Right.MEMBERS_WRITE, fresh=True)
async def change_roles(
    request: AnyRequest, page: Page, work: Work, actor: Actor, wiring: Wiring, member_id: UUID
) -> Response[Any]:
    chosen = [str(role) for role in (await request.form()).getall("roles", [])]
    identity = _identity(wiring)
    try:
        async with work.tenant() as uow:
            changed = await service.change_roles(
                uow, actor, identity, str(member_id), service.read_roles(chosen)
            )
    except (InvalidInput, Conflict) as error:
        return page.redirect(f"/members/{member_id}", notice=str(error), bad=True)
    finally:
        await identity.close()
    return page.redirect("/members", notice=f"{changed.name} has other roles now, at once.")


@post("/members/{member_id:uuid}/remove", right=Right.MEMBERS_WRITE, fresh=True)
async def remove(page: Page, work: Work, actor: Actor, wiring: Wiring, member_id: UUID) -> Response[Any]:
    identity = _identity(wiring)
    try:
        async with work.tenant() as uow:
            await service.remove(uow, actor, identity, str(member_id))
    except Conflict as error:
        return page.redirect(f"/members/{member_id}", notice=str(error), bad=True)
    finally:
        await identity.close()
    return page.redirect("/members", notice="The member was removed.")


ROUTES = [members, new_member, invite, member, change_roles, remove]
