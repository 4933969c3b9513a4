"""Brings Keycloak to the declaration: makes what is missing, changes what differs, leaves the rest alone."""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakConnectionError, KeycloakError

from appliance.errors import Unavailable
from appliance.settings import Settings
from provisioning.identity.declaration import SiteIdentity, read_declaration
from provisioning.identity.first_login import ensure_first_login
from provisioning.identity.second_factor import ask_members
from provisioning.lite.keycloak_account import PROVISIONER
from provisioning.lite.part import Site
from provisioning.lite.settings_file import read_secret

REALM_FILE = Path(__file__).with_name("realm.yaml")
TIMEOUT_SECONDS = 60
_SECRET_MARK = "trunklineSecret"  # noqa: S105 - the name of a setting that holds a secret's fingerprint


def apply_to_site(site: Site) -> list[str]:
    """Writes the realm of a lite box, and its first login. Returns what was changed; nothing the second time.

    Raises Unavailable when Keycloak does not answer or refuses.
    """
    settings = site.settings
    try:
        secret = read_secret(site.directory, "keycloak_provisioning_secret")
        admin = connect(settings.identity.url, secret, settings.identity.realm)
        changes = Apply(admin, settings, read_declaration(site.directory)).run()
        changes += ensure_first_login(admin, site)
    except KeycloakConnectionError as error:
        raise Unavailable("Keycloak does not answer.", remedy=str(error)) from error
    except KeycloakError as error:
        raise Unavailable("Keycloak did not take the realm.", remedy=str(error)) from error
    return changes


def connect(url: str, secret: str, realm: str) -> KeycloakAdmin:
    """The provisioning account (of the master realm), at work in `realm`."""
    connection = KeycloakOpenIDConnection(
        server_url=url,
        realm_name=realm,
        user_realm_name="master",
        client_id=PROVISIONER,
        client_secret_key=secret,
        timeout=TIMEOUT_SECONDS,
    )
    return KeycloakAdmin(connection=connection)


