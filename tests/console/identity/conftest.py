"""Browsers that sign in at the real Keycloak of `tests/console/people.py`."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import pytest
from keycloak import KeycloakAdmin

from provisioning.lite.box import Box
from tests.console.people import PASSWORD, Person

__all__ = ["PASSWORD", "Browser", "Person", "ask_nobody"]

TIMEOUT_SECONDS = 60.0


def ask_nobody(realm: KeycloakAdmin) -> None:
    """Takes back what `second_factor: required` asked of everybody: other tests sign in without one."""
    for user in realm.get_users({}):
        if "CONFIGURE_TOTP" in user.get("requiredActions", []):
            left = [action for action in user["requiredActions"] if action != "CONFIGURE_TOTP"]
            realm.update_user(user["id"], {**user, "requiredActions": left})


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
