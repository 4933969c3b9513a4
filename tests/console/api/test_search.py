"""Calls are found by words, numbers and facts, and by nobody else's organization."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from appliance.access.domain import Right
from appliance.calls import report
from appliance.calls.domain import Finish
from appliance.calls.tables import Call
from appliance.database.identifiers import uuid7
from tests.console.api.conftest import ProgramMaker
from tests.integration.database.world import Data, Tenant

SCRIPT = '<script>alert("zanzibar")</script>'


async def report_words(data: Data, tenant: Tenant, *texts: str) -> None:
    """The worker's report of the tenant's call, answered after 1234 ms."""
    now = datetime.now(UTC)
    finish = Finish.model_validate(
        {
            "outcome": "booked",
            "ended_by": "caller",
            "segments": [
                {"speaker": "caller", "starts_ms": index, "ends_ms": index + 1, "text": text}
                for index, text in enumerate(texts)
            ],
            "turns": [{"index": 1, "started_at": now.isoformat(), "stamps": {"first_audio_out": 1234.0}}],
        }
    )
    async with data.work(tenant.organization_id) as uow:
        call = await uow.session.get_one(Call, tenant.call_id)
        call.caller = "+4915112345678"
        await report.finish(uow, tenant.call_id, finish, now)


async def found(http: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await http.get("/calls", params=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ({"text": "zanzibar"}, True),
        ({"text": "ZANZIBAR tuesday"}, True),
        ({"text": '"next tuesday"'}, True),
        ({"text": '"tuesday next"'}, False),
        ({"text": "zanzibar -tuesday"}, False),
        ({"text": "& | ! ' \" \\ :*"}, None),
        ({"number": "345678"}, True),
        ({"number": "0151 123"}, False),
        ({"number": "+49 151 123"}, True),
        ({"number": "%"}, False),
        ({"number": "_"}, False),
        ({"outcome": "booked"}, True),
        ({"outcome": "failed"}, False),
        ({"min_latency_ms": "1200"}, True),
        ({"min_latency_ms": "1300"}, False),
        ({"live": "true"}, True),
        ({"live": "false"}, False),
        ({"text": "zanzibar", "outcome": "failed"}, False),
        ({"number": "345678", "min_latency_ms": "1300"}, False),
    ],
)
async def test_a_call_is_found_by_what_is_known_of_it(
    data: Data, program: ProgramMaker, tenant: Tenant, query: dict[str, str], there: bool | None
) -> None:
    await report_words(data, tenant, "I would like to fly to Zanzibar", "next Tuesday")
    ids = await found((await program()).http, **query)
    assert ids == [str(tenant.call_id)] if there else there is None or ids == []


async def test_by_agent_and_by_time(data: Data, program: ProgramMaker, tenant: Tenant) -> None:
    http = (await program()).http
    now = datetime.now(UTC)
    assert await found(http, agent_id=str(tenant.agent_id)) == [str(tenant.call_id)]
    assert await found(http, agent_id=str(uuid7())) == []
    assert await found(http, since=(now - timedelta(hours=1)).isoformat()) == [str(tenant.call_id)]
    assert await found(http, until=(now - timedelta(hours=1)).isoformat()) == []
    assert (await http.get("/calls", params={"since": "2030-01-01T00:00:00"})).status_code == 422


async def test_the_searches_past_row_level_security_keep_to_their_organization(
    data: Data, program: ProgramMaker, tenant: Tenant, other: Tenant
) -> None:
    await report_words(data, other, "only there: kilimanjaro")
    mine, theirs = await program(), await program(organization_id=other.organization_id)
    for query in ({"text": "kilimanjaro"}, {"number": "12345678"}):
        assert await found(theirs.http, **query) == [str(other.call_id)]
        assert await found(mine.http, **query) == []


async def test_many_calls_with_the_word_come_page_by_page(
    data: Data, program: ProgramMaker, tenant: Tenant
) -> None:
    """More than one question to the index, since most of what it finds is left out by the other condition."""
    await report_words(data, tenant, "zanzibar")
    http = (await program()).http
    async with data.work(tenant.organization_id) as uow:
        first = await uow.session.get_one(Call, tenant.call_id)
        others = [
            Call(
                id=uuid7(),
                organization_id=tenant.organization_id,
                direction="inbound",
                room_name=f"call-{uuid7()}",
                status="ended",
                caller=first.caller,
                outcome="booked" if number % 3 == 0 else "failed",
                created_at=first.created_at - timedelta(seconds=number),
            )
            for number in range(1, 31)
        ]
        uow.session.add_all(others)
    wanted = [str(first.id)] + [str(call.id) for call in others if call.outcome == "booked"]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(60):
        query = {"number": "12345678", "outcome": "booked", "limit": "2"} | (
            {"cursor": cursor} if cursor else {}
        )
        page = (await http.get("/calls", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert cursor is None
    assert seen == wanted


async def test_words_are_for_those_who_may_read_them(
    data: Data, program: ProgramMaker, tenant: Tenant
) -> None:
    await report_words(data, tenant, SCRIPT)
    plain = (await program(Right.CALLS_READ)).http
    assert (await plain.get("/calls", params={"text": "zanzibar"})).status_code == 403
    shown = await plain.get(f"/calls/{tenant.call_id}")
    assert "zanzibar" not in shown.text
    assert (shown.json()["transcript_shown"], shown.json()["segments"], shown.json()["notes"]) == (
        False,
        [],
        [],
    )
    reader = (await program(Right.CALLS_READ, Right.TRANSCRIPTS_READ)).http
    shown = await reader.get(f"/calls/{tenant.call_id}")
    assert SCRIPT in [segment["text"] for segment in shown.json()["segments"]]
    assert shown.headers["content-type"].startswith("application/json")


async def test_the_export_has_every_call_and_no_formula(
    data: Data, program: ProgramMaker, tenant: Tenant
) -> None:
    http = (await program()).http
    async with data.work(tenant.organization_id) as uow:
        call = await uow.session.get_one(Call, tenant.call_id)
        call.caller = '=HYPERLINK("https://example.com")'
        call.called = "+4930555010"
    answer = await http.get("/calls/export")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert len(lines) == 2
    assert "'=HYPERLINK" in lines[1]
    assert ",+4930555010," in lines[1]
    entries = (await http.get("/audit", params={"action": "calls.exported"})).json()["items"]
    assert len(entries) == 1
