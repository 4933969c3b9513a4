"""What holds for every request: pages of lists, ETags, repetition, limits, keys, tokens."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from sqlalchemy import select, update

from appliance.access.domain import Right
from appliance.database.identifiers import uuid7
from appliance.organizations.console_tables import ApiKey
from appliance.scheduling.tables import Order
from tests.console.api.conftest import ProgramMaker
from tests.integration.database.world import Data, Tenant

TRUNK = {"name": "PBX", "host": "pbx.example.com"}


async def test_every_row_is_on_one_page_of_a_list(data: Data, program: ProgramMaker, tenant: Tenant) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    async with data.work(tenant.organization_id) as uow:
        made = [
            Order(
                id=uuid7(),
                organization_id=tenant.organization_id,
                items=[],
                name=str(number),
                # Several of the same instant, as a bulk of inserts gives them.
                created_at=moment + timedelta(seconds=number // 7),
            )
            for number in range(50)
        ]
        uow.session.add_all(made)
    http = (await program(Right.BOOKINGS_READ)).http
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        answer = await http.get("/orders", params={"limit": 7} | ({"cursor": cursor} if cursor else {}))
        page = answer.json()
        assert len(page["items"]) <= 7
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        async with data.work(tenant.organization_id) as uow:  # what comes meanwhile shifts nothing
            uow.session.add(Order(organization_id=tenant.organization_id, items=[], name="later"))
    assert cursor is None
    assert max(Counter(seen).values()) == 1
    assert {str(order.id) for order in made} <= set(seen)


@pytest.mark.parametrize("cursor", ["x", "W10", "e30", "WyIyMDMwLTAxLTAxIiwgIngiXQ", "%00"])
async def test_a_cursor_that_nobody_gave_out_is_refused(program: ProgramMaker, cursor: str) -> None:
    http = (await program(Right.CALLS_READ, Right.AGENTS_READ)).http
    for path in ("/calls", "/agents"):
        answer = await http.get(path, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_an_unchanged_thing_is_not_sent_again(program: ProgramMaker) -> None:
    http = (await program()).http
    made = await http.post("/trunks", json=TRUNK)
    path, tag = f"/trunks/{made.json()['id']}", made.headers["etag"]
    again = await http.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    changed = await http.put(path, json=TRUNK | {"port": 5070}, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert (await http.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_of_two_who_change_the_same_thing_the_second_is_told(program: ProgramMaker) -> None:
    http = (await program()).http
    made = await http.post("/trunks", json=TRUNK)
    path, tag = f"/trunks/{made.json()['id']}", made.headers["etag"]
    assert (await http.put(path, json=TRUNK)).status_code == 428
    answers = await asyncio.gather(
        *(
            http.put(path, json=TRUNK | {"port": port}, headers={"If-Match": tag})
            for port in range(5070, 5078)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 7}
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert (await http.get(path)).json() == winner.json()
    assert (await http.delete(path, headers={"If-Match": tag})).status_code == 412
    assert (await http.delete(path, headers={"If-Match": winner.headers["etag"]})).status_code == 204


async def test_a_draft_saved_twice_from_the_same_version_is_told_to_the_second(
    program: ProgramMaker, tenant: Tenant
) -> None:
    http = (await program()).http
    path = f"/agents/{tenant.agent_id}/draft"
    found = await http.get(path)
    answers = await asyncio.gather(
        *(
            http.put(path, json={"snapshot": {"name": name}}, headers={"If-Match": found.headers["etag"]})
            for name in ("Ann", "Ben", "Eve")
        )
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 2}


async def test_a_repeated_request_is_carried_out_once(program: ProgramMaker) -> None:
    http = (await program()).http
    headers = {"Idempotency-Key": str(uuid7())}
    first = await http.post("/agents", json={"name": "Once"}, headers=headers)
    again = await http.post("/agents", json={"name": "Once"}, headers=headers)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert (again.headers["idempotency-replayed"], again.headers["etag"]) == ("true", first.headers["etag"])
    assert "idempotency-replayed" not in first.headers
    other = await http.post("/agents", json={"name": "Other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    names = [agent["name"] for agent in (await http.get("/agents")).json()["items"]]
    assert names.count("Once") == 1
    assert "Other" not in names


async def test_many_repetitions_at_once_are_carried_out_once(program: ProgramMaker) -> None:
    http = (await program()).http
    headers = {"Idempotency-Key": str(uuid7())}
    answers = await asyncio.gather(
        *(
            http.post(
                "/webhooks", json={"url": "https://example.com/", "events": ["call.ended"]}, headers=headers
            )
            for _ in range(6)
        )
    )
    carried_out = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["secret"] for answer in carried_out}) == 1
    assert len((await http.get("/webhooks")).json()["items"]) == 2  # with the one of the test's world


async def test_a_key_is_not_shared_between_programs(program: ProgramMaker) -> None:
    headers = {"Idempotency-Key": "the same"}
    first, second = await program(), await program()
    one = await first.http.post("/agents", json={"name": "Of the first"}, headers=headers)
    two = await second.http.post("/agents", json={"name": "Of the second"}, headers=headers)
    assert (one.status_code, two.status_code) == (201, 201)


async def test_a_refused_request_may_be_repeated(program: ProgramMaker) -> None:
    """An answer that says "not now" is not kept."""
    reader = await program(Right.AGENTS_READ)
    headers = {"Idempotency-Key": "later"}
    assert (await reader.http.post("/agents", json={"name": "No"}, headers=headers)).status_code == 403
    assert (await reader.http.post("/agents", json={"name": "No"}, headers=headers)).status_code == 403


async def test_who_asks_too_often_waits(program: ProgramMaker) -> None:
    """Also where a minute ends in between: the limit is met within the next."""
    http = (await program(Right.AGENTS_READ, per_minute=5)).http
    for _ in range(3):
        answers = [await http.get("/agents") for _ in range(7)]
        if answers[-1].status_code == 429:
            break
    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.json()["code"] == "at_capacity"
    assert int(refused.headers["retry-after"]) >= 1
    assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("5", "0")
    good = next(answer for answer in answers if answer.status_code == 200)
    assert int(good.headers["ratelimit-remaining"]) in range(5)


async def test_the_life_of_a_key(data: Data, program: ProgramMaker) -> None:
    http = (await program()).http
    made = (await http.post("/api-keys", json={"name": "Reporting", "scopes": ["agents:read"]})).json()
    key_id, secret = made["key"]["id"], made["secret"]
    prefix = made["key"]["prefix"]
    assert secret.startswith(f"tl_{prefix}_")
    told = (await http.get(f"/api-keys/{key_id}")).text + (await http.get("/api-keys")).text
    assert secret.rsplit("_", 1)[1] not in told
    assert secret.rsplit("_", 1)[1] not in (await http.get("/audit")).text
    mine = {"Authorization": f"Bearer {secret}"}
    assert (await http.get("/agents", headers=mine)).status_code == 200
    assert (await http.get("/calls", headers=mine)).status_code == 403
    assert (await http.get(f"/api-keys/{key_id}")).json()["last_used_at"] is not None
    assert (await http.delete(f"/api-keys/{key_id}")).status_code == 204
    assert (await http.get("/agents", headers=mine)).status_code == 401
    assert (await http.get(f"/api-keys/{key_id}")).json()["revoked_at"] is not None


async def test_a_key_ends_by_the_clock(data: Data, program: ProgramMaker) -> None:
    mine = await program(Right.AGENTS_READ)
    assert (await mine.http.get("/agents")).status_code == 200
    async with data.work(mine.organization_id) as uow:
        await uow.session.execute(
            update(ApiKey).where(ApiKey.id == mine.key.key.id).values(expires_at=datetime.now(UTC))
        )
    assert (await mine.http.get("/agents")).status_code == 401


async def test_nobody_gives_a_key_more_than_they_have(program: ProgramMaker) -> None:
    http = (await program(Right.KEYS_WRITE, Right.KEYS_READ)).http
    answer = await http.post("/api-keys", json={"name": "More", "scopes": ["agents:write"]})
    assert answer.status_code == 403
    assert "agents:write" in answer.json()["detail"]


async def test_only_the_hash_of_a_key_is_stored(data: Data, program: ProgramMaker) -> None:
    mine = await program(Right.AGENTS_READ)
    async with data.work(mine.organization_id) as uow:
        row = await uow.session.scalar(select(ApiKey).where(ApiKey.id == mine.key.key.id))
    assert row is not None
    assert mine.key.secret.rsplit("_", 1)[1].encode() not in row.secret_hash
    assert len(row.secret_hash) == 32


def _refused_tokens() -> dict[str, str]:
    """Tokens as an attacker would write them: Keycloak need not run for any of them to be refused."""
    claims = {"sub": "x", "aud": "api", "exp": 4_000_000_000, "iss": "http://127.0.0.1/realms/trunkline"}
    return {
        "none algorithm": jwt.encode(claims, key="", algorithm="none"),
        "a key of one's own": jwt.encode(claims, key="k" * 32, algorithm="HS256"),
        "not a token": "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
        "empty parts": "..",
        "a key that was never given out": "tl_abcdefghijkl_" + "A" * 40,
        "a key cut short": "tl_abcdefghijkl_A",
        "garbage": "\u00e9" * 20,
    }


@pytest.mark.parametrize("what", sorted(_refused_tokens()))
async def test_a_token_that_does_not_hold_is_refused(console_url: str, what: str) -> None:
    token = _refused_tokens()[what].encode()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        answer = await http.get(
            f"{console_url}/api/v1/agents", headers=[(b"Authorization", b"Bearer " + token)]
        )
    # 503: the sign-in's keys cannot be asked for, so that nothing is believed meanwhile.
    assert answer.status_code in {401, 503}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bearer_that_does_not_hold_is_not_helped_by_a_cookie(sign_in, tenant: Tenant) -> None:
    from appliance.access.domain import Role

    member = await sign_in(Role.ADMIN, organization_id=tenant.organization_id)
    answer = await member.client.get("/api/v1/agents", headers={"Authorization": "Bearer tl_x_y"})
    assert answer.status_code == 401