class Apply:
    """One run. Each step reads what is there, and writes only if something named differs."""

    def __init__(self, admin: KeycloakAdmin, settings: Settings, site: SiteIdentity) -> None:
        self._admin = admin
        self._settings = settings
        self._site = site
        self._wanted = _filled_in(settings, site)
        self._changes: list[str] = []

    def run(self) -> list[str]:
        """The names of what was made or changed."""
        self._realm()
        self._profile()
        self._required_actions()
        self._roles()
        self._client_scopes()
        self._clients()
        self._service_accounts()
        self._directories()
        self._providers()
        if self._site.second_factor == "required":
            self._changes += ask_members(self._admin)
        return self._changes

    def _realm(self) -> None:
        name = self._settings.identity.realm
        wanted = {"realm": name, **self._wanted["realm"]}
        if self._site.mail is not None:
            wanted["smtpServer"] = self._site.mail.for_keycloak()
        known = [realm["realm"] for realm in self._admin.get_realms()]
        if name not in known:
            self._admin.create_realm(wanted)
            self._changes.append(f"realm {name}")
            # A new realm needs the rights of a new token.
            self._admin.connection.get_token()
        current: dict[str, Any] = self._admin.get_realm(name)
        if self._site.mail is not None and self._site.mail.password is not None:
            self._mark(wanted, current, self._site.mail.password.reveal(), "smtpServer", "password")
        self._update(f"realm {name}", wanted, current, lambda new: self._admin.update_realm(name, new))

    def _mark(
        self, wanted: dict[str, Any], current: dict[str, Any], secret: str, part: str, key: str
    ) -> None:
        """Keycloak does not tell a secret again: a fingerprint says whether it is still the one."""
        wanted["attributes"] = {**wanted.get("attributes", {}), _SECRET_MARK + key: _fingerprint(secret)}
        if current.get("attributes", {}).get(_SECRET_MARK + key) != _fingerprint(secret):
            wanted[part] = {**wanted[part], key: secret}

    def _profile(self) -> None:
        profile: dict[str, Any] = self._admin.get_realm_users_profile()
        known = {attribute["name"]: attribute for attribute in profile["attributes"]}
        for wanted in self._wanted["profile_attributes"]:
            current = known.get(wanted["name"])
            if current is not None and _holds(wanted, current):
                continue
            known[wanted["name"]] = {**(current or {}), **wanted}
            self._changes.append(f"attribute {wanted['name']}")
        new = {**profile, "attributes": list(known.values())}
        if new != profile:
            self._admin.update_realm_users_profile(new)

    def _required_actions(self) -> None:
        for alias, wanted in self._wanted["required_actions"].items():
            current: Any = self._admin.get_required_action_by_alias(alias)
            self._update(
                f"required action {alias}",
                wanted,
                current,
                lambda new, alias=alias: self._admin.update_required_action(alias, new),
            )

    def _roles(self) -> None:
        known = {role["name"]: role for role in self._admin.get_realm_roles(brief_representation=True)}
        for wanted in self._wanted["roles"]:
            name = wanted["name"]
            if name not in known:
                self._admin.create_realm_role(wanted)
                self._changes.append(f"role {name}")
                continue
            self._update(
                f"role {name}",
                wanted,
                known[name],
                lambda new, name=name: self._admin.update_realm_role(name, new),
            )

    def _client_scopes(self) -> None:
        for declared in self._wanted["client_scopes"]:
            wanted = {key: value for key, value in declared.items() if key != "mappers"}
            name = wanted["name"]
            current: Any = self._admin.get_client_scope_by_name(name)
            if current is None:
                scope_id = self._admin.create_client_scope(wanted)
                self._changes.append(f"client scope {name}")
                current = self._admin.get_client_scope(scope_id)
            scope_id = current["id"]
            self._update(
                f"client scope {name}",
                wanted,
                current,
                lambda new, scope_id=scope_id: self._admin.update_client_scope(scope_id, new),
            )
            self._mappers(scope_id, name, declared["mappers"])
        self._assign_scopes()

    def _mappers(self, scope_id: str, scope: str, declared: list[dict[str, Any]]) -> None:
        known = {mapper["name"]: mapper for mapper in self._admin.get_mappers_from_client_scope(scope_id)}
        for wanted in declared:
            current = known.get(wanted["name"])
            label = f"mapper {scope}/{wanted['name']}"
            if current is None:
                self._admin.add_mapper_to_client_scope(scope_id, wanted)
                self._changes.append(label)
                continue
            mapper_id = current["id"]
            self._update(
                label,
                wanted,
                current,
                lambda new, mapper_id=mapper_id: self._admin.update_mapper_in_client_scope(
                    scope_id, mapper_id, new
                ),
            )

    def _assign_scopes(self) -> None:
        ids = {scope["name"]: scope["id"] for scope in self._admin.get_client_scopes()}
        default = {scope["name"] for scope in self._admin.get_default_default_client_scopes()}
        optional = {scope["name"] for scope in self._admin.get_default_optional_client_scopes()}
        for name in self._wanted["default_scopes"]:
            if name not in default:
                self._admin.add_default_default_client_scope(ids[name])
                self._changes.append(f"default scope {name}")
        for name in self._wanted["optional_scopes"]:
            if name not in optional:
                self._admin.add_default_optional_client_scope(ids[name])
                self._changes.append(f"optional scope {name}")

    def _clients(self) -> None:
        for wanted in self._wanted["clients"]:
            name = wanted["clientId"]
            client_id = self._admin.get_client_id(name)
            if client_id is None:
                client_id = self._admin.create_client(wanted)
                self._changes.append(f"client {name}")
            self._update(
                f"client {name}",
                wanted,
                self._admin.get_client(client_id),
                lambda new, client_id=client_id: self._admin.update_client(client_id, new),
            )

    def _service_accounts(self) -> None:
        for client, roles_by_client in self._wanted["service_account_roles"].items():
            account = self._admin.get_client_service_account_user(self._client(client))
            for owner, names in roles_by_client.items():
                owner_id = self._client(owner)
                held: Any = self._admin.get_client_roles_of_user(account["id"], owner_id)
                missing = set(names) - {role["name"] for role in held}
                if missing:
                    roles = [self._admin.get_client_role(owner_id, name) for name in sorted(missing)]
                    self._admin.assign_client_role(account["id"], owner_id, roles)
                    self._changes.append(f"rights of {client}")

    def _client(self, name: str) -> str:
        found = self._admin.get_client_id(name)
        if found is None:
            raise Unavailable(f"Keycloak has no client {name}.", remedy="Apply the realm again.")
        return found

    def _directories(self) -> None:
        kind = "org.keycloak.storage.UserStorageProvider"
        for directory in self._site.directories:
            wanted = directory.for_keycloak()
            secret = directory.bind_password.reveal() if directory.bind_password else ""
            known: Any = self._admin.get_components({"name": directory.name, "type": kind})
            current = known[0] if known else None
            new_secret = current is None or not self._is_marked(directory.name, secret)
            if new_secret:
                wanted["config"]["bindCredential"] = [secret]
            label = f"directory {directory.name}"
            if current is None:
                self._admin.create_component(wanted)
                self._changes.append(label)
            else:
                component_id = current["id"]
                self._update(
                    label,
                    wanted,
                    current,
                    lambda new, component_id=component_id: self._admin.update_component(component_id, new),
                )
            if new_secret:
                self._mark_directory(directory.name, secret)

    def _is_marked(self, directory: str, secret: str) -> bool:
        """A directory keeps no setting that it does not know: its fingerprint stands at the realm."""
        realm: Any = self._admin.get_realm(self._settings.identity.realm)
        return realm.get("attributes", {}).get(f"{_SECRET_MARK}.{directory}") == _fingerprint(secret)

    def _mark_directory(self, directory: str, secret: str) -> None:
        name = self._settings.identity.realm
        realm: Any = self._admin.get_realm(name)
        marks = {**realm.get("attributes", {}), f"{_SECRET_MARK}.{directory}": _fingerprint(secret)}
        self._admin.update_realm(name, {**realm, "attributes": marks})

    def _providers(self) -> None:
        known = {provider["alias"]: provider for provider in self._admin.get_idps()}
        for provider in self._site.providers:
            wanted = provider.for_keycloak()
            secret = provider.client_secret.reveal() if provider.client_secret else ""
            wanted["config"][_SECRET_MARK] = _fingerprint(secret)
            current = known.get(provider.alias)
            if current is None or current["config"].get(_SECRET_MARK) != wanted["config"][_SECRET_MARK]:
                wanted["config"]["clientSecret"] = secret
            label = f"provider {provider.alias}"
            if current is None:
                self._admin.create_idp(wanted)
                self._changes.append(label)
                continue
            alias = provider.alias
            self._update(label, wanted, current, lambda new, alias=alias: self._admin.update_idp(alias, new))

    def _update(self, label: str, wanted: dict[str, Any], current: dict[str, Any], write: Any) -> None:
        if _holds(wanted, current):
            return
        write(_laid_over(current, wanted))
        if label not in self._changes:
            self._changes.append(label)


