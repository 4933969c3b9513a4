"""Who may do what: every endpoint with every wrong token."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from appliance.calls.tables import Turn as TurnRow
from appliance.calls.tokens import AUDIENCE
from appliance.clients.tool_api import ToolApiClient
from tests.integration.tool_api.world import World

NOW = "2026-11-21T12:00:00Z"
UNKNOWN = UUID("00000000-0000-7000-8000-000000000000")


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    token: str
    body: dict[str, Any] | None = None

    def at(self, call_id: UUID) -> str:
        return self.path.replace("{call_id}", str(call_id))


ADMIT = {
    "sip_call_id": "1",
    "called": "1",
    "caller": "1",
    "trunk_id": str(UNKNOWN),
    "gateway_channel": "1",
}
TURN = {"index": 0, "started_at": NOW, "caller_text": "foreign"}
FINISH = {"outcome": "completed", "ended_by": "caller"}
SERVICE = [
    Endpoint("POST", "/internal/calls/admit", "service", ADMIT),
    Endpoint(
        "POST",
        "/internal/calls/outbound",
        "service",
        {"organization_id": str(UNKNOWN), "agent_id": str(UNKNOWN), "to": "1"},
    ),
    Endpoint("POST", "/internal/calls/{call_id}/progress", "service", {"status": "ringing", "at": NOW}),
    Endpoint("POST", "/internal/calls/{call_id}/ended", "service", {"at": NOW, "hangup_party": "caller"}),
    Endpoint("POST", "/internal/calls/{call_id}/redispatch", "service"),
    Endpoint("POST", f"/internal/recordings/{UNKNOWN}/sealed", "service", {"state": "failed"}),
    Endpoint("GET", "/internal/gateway", "service"),
]
CALL = [
    Endpoint("GET", "/internal/calls/{call_id}/context", "call"),
    Endpoint("POST", "/internal/calls/{call_id}/turns", "call", TURN),
    Endpoint("POST", "/internal/calls/{call_id}/recording", "call", {"attempt": 1}),
]
BOTH = [Endpoint("POST", "/internal/calls/{call_id}/finish", "both", FINISH)]
TOOL = [Endpoint("POST", "/internal/voice-tools/end_call", "call", {"tool_call_id": "1", "arguments": {}})]


def named(endpoints: list[Endpoint]) -> Any:
    return pytest.mark.parametrize("endpoint", endpoints, ids=lambda each: f"{each.method} {each.path}")


async def ask(
    http: httpx.AsyncClient, endpoint: Endpoint, call_id: UUID, token: str | None
) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = await http.request(endpoint.method, endpoint.at(call_id), json=endpoint.body, headers=headers)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["type"] == "about:blank"
        assert {"title", "detail", "code"} <= set(problem)
    return answer


def unsigned(claims: dict[str, Any]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none", "typ": "JWT"}, claims)
    ]
    return ".".join([*parts, ""])


def bad_tokens(world: World, call_id: UUID) -> dict[str, str]:
    key = world.box.settings.tool_api.token_key.reveal()
    now = datetime.now(UTC)
    claims: dict[str, Any] = {
        "sub": str(call_id),
        "org": str(world.organization_id),
        "aud": AUDIENCE,
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(hours=1)).timestamp()),
        "jti": uuid4().hex,
    }
    return {
        "nonsense": "nonsense",
        "long": "x" * 6000,
        "unsigned": unsigned(claims),
        "other key": jwt.encode(claims, "another key of the same length....", algorithm="HS256"),
        "other audience": jwt.encode(claims | {"aud": "trunkline-console"}, key, algorithm="HS256"),
        "other algorithm": jwt.encode(claims, key.ljust(64, "0"), algorithm="HS512"),
        "expired": world.token(call_id, now=now - timedelta(hours=5)),
        "without expiry": jwt.encode(
            {name: value for name, value in claims.items() if name != "exp"}, key, algorithm="HS256"
        ),
    }


@named(SERVICE + CALL + BOTH + TOOL)
async def test_nobody_comes_in_without_a_good_token(
    http: httpx.AsyncClient, service: ToolApiClient, own: World, endpoint: Endpoint
) -> None:
    call_id = (await service.admit(own.request())).call_id
    assert (await ask(http, endpoint, call_id, None)).status_code == 401
    for name, token in bad_tokens(own, call_id).items():
        answer = await ask(http, endpoint, call_id, token)
        assert answer.status_code == 401, name
        assert answer.headers["www-authenticate"] == "Bearer"
        assert token not in answer.text
    row = own.call(call_id)
    assert (row.status, row.attempt, row.finished_at) == ("admitted", 1, None)


@named(SERVICE)
async def test_a_worker_may_not_do_what_the_bridge_may(
    http: httpx.AsyncClient, service: ToolApiClient, own: World, endpoint: Endpoint
) -> None:
    call_id = (await service.admit(own.request())).call_id
    answer = await ask(http, endpoint, call_id, own.token(call_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "service_only")
    assert own.call(call_id).status == "admitted"


@named(CALL + TOOL)
async def test_the_bridge_may_not_do_what_a_worker_may(
    http: httpx.AsyncClient, service: ToolApiClient, own: World, endpoint: Endpoint
) -> None:
    call_id = (await service.admit(own.request())).call_id
    token = own.box.settings.tool_api.service_token.reveal()
    assert (await ask(http, endpoint, call_id, token)).status_code == 403


@named(CALL + BOTH)
async def test_a_call_token_is_good_for_its_own_call_alone(
    http: httpx.AsyncClient, service: ToolApiClient, own: World, other: World, endpoint: Endpoint
) -> None:
    call_id = (await service.admit(own.request())).call_id
    sister = (await service.admit(own.request())).call_id
    foreign = (await service.admit(other.request())).call_id
    assert (await ask(http, endpoint, call_id, own.token(call_id))).status_code in {200, 204}
    for wrong in (own.token(sister), other.token(foreign)):
        answer = await ask(http, endpoint, call_id, wrong)
        assert (answer.status_code, answer.json()["code"]) == (403, "other_call")
    # A token that names the call and another organization: row-level security finds nothing.
    assert (await ask(http, endpoint, call_id, other.token(call_id))).status_code == 404
    assert len(own.rows(TurnRow, call_id)) <= 1
    assert not other.rows(TurnRow, foreign)


@named([each for each in SERVICE if "call_id" in each.path] + BOTH)
async def test_an_unknown_call_is_not_found(http: httpx.AsyncClient, own: World, endpoint: Endpoint) -> None:
    token = own.box.settings.tool_api.service_token.reveal()
    assert (await ask(http, endpoint, uuid4(), token)).status_code == 404


async def test_a_tool_works_in_the_tokens_own_organization(
    service: ToolApiClient, own: World, other: World
) -> None:
    call_id = (await service.admit(own.request())).call_id
    settings = own.box.settings.tool_api
    async with ToolApiClient.for_call(settings, other.token(call_id), timeout_seconds=60) as stranger:
        with pytest.raises(Exception, match="does not exist"):
            await stranger.voice_tool("log_note", "1", {"text": "hello"})


async def test_health_asks_for_no_token(http: httpx.AsyncClient, own: World) -> None:
    for path in ("/health/live", "/health/ready"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["ready"]) == (200, True)


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/internal", "/internal/calls/x/context"])
async def test_there_is_nothing_else(http: httpx.AsyncClient, own: World, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code in {401, 404, 422}
    assert answer.headers["content-type"] == "application/problem+json"
