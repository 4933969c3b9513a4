"""A real Keycloak, one for the whole run, and people who have a password there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from keycloak import KeycloakAdmin

from appliance.access.domain import Role
from provisioning.identity.apply import connect
from provisioning.lite.box import Box
from provisioning.lite.settings_file import read_secret

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def keycloak_box(console_box: Box) -> Box:
    """The box with Keycloak and its realm."""
    console_box.start("keycloak")
    return console_box


@pytest.fixture(scope="session")
def realm(keycloak_box: Box) -> KeycloakAdmin:
    """Keycloak's administrator, in the realm."""
    secret = read_secret(keycloak_box.directory, "keycloak_provisioning_secret")
    return connect(keycloak_box.settings.identity.url, secret, keycloak_box.settings.identity.realm)


@dataclass(frozen=True)
class Person:
    """`name` is what the console shows; `user` and `password` are for Keycloak's form."""

    id: str
    user: str
    password: str
    name: str = ""


@pytest.fixture
def person(realm: KeycloakAdmin, keycloak_box: Box) -> Callable[..., Person]:
    """`person(Role.ADMIN)`: somebody of the seeded organization with a password at Keycloak."""

    def make(
        *roles: Role, organizations: dict[UUID, list[Role]] | None = None, operator: bool = False
    ) -> Person:
        if organizations is None:
            organizations = {keycloak_box.seed.organization_id: list(roles)} if roles else {}
        name = f"p-{uuid4().hex[:12]}"
        written = {str(key): [role.value for role in value] for key, value in organizations.items()}
        user_id = realm.create_user(
            {
                "username": name,
                "email": f"{name}@example.org",
                "firstName": "Pat",
                "lastName": name,
                "enabled": True,
                "emailVerified": True,
                "attributes": {"organizations": [json.dumps(written)], "organization": list(written)},
                "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            }
        )
        if operator:
            realm.assign_realm_roles(user_id, [realm.get_realm_role("operator")])
        return Person(user_id, name, PASSWORD, f"Pat {name}")

    return make