def _filled_in(settings: Settings, site: SiteIdentity) -> dict[str, Any]:
    """The declaration of the realm with this box's addresses and secrets."""
    identity = settings.identity
    values = {
        "console_url": settings.console.url,
        "site_name": settings.site_name,
        "realm": identity.realm,
        "console_client_secret": identity.client_secret.reveal(),
        "members_client_id": identity.members_client_id,
        "members_client_secret": identity.members_client_secret.reveal(),
        "reset_password": "true" if site.mail is not None else "false",
        "otp_required": "true" if site.second_factor == "required" else "false",
    }
    text = REALM_FILE.read_text(encoding="utf-8")
    comments_apart = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return yaml.safe_load(string.Template(comments_apart).substitute(values))


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(b"trunkline secret\x00" + secret.encode()).hexdigest()[:32]


def _holds(wanted: Any, current: Any) -> bool:
    """Whether everything wanted is there; what else is there does not count. Lists count as a whole."""
    if isinstance(wanted, Mapping):
        return isinstance(current, Mapping) and all(
            _holds(value, current.get(key)) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(current, list) and json.dumps(wanted, sort_keys=True) == json.dumps(
            current, sort_keys=True
        )
    return wanted == current


def _laid_over(current: Any, wanted: Any) -> Any:
    if isinstance(wanted, Mapping) and isinstance(current, Mapping):
        merged = dict(current)
        for key, value in wanted.items():
            merged[key] = _laid_over(current.get(key), value)
        return merged
    return wanted
