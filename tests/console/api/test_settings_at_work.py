"""What an organization sets is done: retention, the warning of the quota, functions of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from appliance.agents.tables import AgentVersion
from appliance.calls.context import context_of_call
from appliance.calls.domain import ToolRequest
from appliance.calls.tables import Call, TranscriptSegment
from appliance.clients.outbound_http import OutboundHttp
from appliance.database.identifiers import uuid7
from appliance.organizations.retention import enforce
from appliance.recordings.tables import Recording
from appliance.scheduling.tables import Booking
from appliance.tools.functions import FunctionCaller
from appliance.tools.service import run_tool
from appliance.usage.warning import warn_when_near
from appliance.webhooks.tables import WebhookDelivery
from tests.console.api.conftest import Program, ProgramMaker
from tests.console.api.receiver import receiver
from tests.integration.database.world import Data, Tenant


async def set_up(program: Program, **settings: object) -> None:
    wanted = {"name": "Test", "timezone": "UTC", **settings}
    answer = await program.http.put("/organization", json=wanted, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


async def test_what_is_older_than_wanted_is_deleted_and_the_rest_stays(
    data: Data, program: ProgramMaker, tenant: Tenant
) -> None:
    now = datetime.now(UTC)
    await set_up(await program(), retention={"recordings_days": 10, "calls_days": 30})
    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(
            update(Recording).values(wrapped_data_key=b"x", created_at=now - timedelta(days=9))
        )
        await uow.session.execute(update(Call).values(ended_at=now - timedelta(days=29)))
    async with data.work(tenant.organization_id) as uow:
        assert await enforce(uow, now) == (0, 0)
        assert await enforce(uow, now + timedelta(days=2)) == (1, 1)
    async with data.work(tenant.organization_id) as uow:
        for table, left in ((Call, 0), (Recording, 0), (TranscriptSegment, 0), (Booking, 1)):
            assert await uow.session.scalar(select(func.count()).select_from(table)) == left
        assert await enforce(uow, now + timedelta(days=2)) == (0, 0)


async def test_nothing_is_deleted_that_nobody_wanted_deleted(data: Data, tenant: Tenant) -> None:
    async with data.work(tenant.organization_id) as uow:
        assert await enforce(uow, datetime.now(UTC) + timedelta(days=36_500)) == (0, 0)


async def test_a_quota_that_is_nearly_used_up_is_told_once(
    data: Data, program: ProgramMaker, tenant: Tenant
) -> None:
    mine = await program()
    made = await mine.http.post("/webhooks", json={"url": "https://example.com/", "events": ["quota.near"]})
    await set_up(mine, quota={"minutes_per_month": 10, "warn_at_percent": 50})
    now = datetime.now(UTC)
    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(
            update(Call).values(created_at=now, answered_at=now, ended_at=now + timedelta(minutes=4))
        )
    for minutes, told in ((4, [False, False]), (6, [True, False])):
        async with data.work(tenant.organization_id) as uow:
            await uow.session.execute(update(Call).values(ended_at=now + timedelta(minutes=minutes)))
        for expected in told:
            async with data.work(tenant.organization_id) as uow:
                assert await warn_when_near(uow, now) is expected
    async with data.work(tenant.organization_id) as uow:
        rows = await uow.session.scalars(
            select(WebhookDelivery.payload).where(
                WebhookDelivery.endpoint_id == made.json()["endpoint"]["id"]
            )
        )
        [payload] = rows.all()
    assert payload["data"]["quota_minutes"] == 10


async def _with_function(data: Data, tenant: Tenant, name: str) -> None:
    """The tenant's call is answered by a version that may use the function."""
    async with data.work(tenant.organization_id) as uow:
        old = await uow.session.get_one(AgentVersion, tenant.agent_version_id)
        version = AgentVersion(
            id=uuid7(),
            organization_id=tenant.organization_id,
            agent_id=tenant.agent_id,
            version=2,
            snapshot=old.snapshot | {"functions": [name]},
        )
        uow.session.add(version)
        await uow.session.flush()
        await uow.session.execute(update(Call).values(agent_version_id=version.id))


@pytest.mark.parametrize(
    ("status", "arguments", "ok", "code"),
    [(200, {"phone": "1"}, True, None), (500, {"phone": "1"}, False, "function_failed"),
     (200, {"phone": 1}, False, "not_understood")],
)  # fmt: skip
async def test_an_agent_uses_a_function_of_its_organization(
    data: Data,
    program: ProgramMaker,
    tenant: Tenant,
    status: int,
    arguments: dict,
    ok: bool,
    code: str | None,
) -> None:
    http = (await program()).http
    caller = FunctionCaller(data.keys, OutboundHttp.of(["127.0.0.0/8"]))
    async with receiver(status) as far:
        far.answer = json.dumps({"customer": "Ann", "say": "Welcome back, Ann."})
        made = await http.post(
            "/functions",
            json={
                "name": "look_up",
                "description": "Who calls.",
                "url": far.url,
                "auth": "bearer",
                "secret": "open sesame",
                "parameters": {"type": "object", "properties": {"phone": {"type": "string"}}},
            },
        )
        assert made.status_code == 201
        await _with_function(data, tenant, "look_up")
        async with data.work(tenant.organization_id) as uow:
            assert "look_up" in [tool.name for tool in (await context_of_call(uow, tenant.call_id, 1)).tools]
        request = ToolRequest(tool_call_id="7", arguments=arguments)
        for _ in range(2):  # the second is answered from what was kept
            async with data.work(tenant.organization_id) as uow:
                answer = await run_tool(uow, tenant.call_id, "look_up", request, datetime.now(UTC), caller)
            assert (answer.ok, answer.code) == (ok, code)
        assert answer.say == ("Welcome back, Ann." if ok else answer.say)
        assert len(far.received) == (0 if code == "not_understood" else 1)
        for headers, body in far.received:
            assert headers["Authorization"] == "Bearer open sesame"
            assert headers["Trunkline-Call-Id"] == str(tenant.call_id)
            assert json.loads(body) == arguments
