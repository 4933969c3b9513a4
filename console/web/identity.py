"""Who sends a request: a signed-in browser by its cookie, or a program by its bearer token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection

from appliance.access import sessions
from appliance.access.domain import Actor, ActorKind, Role, rights_of
from appliance.access.sessions import Session, read_organizations
from console.web.cookies import SESSION

if TYPE_CHECKING:
    from console.web.wiring import Wiring

Connection = ASGIConnection[Any, Any, Any, Any]
KeyReader = Callable[["Wiring", str, str | None], Awaitable[Actor | None]]
"""Finds the actor of an API key `tl_...`: (wiring, key, address) -> actor, or None if it does not hold."""

API_KEY_PREFIX = "tl_"
_key_readers: list[KeyReader] = []
_SLOT = "trunkline_identity"


@dataclass(frozen=True)
class Identity:
    """Who it is. `session` and `secret` are those of a browser; None for a program."""

    actor: Actor
    session: Session | None = None
    secret: str | None = None


def read_api_keys_by(reader: KeyReader) -> None:
    """Called once by the feature that owns the API keys."""
    _key_readers[:] = [reader]


def address_of(connection: Connection) -> str | None:
    client = connection.client
    return client.host if client is not None else None


async def identify(connection: Connection, wiring: Wiring) -> Identity | None:
    """The request's identity, found once; None when it shows nothing that holds.

    A request with an Authorization header is never looked at as a browser's: what it shows counts alone.
    """
    scope: Any = connection.scope
    if _SLOT not in scope:
        bearer = connection.headers.get("authorization")
        scope[_SLOT] = await (
            _of_bearer(connection, wiring, bearer) if bearer else _of_cookie(connection, wiring)
        )
    return scope[_SLOT]


async def _of_cookie(connection: Connection, wiring: Wiring) -> Identity | None:
    secret = connection.cookies.get(wiring.cookies.name(SESSION))
    if not secret:
        return None
    async with wiring.work_of(None) as uow:
        session = await sessions.find(uow, secret, wiring.limits)
    if session is None:
        return None
    return Identity(session.actor(address_of(connection)), session, secret)


async def _of_bearer(connection: Connection, wiring: Wiring, header: str) -> Identity | None:
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token:
        return None
    address = address_of(connection)
    if token.startswith(API_KEY_PREFIX):
        for reader in _key_readers:
            if (actor := await reader(wiring, token, address)) is not None:
                return Identity(actor)
        return None
    claims = await wiring.identity.read_access_token(token)
    if claims is None:
        return None
    return Identity(_actor_of_claims(claims, connection.headers.get("x-organization"), address))


def _actor_of_claims(claims: dict[str, Any], wanted: str | None, address: str | None) -> Actor:
    """A token of a member of several organizations says by `X-Organization` for which it is shown."""
    organizations = read_organizations(claims.get("organizations"))
    chosen = next((key for key in organizations if str(key) == wanted), None)
    if chosen is None and wanted is None and len(organizations) == 1:
        chosen = next(iter(organizations))
    roles = set(organizations[chosen]) if chosen is not None else set[Role]()
    if "operator" in claims.get("realm_access", {}).get("roles", ()):
        roles.add(Role.OPERATOR)
    name = claims.get("name") or claims.get("preferred_username") or claims["sub"]
    return Actor(ActorKind.MEMBER, str(claims["sub"]), str(name), chosen, rights_of(roles), address)
