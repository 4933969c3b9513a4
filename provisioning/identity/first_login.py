"""The first login of a new box: one person who may do everything, with a generated password."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from keycloak import KeycloakAdmin

from provisioning.lite.part import Site
from provisioning.lite.seed import seed
from provisioning.lite.settings_file import read_secret

if TYPE_CHECKING:
    from provisioning.lite.box import Box

USER = "admin"
_SECRET = "first_login_password"  # noqa: S105 - the name of the file


def first_login(box: Box) -> tuple[str, str]:
    """User name and password of the first login, as they were made; whoever changes them knows better."""
    return USER, read_secret(box.site.directory, _SECRET)


def ensure_first_login(admin: KeycloakAdmin, site: Site) -> list[str]:
    """Makes the first member, once: the operator of the box and administrator of its organization.

    `admin` acts in the realm. An existing one is left as it is, with its password and its roles.
    """
    if admin.get_user_id(USER) is not None:
        return []
    organization_id = str(seed(site.settings).organization_id)
    user: dict[str, Any] = {
        "username": USER,
        "email": "admin@example.org",
        "emailVerified": True,
        "firstName": "First",
        "lastName": "Administrator",
        "enabled": True,
        "attributes": {
            "organizations": [json.dumps({organization_id: ["admin"]})],
            "organization": [organization_id],
        },
        "credentials": [
            {"type": "password", "value": read_secret(site.directory, _SECRET), "temporary": False}
        ],
    }
    user_id = admin.create_user(user, exist_ok=False)
    admin.assign_realm_roles(user_id, [admin.get_realm_role("operator")])
    return [f"login {USER}"]
