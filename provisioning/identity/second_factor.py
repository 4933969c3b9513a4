"""A site that wants a second factor wants it of those, too, who were members before it said so."""

from __future__ import annotations

from typing import Any

from keycloak import KeycloakAdmin

ACTION = "CONFIGURE_TOTP"
_PAGE = 100


def ask_members(admin: KeycloakAdmin) -> list[str]:
    """Everybody without a second factor sets one up at the next sign-in; a change for each who was asked.

    New members are asked by the realm itself (its default action). `admin` acts in the realm.
    """
    asked: list[str] = []
    first = 0
    while True:
        found: list[dict[str, Any]] = admin.get_users({"first": first, "max": _PAGE})
        for user in found:
            waiting: list[str] = user.get("requiredActions", [])
            if ACTION in waiting or user.get("totp"):
                continue
            kinds = {credential["type"] for credential in admin.get_credentials(user["id"])}
            if "otp" not in kinds:
                admin.update_user(user["id"], {**user, "requiredActions": [*waiting, ACTION]})
                asked.append(f"second factor of {user['id']}")
        if len(found) < _PAGE:
            return asked
        first += _PAGE
