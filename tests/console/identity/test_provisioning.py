"""The realm is what the declaration says, and a second run changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from keycloak import KeycloakAdmin

from appliance.errors import InvalidInput
from provisioning.identity.apply import apply_to_site
from provisioning.identity.declaration import FILE_NAME, read_declaration
from provisioning.lite.box import Box
from tests.console.identity.conftest import ask_nobody

REPOSITORY = Path(__file__).resolve().parents[3]

SITE = {
    "second_factor": "required",
    "mail": {"host": "127.0.0.1", "port": 2525, "sender": "box@example.org", "starttls": False},
    "directories": [
        {
            "name": "staff",
            "vendor": "ad",
            "url": "ldaps://dc.example.org:636",
            "users": "ou=people,dc=example,dc=org",
            "bind_as": "cn=reader,dc=example,dc=org",
            "filter": "(memberOf=cn=phones,dc=example,dc=org)",
        }
    ],
    "providers": [
        {
            "alias": "company",
            "name": "Company sign-in",
            "kind": "oidc",
            "issuer": "https://login.example.org",
            "authorization_url": "https://login.example.org/authorize",
            "token_url": "https://login.example.org/token",
            "jwks_url": "https://login.example.org/keys",
            "client_id": "trunkline",
        },
        {
            "alias": "partner",
            "name": "Partner",
            "kind": "saml",
            "entity_id": "trunkline",
            "single_sign_on_url": "https://saml.example.org/sso",
        },
    ],
}


@pytest.fixture
def declared(keycloak_box: Box, realm: KeycloakAdmin, tmp_path: Path) -> Iterator[Path]:
    """The site's declaration, taken back afterwards: others sign in without a second factor."""
    secret = tmp_path / "secret"
    secret.write_text("first secret\n")
    site = yaml.safe_load(yaml.safe_dump(SITE))
    site["directories"][0]["bind_password"] = {"file": str(secret)}
    site["providers"][0]["client_secret"] = {"file": str(secret)}
    path = keycloak_box.directory / FILE_NAME
    path.write_text(yaml.safe_dump(site))
    yield secret
    path.unlink()
    for component in realm.get_components({"type": "org.keycloak.storage.UserStorageProvider"}):
        realm.delete_component(component["id"])
    for alias in ("company", "partner"):
        realm.delete_idp(alias)
    apply_to_site(keycloak_box.site)
    ask_nobody(realm)


def test_a_second_run_changes_nothing(keycloak_box: Box) -> None:
    apply_to_site(keycloak_box.site)
    assert apply_to_site(keycloak_box.site) == []


def test_the_command_says_so(keycloak_box: Box) -> None:
    command = [
        sys.executable,
        "-m",
        "provisioning.identity",
        "apply",
        "--directory",
        str(keycloak_box.directory),
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stdout) == (0, "Nothing to change.\n"), done.stderr


def test_what_somebody_changed_by_hand_is_put_right(keycloak_box: Box, realm: KeycloakAdmin) -> None:
    apply_to_site(keycloak_box.site)
    name = keycloak_box.settings.identity.realm
    realm.update_realm(name, {"bruteForceProtected": False, "passwordPolicy": ""})
    client_id = realm.get_client_id("console")
    assert client_id is not None
    client = realm.get_client(client_id)
    realm.update_client(
        client_id, {**client, "redirectUris": ["*"], "attributes": {"pkce.code.challenge.method": ""}}
    )
    changed = apply_to_site(keycloak_box.site)
    assert sorted(changed) == ["client console", f"realm {name}"]
    now = realm.get_realm(name)
    assert now["bruteForceProtected"] is True
    assert "length(12)" in now["passwordPolicy"]
    assert now["eventsEnabled"] is True
    assert now["eventsExpiration"] == 90 * 86400
    console = realm.get_client(client_id)
    assert console["redirectUris"] == [f"{keycloak_box.settings.console.url}/sign-in/callback"]
    assert console["attributes"]["pkce.code.challenge.method"] == "S256"


def test_a_site_declares_its_directory_and_providers(
    keycloak_box: Box, realm: KeycloakAdmin, declared: Path
) -> None:
    changed = apply_to_site(keycloak_box.site)
    for wanted in (
        "directory staff",
        "provider company",
        "provider partner",
        "required action CONFIGURE_TOTP",
    ):
        assert wanted in changed
    assert apply_to_site(keycloak_box.site) == []
    assert realm.get_required_action_by_alias("CONFIGURE_TOTP")["defaultAction"] is True
    assert realm.get_idp("company")["config"]["pkceMethod"] == "S256"
    assert realm.get_realm(keycloak_box.settings.identity.realm)["resetPasswordAllowed"] is True
    # Another secret in its file is taken over, although Keycloak does not tell the one it has.
    declared.write_text("second secret\n")
    assert sorted(apply_to_site(Box.open(keycloak_box.directory).site)) == [
        "directory staff",
        "provider company",
    ]


@pytest.mark.parametrize(
    "text",
    ["second_factor: sometimes", "providers: [{alias: 'x y', name: n, kind: oidc}]", "unknown: 1", "{"],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(InvalidInput):
        read_declaration(tmp_path)


def test_a_member_cannot_give_itself_a_role(realm: KeycloakAdmin) -> None:
    profile = realm.get_realm_users_profile()
    for attribute in profile["attributes"]:
        if attribute["name"] in {"organizations", "organization"}:
            assert attribute["permissions"] == {"view": ["admin"], "edit": ["admin"]}
    assert profile.get("unmanagedAttributePolicy") in {None, "DISABLED"}
