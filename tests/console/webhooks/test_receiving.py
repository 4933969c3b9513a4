"""What other programs send: taken once, from those who show the secret, and routed by the rules."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import func, select

from appliance.webhooks.inbound_domain import MAX_BODY_BYTES
from appliance.webhooks.tables import InboundHook, InboundRequest
from tests.console.api.conftest import ProgramMaker
from tests.console.webhooks.senders import Sender, make, requests_of
from tests.integration.database.world import Data, Tenant


async def test_a_signed_request_is_filed_and_kept_without_its_secrets(
    program: ProgramMaker, console_url: str
) -> None:
    mine = await program()
    sender = await make(mine, console_url)
    body = json.dumps({"subject": "Order 7", "phone": "+49"}).encode()
    headers = sender.signed(body, "d-1") | {"Authorization": "Bearer hidden", "X-Event": "order"}
    answer = await sender.post(body, headers | {"X-Api-Key": "hidden", "Cookie": "hidden=1"})
    assert (answer.status_code, answer.json()["state"]) == (202, "filed")
    [listed] = await requests_of(mine, sender)
    assert (listed["title"], listed["rule"], listed["delivery_id"]) == ("Order 7", "The rest", "d-1")
    detail = (await mine.http.get(f"/hook-requests/{listed['id']}")).json()
    assert detail["body"] == json.loads(body)
    assert detail["headers"]["x-event"] == "order"
    assert "hidden" not in json.dumps(detail)
    assert "webhook-signature" not in detail["headers"]


async def test_the_same_delivery_is_taken_once_also_at_the_same_time(
    data: Data, program: ProgramMaker, console_url: str, tenant: Tenant
) -> None:
    sender = await make(await program(), console_url)
    answers = await asyncio.gather(
        *(sender.send({"subject": str(place)}, delivery="same") for place in range(5))
    )
    assert [answer.status_code for answer in answers] == [202] * 5
    assert len({answer.json()["request_id"] for answer in answers}) == 1
    assert sorted(answer.json()["repeated"] for answer in answers) == [False, True, True, True, True]
    async with data.work(tenant.organization_id) as uow:
        kept = select(func.count()).where(InboundRequest.delivery_id == "same")
        assert await uow.session.scalar(kept) == 1


async def test_a_wrong_or_an_old_signature_is_refused_and_written_down(
    program: ProgramMaker, console_url: str
) -> None:
    mine = await program()
    sender = await make(mine, console_url)
    body = b'{"subject": "x"}'
    good = sender.signed(body, "d")
    old = sender.signed(body, "d", datetime.now(UTC) - timedelta(minutes=6))
    early = sender.signed(body, "d", datetime.now(UTC) + timedelta(minutes=6))
    wrong: list[tuple[bytes, dict[str, str]]] = [
        (body + b" ", good),
        (body, {}),
        (body, good | {"webhook-id": "other"}),
        (body, good | {"webhook-signature": "v1,AAAA"}),
        (body, good | {"webhook-signature": "nonsense"}),
        (body, good | {"webhook-timestamp": "soon"}),
        (b"\xff\xfe", good),
        (body, old),
        (body, early),
    ]
    for content, headers in wrong:
        answer = await sender.post(content, headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated"), headers
        assert answer.headers["content-type"] == "application/problem+json"
    kept = await requests_of(mine, sender)
    assert [each["state"] for each in kept] == ["refused"] * len(wrong)
    assert "too new" in kept[0]["detail"]
    assert "too old" in kept[1]["detail"]
    detail = (await mine.http.get(f"/hook-requests/{kept[0]['id']}")).json()
    assert detail["body"] is None
    again = await mine.http.post(f"/hook-requests/{kept[0]['id']}/replay")
    assert again.status_code == 409
    assert (await sender.post(body, good)).status_code == 202


async def test_bearer_and_basic(data: Data, program: ProgramMaker, console_url: str, tenant: Tenant) -> None:
    mine = await program()
    bearer = await make(mine, console_url, auth="bearer")
    basic = await make(mine, console_url, auth="basic", user="crm")
    token, password = bearer.hook["secret"], basic.hook["secret"]

    def with_basic(user: str, secret: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}

    assert (await bearer.post(b"{}", {"Authorization": f"Bearer {token}"})).status_code == 202
    assert (await basic.post(b"{}", with_basic("crm", password))).status_code == 202
    for sender, headers in (
        (bearer, {"Authorization": "Bearer wrong"}),
        (bearer, {"Authorization": f"Bearer {password}"}),
        (bearer, {"Authorization": token}),
        (bearer, {}),
        (basic, with_basic("crm", "wrong")),
        (basic, with_basic("other", password)),
        (basic, {"Authorization": "Basic %%%"}),
        (basic, {"Authorization": f"Bearer {password}"}),
    ):
        assert (await sender.post(b"{}", headers)).status_code == 401, headers
    async with data.work(tenant.organization_id) as uow:
        for row in await uow.session.scalars(select(InboundHook).where(InboundHook.name == "Customers")):
            assert row.secret is None
            assert row.secret_hash is not None
            assert token.encode() not in row.secret_hash


async def test_a_new_secret_ends_the_old_one(program: ProgramMaker, console_url: str) -> None:
    mine = await program()
    sender = await make(mine, console_url)
    renewed = await mine.http.post(f"/hooks/{sender.hook['hook']['id']}/secret")
    assert renewed.status_code == 200
    assert (await sender.send({})).status_code == 401
    assert (await Sender(console_url, renewed.json()).send({})).status_code == 202
    shown = (await mine.http.get(f"/hooks/{sender.hook['hook']['id']}")).text
    assert renewed.json()["secret"] not in shown


async def test_what_cannot_be_read_is_refused(program: ProgramMaker, console_url: str) -> None:
    mine = await program()
    sender = await make(mine, console_url, auth="bearer")
    known = {"Authorization": f"Bearer {sender.hook['secret']}"}
    for body in (b"", b"{", b"[1,", b'{"a": NaN}', b"\xff", b"[" * 5000, b"1" * 5000, b'"\\ud800"'):
        answer = await sender.post(body, known)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_json"), body[:20]
    large = b'"' + b"x" * MAX_BODY_BYTES + b'"'
    answer = await sender.post(large, known)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    kept = await requests_of(mine, sender)
    assert {each["state"] for each in kept} == {"refused"}
    assert "larger" in kept[0]["detail"]
    fits = b'"' + b"x" * (MAX_BODY_BYTES - 2) + b'"'
    assert (await sender.post(fits, known)).status_code == 202


async def test_a_body_of_unknown_length_is_cut_off_too(program: ProgramMaker, console_url: str) -> None:
    sender = await make(await program(), console_url, auth="bearer")

    async def endless():
        for _ in range(64):
            yield b"x" * 65536

    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        headers = {"Authorization": f"Bearer {sender.hook['secret']}"}
        try:
            answer = await http.post(sender.url, content=endless(), headers=headers)
        except httpx.HTTPError:
            return  # the server may close before everything is sent
    assert answer.status_code == 413


async def test_a_path_that_is_off_unknown_or_deleted_is_not_there(
    program: ProgramMaker, console_url: str
) -> None:
    mine = await program()
    sender = await make(mine, console_url)
    hook = sender.hook["hook"]
    settings = {"name": "Customers", "enabled": False}
    changed = await mine.http.put(f"/hooks/{hook['id']}", json=settings, headers={"If-Match": "*"})
    assert changed.status_code == 200
    off = await sender.send({})
    async with httpx.AsyncClient(base_url=console_url, trust_env=False, timeout=30) as http:
        unknown = await http.post("/hooks/nobody-knows-it", json={})
        other_method = await http.get(hook["path"], headers={"accept": "application/json"})
    assert off.status_code == unknown.status_code == 404
    assert off.json() == unknown.json()
    assert other_method.status_code == 405
    deleted = await mine.http.delete(f"/hooks/{hook['id']}", headers={"If-Match": "*"})
    assert deleted.status_code == 204
    assert (await sender.send({})).json() == unknown.json()


async def test_too_many_requests_are_told_to_wait(program: ProgramMaker, console_url: str) -> None:
    mine = await program()
    sender = await make(mine, console_url, requests_per_minute=2)
    answers = [await sender.send({"subject": str(place)}) for place in range(6)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 2  # at worst the minute ended in between
    assert int(refused[0].headers["retry-after"]) >= 1
    assert {answer.status_code for answer in answers} == {202, 429}


async def test_a_flood_of_wrong_requests_does_not_fill_the_disk(
    data: Data, program: ProgramMaker, console_url: str, tenant: Tenant
) -> None:
    sender = await make(await program(), console_url)
    answers = [await sender.post(b"{}") for _ in range(80)]
    assert {answer.status_code for answer in answers} == {401, 429}
    async with data.work(tenant.organization_id) as uow:
        kept = select(func.count()).where(InboundRequest.state == "refused")
        assert (await uow.session.scalar(kept) or 0) <= 60
    assert (await sender.send({})).status_code == 202, "who shows the secret is not kept out by it"
