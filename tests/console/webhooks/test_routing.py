"""Where the rules lead what other programs send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from appliance.access.domain import Right
from appliance.audit.tables import AuditEntry
from tests.console.api.conftest import ProgramMaker
from tests.console.webhooks.senders import CALL_RULE, FILE_RULE, MISSED, make, requests_of
from tests.integration.database.world import Data, Tenant


async def test_the_first_rule_that_fits_decides(
    program: ProgramMaker, console_url: str, tenant: Tenant
) -> None:
    mine = await program()
    call = {**CALL_RULE, "agent_id": str(tenant.agent_id)}
    by_header = {"name": "By header", "when": "headers.\"x-kind\" == 'note'", "action": "file"}
    picky = {"name": "Picky", "when": "contains(body.tags, 'urgent')", "action": "file"}
    sender = await make(mine, console_url, rules=[picky, by_header, call])
    body = json.dumps(MISSED).encode()
    assert (await sender.post(body, sender.signed(body, "1") | {"X-Kind": "note"})).json()["state"] == "filed"
    assert (await sender.send(MISSED | {"tags": ["urgent"]})).json()["state"] == "filed"
    assert (await sender.send({"event": "other"})).json()["state"] == "unmatched"
    no_number = await sender.send({"event": "appointment.missed"})
    assert (no_number.json()["state"], no_number.json()["detail"]) == (
        "failed",
        "The request has no number at body.customer.phone.",
    )
    words = await sender.send({"event": "appointment.missed", "customer": {"phone": "call me"}})
    assert words.json()["state"] == "failed"
    kept = await requests_of(mine, sender)
    assert [each["rule"] for each in kept] == ["Missed", "Missed", None, "Picky", "By header"]
    tried = await mine.http.post(f"/hooks/{sender.hook['hook']['id']}/try", json={"body": MISSED})
    assert (tried.json()["state"], tried.json()["to"]) == ("called", "+4930555010")
    assert [each["fits"] for each in tried.json()["rules"]] == [False, False, True]
    assert tried.json()["rules"][0]["problem"]
    assert len(await requests_of(mine, sender)) == len(kept), "trying keeps nothing"


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "x", "when": "body."},
        {"name": "x", "when": "join(',', body)"},
        {"name": "x", "when": "[@,@][]"},
        {"name": "x", "action": "call", "to": "body.phone"},
        {"name": "", "action": "file"},
        {"name": "x", "action": "explode"},
    ],
)
async def test_a_rule_that_cannot_be_meant_is_refused(program: ProgramMaker, rule: dict[str, Any]) -> None:
    mine = await program()
    answer = await mine.http.post("/hooks", json={"name": "x", "rules": [rule]})
    assert answer.status_code == 422


async def test_nobody_lets_agents_call_without_the_right_to(
    program: ProgramMaker, tenant: Tenant, other: Tenant
) -> None:
    rule = {**CALL_RULE, "agent_id": str(tenant.agent_id)}
    lacking = await program(Right.WEBHOOKS_READ, Right.WEBHOOKS_WRITE)
    answer = await lacking.http.post("/hooks", json={"name": "x", "rules": [rule]})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    mine = await program()
    theirs = {**rule, "agent_id": str(other.agent_id)}
    assert (await mine.http.post("/hooks", json={"name": "x", "rules": [theirs]})).status_code == 404
    number = {**rule, "number_id": str(other.number_id)}
    assert (await mine.http.post("/hooks", json={"name": "x", "rules": [number]})).status_code == 404


async def test_a_request_is_taken_once_more_by_the_rules_of_then(
    data: Data, program: ProgramMaker, console_url: str, tenant: Tenant
) -> None:
    mine = await program()
    sender = await make(mine, console_url, rules=[])
    first = (await sender.send({"subject": "Late"}, delivery="1")).json()
    assert first["state"] == "unmatched"
    hook = sender.hook["hook"]["id"]
    read = await mine.http.get(f"/hooks/{hook}")
    settings = {"name": "Customers", "rules": [FILE_RULE]}
    tag = {"If-Match": read.headers["etag"]}
    assert (await mine.http.put(f"/hooks/{hook}", json=settings, headers=tag)).status_code == 200
    assert (await mine.http.put(f"/hooks/{hook}", json=settings, headers=tag)).status_code == 412
    again = await mine.http.post(f"/hook-requests/{first['request_id']}/replay")
    assert (again.status_code, again.json()["state"], again.json()["title"]) == (202, "filed", "Late")
    assert again.json()["replay_of"] == first["request_id"]
    async with data.work(tenant.organization_id) as uow:
        actions = list(
            await uow.session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("hooks.")))
        )
    assert sorted(actions) == ["hooks.changed", "hooks.created", "hooks.replayed"]


async def test_the_log_is_paged_and_filtered(program: ProgramMaker, console_url: str) -> None:
    mine = await program()
    sender = await make(mine, console_url, rules=[{**FILE_RULE, "when": "body.subject"}])
    for place in range(5):
        await sender.send({"subject": f"no. {place}"} if place % 2 == 0 else {})
    hook = sender.hook["hook"]["id"]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await mine.http.get(f"/hooks/{hook}/requests?limit=2{cursor}")).json()
        seen += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 5
    filed = await requests_of(mine, sender, "?state=filed")
    assert [each["title"] for each in filed] == ["no. 4", "no. 2", "no. 0"]
