"""A site that wants a second factor gets it of everybody: of new members, and of those from before."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import re
import struct
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from keycloak import KeycloakAdmin

from appliance.access.domain import Role
from provisioning.identity.apply import apply_to_site
from provisioning.identity.declaration import FILE_NAME
from provisioning.lite.box import Box
from tests.console.identity.conftest import Browser, Person, ask_nobody

STEP_SECONDS = 30


@pytest.fixture
def second_factor_required(
    keycloak_box: Box, realm: KeycloakAdmin, person: Callable[..., Person]
) -> Iterator[Person]:
    """The site declares it; yields somebody who was a member before."""
    before = person(Role.LISTENER)
    path = keycloak_box.directory / FILE_NAME
    path.write_text("second_factor: required\n")
    try:
        changed = apply_to_site(keycloak_box.site)
        assert f"second factor of {before.id}" in changed
        assert apply_to_site(keycloak_box.site) == []
        yield before
    finally:
        path.unlink()
        apply_to_site(keycloak_box.site)
        ask_nobody(realm)


def code(secret: str, at: float) -> str:
    """TOTP of RFC 6238: six digits of HMAC-SHA-1 over the count of half minutes."""
    counter = struct.pack(">Q", int(at) // STEP_SECONDS)
    digest = hmac.new(secret.encode(), counter, hashlib.sha1).digest()
    place = digest[-1] & 15
    return f"{(int.from_bytes(digest[place : place + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def target(answer: httpx.Response, form: str) -> str:
    found = re.search(rf'<form[^>]*id="{form}"[^>]*?>', answer.text)
    assert found is not None, answer.text[:3000]
    action = re.search(r'action="([^"]+)"', found.group(0))
    assert action is not None
    return html.unescape(action.group(1))


async def followed(window: Browser, answer: httpx.Response) -> httpx.Response:
    while answer.is_redirect:
        answer = await window.client.get(answer.headers["location"])
    return answer


async def set_up(window: Browser, asked: httpx.Response) -> tuple[str, httpx.Response]:
    """Fills in the page with the QR code; the secret and what comes next."""
    found = re.search(r'name="totpSecret" value="([^"]+)"', asked.text)
    assert found is not None
    secret = html.unescape(found.group(1))
    shown = re.search(r'id="kc-totp-secret-key"[^>]*>([^<]+)<', asked.text)
    if shown is not None:  # what a person would type into the app is the same secret
        assert base64.b32decode(shown.group(1).replace(" ", "")) == secret.encode()
    data = {"totpSecret": secret, "totp": code(secret, time.time()), "userLabel": "Telephone"}
    answer = await window.client.post(target(asked, "kc-totp-settings-form"), data=data)
    return secret, await followed(window, answer)


@pytest.mark.parametrize("joined", ["before", "after"])
async def test_a_member_must_set_up_a_second_factor_and_then_show_it(
    joined: str,
    second_factor_required: Person,
    person: Callable[..., Person],
    browser: Callable[[], Browser],
) -> None:
    pat = second_factor_required if joined == "before" else person(Role.LISTENER)
    window = browser()
    asked = await followed(window, await window.show_password(await window.to_keycloak(), pat))
    assert "kc-totp-settings-form" in asked.text
    assert (await window.client.get("/")).status_code == 303, "not signed in by the password alone"
    secret, page = await set_up(window, asked)
    assert page.url.path == "/"
    assert "Pat" in page.text

    # From now on the password is half of it. A code counts once, so the next one is shown.
    other = browser()
    form = await followed(other, await other.show_password(await other.to_keycloak(), pat))
    wrong = await other.client.post(target(form, "kc-otp-login-form"), data={"otp": "000000"})
    assert "kc-otp-login-form" in wrong.text
    right = code(secret, time.time() + STEP_SECONDS)
    page = await followed(
        other, await other.client.post(target(wrong, "kc-otp-login-form"), data={"otp": right})
    )
    assert page.url.path == "/"
    assert page.status_code == 200
