"""Signing in at a real Keycloak, and out again on every way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from keycloak import KeycloakAdmin

from appliance.access.domain import Role
from provisioning.lite.box import Box
from tests.console.identity.conftest import Browser, Person

DEADLINE_SECONDS = 60.0


async def _until_signed_out(browser: Browser) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if (await browser.get("/")).status_code != 200:
                return
            await asyncio.sleep(0.2)


async def test_the_whole_way_in_and_out(
    person: Callable[..., Person], browser: Callable[[], Browser]
) -> None:
    pat, window = person(Role.ADMIN), browser()
    page = await window.sign_in(pat, "/?from=mail")
    assert page.status_code == 200
    assert page.url.query == b"from=mail"
    assert "Pat" in page.text

    answer = await window.post_form("/sign-out")
    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path.endswith("/protocol/openid-connect/logout")
    while answer.is_redirect:
        answer = await window.client.get(answer.headers["location"])
    assert answer.url.path == "/signed-out"
    # Neither the console's session is left nor Keycloak's: the next page asks for the password.
    form = await window.to_keycloak("/")
    assert "kc-form-login" in form.text


async def test_a_session_cookie_of_before_is_not_taken_over(
    person: Callable[..., Person], browser: Callable[[], Browser]
) -> None:
    window = browser()
    window.client.cookies.set("trunkline-session", "chosen-by-somebody-else", domain="127.0.0.1", path="/")
    await window.sign_in(person(Role.ADMIN))
    first = window.cookie("session")
    assert first != "chosen-by-somebody-else"
    # Signing in again makes a new secret, and the old one opens nothing.
    await window.client.get((await window.get("/sign-in")).headers["location"])
    async with httpx.AsyncClient(base_url=window.url, trust_env=False) as thief:
        answer = await window.to_keycloak("/sign-in")
        assert answer.status_code == 200
        assert window.cookie("session") != first
        assert (
            await thief.get("/", headers={"cookie": f"trunkline-session={first}", "accept": "text/html"})
        ).status_code == 303


async def test_a_logout_at_keycloak_ends_the_session_of_the_console(
    person: Callable[..., Person], browser: Callable[[], Browser], realm: KeycloakAdmin
) -> None:
    pat, one, other = person(Role.LISTENER), browser(), browser()
    await one.sign_in(pat)
    await other.sign_in(person(Role.LISTENER))
    realm.user_logout(pat.id)
    await _until_signed_out(one)
    assert (await other.get("/")).status_code == 200


async def test_the_way_to_keycloak_is_pkce_with_state_and_nonce(browser: Callable[[], Browser]) -> None:
    answer = await browser().get("/sign-in")
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert len(asked["state"][0]) >= 20
    assert len(asked["nonce"][0]) >= 20
    assert asked["redirect_uri"] == [f"{answer.url.scheme}://{answer.url.netloc.decode()}/sign-in/callback"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "error=invalid_request"),
        ({"code_challenge_method": "plain"}, "error=invalid_request"),
        ({"redirect_uri": "http://evil.example/"}, ""),
        ({"response_type": "token"}, "error=unauthorized_client"),
    ],
    ids=["without PKCE", "plain PKCE", "another address", "implicit"],
)
async def test_keycloak_refuses_a_weaker_way(
    browser: Callable[[], Browser], change: dict[str, str | None], expected: str
) -> None:
    window = browser()
    address = urlsplit((await window.get("/sign-in")).headers["location"])
    query: dict[str, str | None] = {key: value[0] for key, value in parse_qs(address.query).items()}
    wanted = {key: value for key, value in {**query, **change}.items() if value is not None}
    answer = await window.client.get(f"{address.scheme}://{address.netloc}{address.path}", params=wanted)
    if expected:
        assert answer.is_redirect
        assert expected in answer.headers["location"]
    else:
        assert answer.status_code == 400
    assert "kc-form-login" not in answer.text


async def test_a_sign_in_that_another_browser_began_signs_nobody_in(
    person: Callable[..., Person], browser: Callable[[], Browser]
) -> None:
    """Login CSRF: the victim is led to the callback of the attacker's own sign-in."""
    attacker, victim = browser(), browser()
    back = await attacker.show_password(await attacker.to_keycloak(), person(Role.ADMIN))
    answer = await victim.get(back.headers["location"])
    assert answer.status_code == 400
    assert victim.cookie("session") is None
    # And with a sign-in of its own under way:
    await victim.to_keycloak()
    answer = await victim.get(back.headers["location"])
    assert answer.status_code == 400
    assert victim.cookie("session") is None


async def test_a_code_counts_once(person: Callable[..., Person], browser: Callable[[], Browser]) -> None:
    window = browser()
    back = await window.show_password(await window.to_keycloak(), person(Role.ADMIN))
    kept = window.client.cookies.get("trunkline-sign-in")
    assert (await window.get(back.headers["location"])).status_code == 303
    assert kept is not None
    async with httpx.AsyncClient(base_url=window.url, trust_env=False) as thief:
        answer = await thief.get(
            back.headers["location"], headers={"cookie": f"trunkline-sign-in={kept}", "accept": "text/html"}
        )
        assert answer.status_code == 403
        assert "set-cookie" in answer.headers
        assert "trunkline-session" not in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/%0d%0aX: y"],
)
async def test_nobody_is_sent_elsewhere(
    person: Callable[..., Person], browser: Callable[[], Browser], target: str
) -> None:
    window = browser()
    form = await window.to_keycloak(str(httpx.URL("/sign-in", params={"next": target})))
    back = await window.show_password(form, person(Role.ADMIN))
    answer = await window.get(back.headers["location"])
    assert answer.status_code == 303
    parts = urlsplit(answer.headers["location"])
    assert (parts.scheme, parts.netloc) == ("", "")
    assert not answer.headers["location"].startswith(("//", "/\\"))


async def test_a_wrong_password_signs_nobody_in_and_guessing_is_stopped(
    person: Callable[..., Person], browser: Callable[[], Browser], realm: KeycloakAdmin
) -> None:
    pat, window = person(Role.ADMIN), browser()
    form = await window.to_keycloak()
    for _ in range(12):
        form = await window.show_password(form, pat, password="wrong")
        assert form.status_code == 200
        if realm.get_bruteforce_detection_status(pat.id)["disabled"]:
            break
    assert realm.get_bruteforce_detection_status(pat.id)["disabled"]
    answer = await window.show_password(form, pat)
    assert not answer.is_redirect
    assert window.cookie("session") is None


async def test_no_organization_and_no_role_gives_no_page(
    person: Callable[..., Person], browser: Callable[[], Browser]
) -> None:
    answer = await browser().sign_in(person())
    assert answer.status_code == 403
    assert "Traceback" not in answer.text


async def test_the_claim_becomes_roles(
    person: Callable[..., Person], browser: Callable[[], Browser], keycloak_box: Box
) -> None:
    window = browser()
    page = await window.sign_in(person(Role.AUDITOR, operator=True))
    assert page.status_code == 200
    assert "Riverside" in page.text
