"""Keycloak's administrative interface, as the member pages use it: people, their roles, their password mails.

Source: Keycloak Admin REST API, users. The client `trunkline-members` may manage users and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import (
    KeycloakConnectionError,
    KeycloakError,
    KeycloakGetError,
    KeycloakPostError,
)

from appliance.access.domain import Role
from appliance.access.sessions import read_organizations
from appliance.errors import Conflict, InvalidInput, NotFound, Unavailable
from appliance.settings import IdentitySettings

MAX_MEMBERS = 500
ROLES = "organizations"
MEMBERSHIP = "organization"
_BAD_REQUEST, _NOT_FOUND, _CONFLICT = 400, 404, 409


@dataclass(frozen=True)
class Account:
    """A person at the identity provider, with the roles in every organization."""

    id: str
    user: str
    email: str
    name: str
    enabled: bool
    organizations: dict[UUID, frozenset[Role]]
    raw: dict[str, Any]
    """All that the provider keeps, so that writing back loses nothing."""


class IdentityAdmin:
    """Raises Unavailable when the provider is away, NotFound and Conflict as they say."""

    def __init__(self, settings: IdentitySettings) -> None:
        connection = KeycloakOpenIDConnection(
            server_url=settings.internal_url or settings.url,
            realm_name=settings.realm,
            client_id=settings.members_client_id,
            client_secret_key=settings.members_client_secret.reveal(),
            timeout=int(settings.timeout_seconds * 2),
        )
        self._admin = KeycloakAdmin(connection=connection)

    async def members(self, organization_id: UUID) -> list[Account]:
        """Everybody of an organization, by name; at most 500."""
        query = {"q": f"{MEMBERSHIP}:{organization_id}", "max": MAX_MEMBERS, "briefRepresentation": False}
        found: Any = await _asked(self._admin.a_get_users(query))
        accounts = [_account(user) for user in found]
        return sorted(
            (account for account in accounts if organization_id in account.organizations),
            key=lambda account: account.name.lower(),
        )

    async def account(self, account_id: str) -> Account:
        return _account(await _asked(self._admin.a_get_user(account_id)))

    async def by_email(self, email: str) -> Account | None:
        found: Any = await _asked(
            self._admin.a_get_users({"email": email, "exact": True, "briefRepresentation": False})
        )
        return _account(found[0]) if found else None

    async def create(self, *, email: str, first_name: str, last_name: str, password: str) -> Account:
        """A new person, who must choose another password at the first sign-in."""
        user = {
            "username": email,
            "email": email,
            "firstName": first_name,
            "lastName": last_name,
            "enabled": True,
            "emailVerified": False,
            "credentials": [{"type": "password", "value": password, "temporary": True}],
        }
        account_id = await _asked(self._admin.a_create_user(user, exist_ok=False))
        return await self.account(str(account_id))

    async def set_roles(self, account: Account, organizations: Mapping[UUID, frozenset[Role]]) -> None:
        """Replaces the roles in all organizations."""
        written = {str(key): sorted(roles) for key, roles in organizations.items() if roles}
        attributes = {
            **account.raw.get("attributes", {}),
            ROLES: [json.dumps(written)],
            MEMBERSHIP: sorted(written),
        }
        await _asked(self._admin.a_update_user(account.id, {**account.raw, "attributes": attributes}))

    async def sign_out_everywhere(self, account_id: str) -> None:
        """Ends the provider's sessions, which ends ours by the back channel."""
        await _asked(self._admin.a_user_logout(account_id))

    async def close(self) -> None:
        session: Any = self._admin.connection.async_s
        await session.aclose()


async def _asked(work: Any) -> Any:
    try:
        return await work
    except KeycloakConnectionError as error:
        raise Unavailable("The identity service does not answer.", remedy="Try again in a minute.") from error
    except KeycloakGetError as error:
        if error.response_code == _NOT_FOUND:
            raise NotFound("There is no such member.") from error
        raise Unavailable("The identity service refused.", remedy="See its log.") from error
    except KeycloakPostError as error:
        if error.response_code == _CONFLICT:
            raise Conflict("There is a person with this address already.") from error
        if error.response_code == _BAD_REQUEST:
            raise InvalidInput("The identity service refuses this address or name.", field="email") from error
        raise Unavailable("The identity service refused.", remedy="See its log.") from error
    except KeycloakError as error:
        if error.response_code == _NOT_FOUND:
            raise NotFound("There is no such member.") from error
        raise Unavailable("The identity service refused.", remedy="See its log.") from error


def _account(user: dict[str, Any]) -> Account:
    attributes = user.get("attributes") or {}
    try:
        claim = json.loads((attributes.get(ROLES) or ["{}"])[0])
    except ValueError:
        claim = {}
    name = " ".join(part for part in (user.get("firstName"), user.get("lastName")) if part)
    return Account(
        id=str(user["id"]),
        user=str(user.get("username", "")),
        email=str(user.get("email") or ""),
        name=name or str(user.get("username", "")),
        enabled=bool(user.get("enabled")),
        organizations=read_organizations(claim),
        raw=user,
    )
