"""The one guard: who may use a route, and whether a form is the console's own.

A route says `right=Right.X` or `public=True`; `fresh=True` also wants a password shown lately.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import Any

from litestar import Litestar, Request
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from appliance.access.domain import Right
from appliance.audit import service as audit
from appliance.errors import NotAllowed
from console.web.identity import Connection, Identity, identify
from console.web.wiring import Wiring

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
FORM_FIELD = "_csrf"
FORM_HEADER = "x-csrf-token"


class SignInNeeded(NotAllowed):
    """Nobody is signed in: a page sends to the sign-in, the API answers 401."""

    code = "sign_in_needed"


class PasswordNeeded(NotAllowed):
    """The member is known, but this act wants a password shown within the last minutes."""

    code = "password_needed"


class NoPlaceHere(NotAllowed):
    """Somebody signed in who is no member: an operator goes on to the box."""

    code = "no_organization"


class ForeignForm(NotAllowed):
    """A change that does not come from a page of this session."""

    code = "foreign_form"


def require_stated_rights(app: Litestar) -> list[str]:
    """The routes that state neither a right nor that they are public; there must be none."""
    return [
        f"{'/'.join(sorted(handler.http_methods))} {route.path}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if not _states(handler)
    ]


def _states(handler: HTTPRouteHandler) -> bool:
    if handler.http_methods == {"OPTIONS"}:  # Litestar's own answer about the methods of a path
        return True
    return (handler.opt.get("public") is True) != isinstance(handler.opt.get("right"), Right)


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raises SignInNeeded, NotAllowed (and records it), PasswordNeeded or ForeignForm."""
    right: Right | None = handler.opt.get("right")
    if right is None:
        return
    wiring: Wiring = connection.app.state.wiring
    found = await identify(connection, wiring)
    if found is None:
        raise SignInNeeded("Nobody is signed in.", remedy="Sign in, or show a key that holds.")
    if found.session is not None and connection.scope.get("method") not in SAFE_METHODS:
        await require_own_form(connection, wiring, found)
    if not found.actor.may(right):
        if connection.url.path == "/":  # where everybody lands: no attempt at anything
            raise NoPlaceHere(
                "You belong to no organization yet.", remedy="Ask an administrator to invite you."
            )
        await _record_refusal(connection, wiring, found, right)
        raise NotAllowed(f"This needs the right {right}.", remedy="Ask an administrator for it.")
    if handler.opt.get("fresh") is True and not _is_fresh(found, wiring):
        raise PasswordNeeded("Please show your password again.", remedy="Sign in again, then repeat it.")


def _is_fresh(found: Identity, wiring: Wiring) -> bool:
    """A program shows its key with each request; a browser must have seen a password lately."""
    return found.session is None or found.session.is_fresh(datetime.now(UTC), wiring.fresh_for)


async def require_own_form(connection: Connection, wiring: Wiring, found: Identity) -> None:
    """A change by a browser carries the session's token, and does not come from another site."""
    require_own_origin(connection, wiring)
    shown = connection.headers.get(FORM_HEADER)
    if shown is None and isinstance(connection, Request):
        kind = connection.headers.get("content-type", "")
        if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
            field: Any = (await connection.form()).get(FORM_FIELD)
            shown = field if isinstance(field, str) else None
    if shown is None or not wiring.cookies.is_form_token(found.secret or "", shown):
        raise ForeignForm(
            "This form does not belong to your session.",
            remedy="Open the page again and repeat what you did.",
        )


def require_own_origin(connection: Connection, wiring: Wiring) -> None:
    """Raises ForeignForm when the browser says that another site sent the request."""
    fetched_from = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    if fetched_from is not None and fetched_from not in {"same-origin", "none"}:
        raise ForeignForm("Another site sent this request.", remedy="Open the console itself.")
    if origin is not None and not hmac.compare_digest(origin.encode(), wiring.settings.console.url.encode()):
        raise ForeignForm("Another site sent this request.", remedy="Open the console itself.")


async def _record_refusal(connection: Connection, wiring: Wiring, found: Identity, right: Right) -> None:
    async with wiring.work_of(found.actor.organization_id) as uow:
        await audit.record(
            uow,
            found.actor,
            "access.refused",
            f"route:{connection.scope.get('path_template') or connection.url.path}",
            after={"right": str(right), "method": str(connection.scope.get("method"))},
        )
