"""What a site may declare of its own: second factor, mail, directories and upstream providers.

Read from `identity.yaml` in the box's folder; without one the realm stands for itself. Secrets are files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import InvalidInput
from appliance.settings import SecretFile

FILE_NAME = "identity.yaml"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mail(_Part):
    """The mail server that invitations and forgotten passwords go by."""

    host: str
    port: int = 25
    sender: str
    user: str | None = None
    password: SecretFile | None = None
    starttls: bool = True
    tls: bool = False

    def for_keycloak(self) -> dict[str, str]:
        wanted = {
            "host": self.host,
            "port": str(self.port),
            "from": self.sender,
            "starttls": str(self.starttls).lower(),
            "ssl": str(self.tls).lower(),
            "auth": str(self.user is not None).lower(),
        }
        if self.user is not None:
            wanted["user"] = self.user
        return wanted


class Directory(_Part):
    """An LDAP directory or Active Directory whose people may sign in. Nothing is written to it."""

    name: str
    vendor: Literal["ad", "rhds", "other"] = "other"
    url: str
    """`ldaps://dc.example.org:636`; several, separated by spaces."""
    users: str
    """Where people are: `ou=people,dc=example,dc=org`."""
    bind_as: str | None = None
    bind_password: SecretFile | None = None
    filter: str = ""
    starttls: bool = False
    priority: int = 0

    def for_keycloak(self) -> dict[str, Any]:
        active = self.vendor == "ad"
        name = "sAMAccountName" if active else "uid"
        config = {
            "enabled": "true",
            "priority": str(self.priority),
            "vendor": self.vendor,
            "connectionUrl": self.url,
            "usersDn": self.users,
            "startTls": str(self.starttls).lower(),
            "authType": "simple" if self.bind_as else "none",
            "editMode": "READ_ONLY",
            "importEnabled": "true",
            "syncRegistrations": "false",
            "usernameLDAPAttribute": name,
            "rdnLDAPAttribute": "cn" if active else "uid",
            "uuidLDAPAttribute": "objectGUID" if active else "entryUUID",
            "userObjectClasses": "person, organizationalPerson, user" if active else "inetOrgPerson",
            "searchScope": "2",
            "pagination": "true",
            "connectionTimeout": "5000",
            "readTimeout": "5000",
            "trustEmail": "true",
            "useTruststoreSpi": "always",
            "customUserSearchFilter": self.filter,
        }
        if self.bind_as:
            config["bindDn"] = self.bind_as
        return {
            "name": self.name,
            "providerId": "ldap",
            "providerType": "org.keycloak.storage.UserStorageProvider",
            "config": {key: [value] for key, value in config.items() if value},
        }


class Upstream(_Part):
    """Another identity provider, to which the sign-in page offers a button."""

    alias: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    name: str
    kind: Literal["oidc", "saml"]
    issuer: str = ""
    authorization_url: str = ""
    token_url: str = ""
    jwks_url: str = ""
    logout_url: str = ""
    client_id: str = ""
    client_secret: SecretFile | None = None
    entity_id: str = ""
    """SAML: who we are there."""
    single_sign_on_url: str = ""
    signing_certificate: str = ""

    def for_keycloak(self) -> dict[str, Any]:
        config = self._oidc() if self.kind == "oidc" else self._saml()
        return {
            "alias": self.alias,
            "displayName": self.name,
            "providerId": self.kind,
            "enabled": True,
            "trustEmail": True,
            "storeToken": False,
            "config": {key: value for key, value in config.items() if value},
        }

    def _oidc(self) -> dict[str, str]:
        return {
            "issuer": self.issuer,
            "authorizationUrl": self.authorization_url,
            "tokenUrl": self.token_url,
            "jwksUrl": self.jwks_url,
            "logoutUrl": self.logout_url,
            "clientId": self.client_id,
            "clientAuthMethod": "client_secret_post",
            "defaultScope": "openid profile email",
            "useJwksUrl": "true",
            "validateSignature": "true",
            "pkceEnabled": "true",
            "pkceMethod": "S256",
            "syncMode": "FORCE",
        }

    def _saml(self) -> dict[str, str]:
        return {
            "entityId": self.entity_id,
            "singleSignOnServiceUrl": self.single_sign_on_url,
            "signingCertificate": self.signing_certificate,
            "validateSignature": "true",
            "wantAssertionsSigned": "true",
            "postBindingResponse": "true",
            "postBindingAuthnRequest": "true",
            "nameIDPolicyFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
            "syncMode": "FORCE",
        }


class SiteIdentity(_Part):
    """The whole declaration of a site."""

    second_factor: Literal["optional", "required"] = "optional"
    mail: Mail | None = None
    directories: tuple[Directory, ...] = ()
    providers: tuple[Upstream, ...] = ()


def read_declaration(directory: Path) -> SiteIdentity:
    """The site's declaration. Raises InvalidInput with the first wrong key."""
    path = directory / FILE_NAME
    if not path.exists():
        return SiteIdentity()
    try:
        return SiteIdentity.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read.", remedy=str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{key} in {path}: {first['msg']}.", field=key) from error
