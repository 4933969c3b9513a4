"""The way in when Keycloak is away: an address made on the box itself, good once, for a quarter of an hour.

`appliance console emergency --reason "..." --by "..."` prints it. It gives every right for an hour;
each organization's audit log says so, and so does every page. See docs/break-glass.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from litestar import Request, Response, get, post
from litestar.response import Redirect
from sqlalchemy import select

from appliance.access import sessions
from appliance.access.domain import Actor, ActorKind, Role, rights_of
from appliance.access.sessions import Limits, Member
from appliance.audit import service as audit
from appliance.errors import NotAllowed
from appliance.organizations.tables import Organization
from console.web.cookies import SESSION, Cookies
from console.web.guard import require_own_origin
from console.web.identity import address_of
from console.web.page import Page
from console.web.wiring import Wiring

log = structlog.get_logger()
AnyRequest = Request[Any, Any, Any]

KIND = "emergency"
ADDRESS_SECONDS = 900
SESSION_LASTS = timedelta(hours=1)


def make_address(console_url: str, cookies: Cookies, *, by: str, reason: str) -> tuple[str, str]:
    """The address, and its id as the audit log names it."""
    token_id = str(uuid4())
    content = {"id": token_id, "by": by, "reason": reason}
    token = cookies.seal_text(KIND, content, seconds=ADDRESS_SECONDS)
    return f"{console_url}/emergency/{token}", token_id


def emergency_actor(by: str, address: str | None, organization_id: UUID | None = None) -> Actor:
    rights = rights_of({Role.ADMIN, Role.OPERATOR})
    return Actor(ActorKind.EMERGENCY, KIND, f"Emergency access ({by})", organization_id, rights, address)


@get("/emergency/{token:str}", public=True)
async def show(wiring: Wiring, page: Page, token: str) -> Response[str]:
    """Asks first: whatever looks at the address before the person does must not use it up."""
    return page.render("identity/emergency.html", token=token, offer=_read(wiring, token))


@post("/emergency/{token:str}", public=True)
async def enter(request: AnyRequest, wiring: Wiring, token: str) -> Response[Any]:
    """Begins the session, and writes it into the log of the box and of every organization."""
    require_own_origin(request, wiring)
    offer = _read(wiring, token)
    address = address_of(request)
    actor = emergency_actor(str(offer["by"]), address)
    async with wiring.work_of_router() as uow:
        organizations = (await uow.session.scalars(select(Organization.id))).all()
    async with wiring.work_of(None) as uow:
        until = datetime.now(UTC) + timedelta(seconds=2 * ADDRESS_SECONDS)
        if not await sessions.use_once(uow, f"{KIND}:{offer['id']}", until):
            raise NotAllowed("This address was used already.", remedy="Make a new one on the box.")
        member = Member(
            id=KIND,
            name=actor.name,
            email=None,
            organizations={key: frozenset({Role.ADMIN}) for key in organizations},
            operator=True,
            kind=ActorKind.EMERGENCY,
        )
        limits = Limits(idle=wiring.limits.idle, absolute=SESSION_LASTS)
        session, secret = await sessions.begin(
            uow, member, limits, authenticated_at=datetime.now(UTC), address=address
        )
        told = {"reason": offer["reason"], "by": offer["by"]}
        await audit.record(uow, actor, "emergency.entered", f"session:{session.id}", after=told)
    for organization_id in organizations:
        async with wiring.work_of(organization_id) as uow:
            await audit.record(uow, actor, "emergency.entered", f"session:{session.id}", after=told)
    log.error("emergency access was used", session_id=str(session.id))
    response = Redirect("/", status_code=303)
    response.set_cookie(wiring.cookies.make(SESSION, secret))
    return response


def _read(wiring: Wiring, token: str) -> dict[str, Any]:
    offer = wiring.cookies.open(KIND, token)
    if offer is None:
        raise NotAllowed("This address is not good, or not any more.", remedy="Make a new one on the box.")
    return offer


ROUTES = [show, enter]
