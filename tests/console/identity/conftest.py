"""A real Keycloak, one for the whole run, and browsers that sign in at it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from keycloak import KeycloakAdmin

from appliance.access.domain import Role
from provisioning.identity.apply import connect
from provisioning.lite.box import Box
from provisioning.lite.settings_file import read_secret

TIMEOUT_SECONDS = 60.0
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
    id: str
    user: str
    password: str


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
        return Person(user_id, name, PASSWORD)

    return make


class Browser:
    """A browser as far as a sign-in needs one: cookies for console and Keycloak, forms, redirects by hand."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False, headers={"accept": "text/html"}
        )
        self.client.event_hooks = {"response": [self._trust_loopback]}

    async def _trust_loopback(self, _answer: httpx.Response) -> None:
        """As browsers do: a cookie for secure places is also sent to 127.0.0.1."""
        for cookie in self.client.cookies.jar:
            cookie.secure = False

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def to_keycloak(self, path: str = "/") -> httpx.Response:
        """Follows a page that wants somebody to Keycloak's form."""
        answer = await self.client.get(path)
        while answer.is_redirect:
            answer = await self.client.get(answer.headers["location"])
        return answer

    async def show_password(self, form: httpx.Response, person: Person, **fields: str) -> httpx.Response:
        """Sends Keycloak's form; the answer sends back to the console, or holds the form again."""
        found = re.search(r'<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"', form.text)
        assert found is not None, form.text[:3000]
        data = {"username": person.user, "password": person.password, **fields}
        return await self.client.post(html.unescape(found.group(1)), data=data)

    async def sign_in(self, person: Person, path: str = "/") -> httpx.Response:
        """The page that was wanted, after the whole way there."""
        answer = await self.show_password(await self.to_keycloak(path), person)
        assert answer.is_redirect, answer.text[:3000]
        while answer.is_redirect:
            answer = await self.client.get(answer.headers["location"])
        return answer

    def cookie(self, kind: str) -> str | None:
        return self.client.cookies.get(f"trunkline-{kind}")

    async def post_form(self, path: str, **fields: Any) -> httpx.Response:
        page = await self.client.get("/")
        found = re.search(r'name="_csrf" value="([0-9a-f]{64})"', page.text)
        assert found is not None
        return await self.client.post(path, data={"_csrf": found.group(1), **fields})


@pytest.fixture
async def browser(keycloak_box: Box) -> AsyncGenerator[Callable[[], Browser]]:
    made: list[Browser] = []

    def make() -> Browser:
        made.append(Browser(keycloak_box.settings.console.url))
        return made[-1]

    yield make
    for one in made:
        await one.client.aclose()
