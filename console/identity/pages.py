"""Signing in and out, and what Keycloak tells the console about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import structlog
from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from appliance.access import sessions
from appliance.access.domain import ActorKind
from appliance.access.sessions import Member, read_organizations
from appliance.audit import service as audit
from appliance.clients.identity import Attempt, SignedIn
from appliance.errors import IntegrityError, InvalidInput, NotAllowed, NotFound, Unavailable
from console.identity import emergency
from console.web.cookies import SESSION, SIGN_IN
from console.web.guard import require_own_form
from console.web.identity import address_of, identify
from console.web.page import Page, own_path
from console.web.wiring import Wiring

log = structlog.get_logger()
AnyRequest = Request[Any, Any, Any]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]

ATTEMPT_SECONDS = 600


@get("/sign-in", public=True)
async def sign_in(wiring: Wiring, page: Page, next: str = "/", again: str = "") -> Response[Any]:
    """Begins a sign-in: to Keycloak, with the notes of it in a sealed cookie of this browser."""
    attempt = Attempt.begin()
    try:
        url = await wiring.identity.sign_in_url(attempt, again=bool(again))
    except Unavailable as error:
        return page.render("identity/away.html", status_code=503, message=error.message, next=own_path(next))
    notes = {**vars(attempt), "next": own_path(next), "again": bool(again)}
    response = Redirect(url, status_code=303)
    response.set_cookie(wiring.cookies.sealed(SIGN_IN, notes, seconds=ATTEMPT_SECONDS))
    return response


@get("/sign-in/callback", public=True)
async def callback(
    request: AnyRequest,
    wiring: Wiring,
    page: Page,
    code: str = "",
    error: str = "",
) -> Response[Any]:
    """Keycloak sends the browser back here; a new session with a new secret begins."""
    shown = request.query_params.get("state", "")
    notes = wiring.cookies.open(SIGN_IN, request.cookies.get(wiring.cookies.name(SIGN_IN)))
    if notes is None or not shown or shown != notes["state"]:
        return _not_begun_here(wiring, page)
    if error or not code:
        return _dropping(
            wiring, page.render("identity/refused.html", status_code=403, next=notes["next"], reason=error)
        )
    attempt = Attempt(notes["state"], notes["nonce"], notes["verifier"])
    try:
        signed_in = await wiring.identity.finish(attempt, code)
        if notes["again"] and not _is_recent(signed_in):
            raise NotAllowed("The password was not asked for again.", remedy="Sign in again.")
    except NotAllowed as refusal:
        log.warning("sign-in refused", reason=refusal.message)
        return _dropping(
            wiring, page.render("identity/refused.html", status_code=403, next="/", reason=refusal.message)
        )
    secret = await _begin_session(request, wiring, signed_in)
    response = Redirect(notes["next"], status_code=303)
    response.set_cookie(wiring.cookies.make(SESSION, secret))
    response.set_cookie(wiring.cookies.drop(SIGN_IN))
    return response


async def _begin_session(request: AnyRequest, wiring: Wiring, signed_in: SignedIn) -> str:
    claims = signed_in.claims
    member = Member(
        id=str(claims["sub"]),
        name=str(claims.get("name") or claims.get("preferred_username") or claims["sub"]),
        email=str(claims["email"]) if claims.get("email") else None,
        organizations=read_organizations(claims.get("organizations")),
        operator="operator" in claims.get("roles", ()),
    )
    before = await identify(request, wiring)
    same = before.session if before is not None and before.session is not None else None
    async with wiring.work_of(None) as uow:
        if same is not None:
            await sessions.end(uow, same.id, "new sign-in")
        session, secret = await sessions.begin(
            uow,
            member,
            wiring.limits,
            authenticated_at=datetime.fromtimestamp(int(claims.get("auth_time", claims["iat"])), UTC),
            organization_id=same.organization_id if same and same.member.id == member.id else None,
            identity_session=str(claims["sid"]) if claims.get("sid") else None,
            identity_token=wiring.cookies.seal_bytes(signed_in.id_token.encode(), b"id_token"),
            address=address_of(request),
        )
    actor = session.actor(address_of(request))
    async with wiring.work_of(session.organization_id) as uow:
        await audit.record(uow, actor, "session.begin", f"session:{session.id}")
    return secret


def _is_recent(signed_in: SignedIn) -> bool:
    shown_at = datetime.fromtimestamp(int(signed_in.claims.get("auth_time", 0)), UTC)
    return datetime.now(UTC) - shown_at < timedelta(seconds=ATTEMPT_SECONDS)


def _not_begun_here(wiring: Wiring, page: Page) -> Response[Any]:
    """The answer to a sign-in that this browser did not begin, or not lately: nobody is signed in by it."""
    return _dropping(wiring, page.render("identity/not_begun.html", status_code=400))


def _dropping(wiring: Wiring, response: Response[Any]) -> Response[Any]:
    response.set_cookie(wiring.cookies.drop(SIGN_IN))
    return response


@post("/sign-out", public=True)
async def sign_out(request: AnyRequest, wiring: Wiring) -> Response[Any]:
    """Ends the console's session, then Keycloak's."""
    found = await identify(request, wiring)
    if found is None or found.session is None:
        return Redirect("/signed-out", status_code=303)
    await require_own_form(request, wiring, found)
    session = found.session
    async with wiring.work_of(None) as uow:
        await sessions.end(uow, session.id, "sign-out")
    async with wiring.work_of(session.organization_id) as uow:
        await audit.record(uow, found.actor, "session.end", f"session:{session.id}")
    target = "/signed-out"
    if session.member.kind is ActorKind.MEMBER and await wiring.identity.answers():
        target = wiring.identity.sign_out_url(_id_token(wiring, session.identity_token))
    response = Redirect(target, status_code=303)
    response.set_cookie(wiring.cookies.drop(SESSION))
    return response


def _id_token(wiring: Wiring, sealed: bytes | None) -> str | None:
    try:
        return wiring.cookies.unseal_bytes(sealed, b"id_token").decode() if sealed else None
    except IntegrityError:  # the cookie key was changed meanwhile
        return None


@get("/signed-out", public=True)
async def signed_out(page: Page) -> Response[str]:
    return page.render("identity/signed_out.html")


@post("/sign-in/backchannel", public=True, status_code=200)
async def backchannel(request: AnyRequest, wiring: Wiring) -> Response[Any]:
    """Keycloak's word that a session is over (Back-Channel Logout 1.0). No cookie counts here."""
    token = (await request.form()).get("logout_token")
    headers = {"Cache-Control": "no-store"}
    try:
        if not isinstance(token, str):
            raise InvalidInput("There is no logout token.", field="logout_token")
        claims = await wiring.identity.read_logout_token(token)
    except (NotAllowed, InvalidInput) as error:
        log.warning("logout token refused", reason=error.message)
        body = {"error": "invalid_request", "error_description": error.message}
        return Response(body, status_code=400, headers=headers)
    async with wiring.work_of(None) as uow:
        until = datetime.fromtimestamp(int(claims["exp"]), UTC) + timedelta(minutes=10)
        if not await sessions.use_once(uow, f"logout:{claims['jti']}", until):
            return Response({"error": "invalid_request"}, status_code=400, headers=headers)
        if claims.get("sid"):
            ended = await sessions.end_of_identity_session(uow, str(claims["sid"]), "identity provider")
        else:
            ended = await sessions.end_of_member(uow, str(claims["sub"]), "identity provider")
    log.info("sessions ended by the identity provider", count=ended)
    return Response({}, status_code=200, headers=headers)


@post("/switch-organization", public=True)
async def switch_organization(request: AnyRequest, wiring: Wiring, page: Page, data: Form) -> Response[Any]:
    """Looks at another organization from now on; one that is not the member's own is not there."""
    found = await identify(request, wiring)
    if found is None or found.session is None:
        return Redirect("/sign-in", status_code=303)
    await require_own_form(request, wiring, found)
    try:
        wanted = UUID(data.get("organization", ""))
    except ValueError as error:
        raise NotFound("There is no such organization.") from error
    async with wiring.work_of(None) as uow:
        if not await sessions.switch(uow, found.session, wanted):
            raise NotFound("There is no such organization.")
    return page.redirect("/")


ROUTES = [sign_in, callback, sign_out, signed_out, backchannel, switch_organization, *emergency.ROUTES]
