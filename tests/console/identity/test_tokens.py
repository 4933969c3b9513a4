"""Tokens that must not be believed: at the API, at the back channel, in a session that is not fresh."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from keycloak import KeycloakAdmin

from appliance.access.domain import Role
from appliance.clients.identity import LOGOUT_EVENT, IdentityProvider
from appliance.errors import NotAllowed
from provisioning.lite.box import Box
from tests.console.conftest import SignIn
from tests.console.identity.conftest import PASSWORD, Person

CLIENT = "test-program"


@pytest.fixture(scope="session")
def program(realm: KeycloakAdmin) -> str:
    """A client that gets a member's token by password: for tests alone."""
    client_id = realm.get_client_id(CLIENT)
    if client_id is None:
        client_id = realm.create_client(
            {
                "clientId": CLIENT,
                "publicClient": True,
                "directAccessGrantsEnabled": True,
                "standardFlowEnabled": False,
                "protocol": "openid-connect",
            }
        )
    return CLIENT


async def _token(box: Box, person: Person, scope: str) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.post(
            f"{box.settings.identity.issuer}/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": CLIENT,
                "username": person.user,
                "password": PASSWORD,
                "scope": scope,
            },
        )
    answer.raise_for_status()
    return answer.json()["access_token"]


@pytest.fixture
async def provider(keycloak_box: Box) -> AsyncGenerator[IdentityProvider]:
    made = IdentityProvider(keycloak_box.settings.identity, console_url="http://console")
    yield made
    await made.close()


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", "accept": "application/json"}


async def test_a_token_for_the_api_is_believed_and_any_other_is_not(
    keycloak_box: Box, program: str, person: Callable[..., Person], anonymous: httpx.AsyncClient
) -> None:
    pat = person(Role.AUDITOR)
    good = await _token(keycloak_box, pat, "openid trunkline-api")
    assert (await anonymous.get("/audit", headers=_bearer(good))).status_code == 200
    assert (await anonymous.get("/members/new", headers=_bearer(good))).status_code == 403
    wrong_audience = await _token(keycloak_box, pat, "openid")
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    none = ".".join((_part({"alg": "none", "typ": "JWT"}), payload, ""))
    more = ".".join((header, _part({**claims, "organizations": {str(uuid4()): ["admin"]}}), signature))
    secret = keycloak_box.settings.identity.client_secret.reveal()
    symmetric = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))
    foreign = jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048))
    for bad in (wrong_audience, none, more, symmetric, foreign, "x", "a.b.c", good[:-4] + "AAAA"):
        assert (await anonymous.get("/audit", headers=_bearer(bad))).status_code == 401


async def test_a_bad_token_is_not_helped_by_a_good_cookie(sign_in: SignIn, keycloak_box: Box) -> None:
    admin = await sign_in(Role.ADMIN)
    assert (await admin.client.get("/audit", headers=_bearer("a.b.c"))).status_code == 401


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


async def test_claims_that_do_not_hold(keycloak_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key of the test in the place of the realm's, so that each claim can be wrong by itself."""
    settings = keycloak_box.settings.identity
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    provider = IdentityProvider(settings, console_url="http://console")
    document = {"keys": [key.as_dict(private=False)]}

    def certs(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=document)

    provider._http = httpx.AsyncClient(transport=httpx.MockTransport(certs))
    now = int(time.time())
    good: dict[str, Any] = {
        "iss": settings.issuer,
        "aud": [settings.api_audience],
        "sub": "s",
        "typ": "Bearer",
        "iat": now,
        "exp": now + 60,
    }

    def signed(claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)

    assert await provider.read_access_token(signed(good)) is not None
    for change in (
        {"exp": now - 60},
        {"exp": None},
        {"nbf": now + 600},
        {"iss": "http://evil.example/realms/trunkline"},
        {"aud": ["console"]},
        {"aud": None},
        {"typ": "ID"},
        {"sub": None},
    ):
        claims = {name: value for name, value in {**good, **change}.items() if value is not None}
        assert await provider.read_access_token(signed(claims)) is None, change

    logout = {
        **{name: good[name] for name in ("iss", "iat", "exp")},
        "aud": settings.client_id,
        "jti": "j",
        "sid": "one",
        "events": {LOGOUT_EVENT: {}},
    }
    assert (await provider.read_logout_token(signed(logout)))["sid"] == "one"
    for change in (
        {"events": {}},
        {"nonce": "n"},
        {"iat": now - 3600},
        {"aud": "api"},
        {"sid": None},
        {"jti": None},
    ):
        claims = {name: value for name, value in {**logout, **change}.items() if value is not None}
        with pytest.raises(NotAllowed):
            await provider.read_logout_token(signed(claims))
    await provider.close()


async def test_the_back_channel_believes_keycloak_alone(
    anonymous: httpx.AsyncClient, sign_in: SignIn, keycloak_box: Box
) -> None:
    member = await sign_in(Role.ADMIN)
    claims = {
        "iss": keycloak_box.settings.identity.issuer,
        "aud": "console",
        "iat": int(time.time()),
        "exp": int(time.time()) + 60,
        "jti": "x",
        "sub": member.member.id,
        "events": {LOGOUT_EVENT: {}},
    }
    forged = jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048))
    for token in (forged, "x", ".".join((_part({"alg": "none"}), _part(claims), ""))):
        answer = await anonymous.post("/sign-in/backchannel", data={"logout_token": token})
        assert answer.status_code == 400
    assert (await anonymous.post("/sign-in/backchannel")).status_code == 400
    assert (await member.client.get("/")).status_code == 200


async def test_a_dangerous_act_wants_a_fresh_password(sign_in: SignIn) -> None:
    stale = await sign_in(Role.ADMIN, authenticated_at=datetime.now(UTC) - timedelta(minutes=6))
    answer = await stale.post_form("/members", {"email": "x"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")
    assert "again=1" in answer.headers["location"]
    script = await stale.client.post("/members", headers=stale.script_headers())
    assert script.status_code == 403
    assert script.json()["code"] == "password_needed"
