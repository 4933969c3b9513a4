"""Each event, from what happens to a receiver that checks the signature itself; by the real jobs worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from appliance.agents.tables import Agent, AgentVersion
from appliance.calls.domain import AdmissionRequest, Ended, Progress, RecordingSealed
from appliance.calls.tables import Call
from appliance.clients.tool_api import ToolApiClient
from appliance.organizations import console_tables
from appliance.recordings.tables import Recording
from appliance.scheduling.service import book
from appliance.scheduling.tables import Calendar
from appliance.telephony.opening import Span
from appliance.telephony.tables import Number
from appliance.usage.warning import warn_when_near
from appliance.webhooks.domain import EVENT_NAMES
from provisioning.lite.box import Box
from tests.console.api.conftest import ProgramMaker
from tests.console.webhooks.jobs_worker import PATIENCE_SECONDS, jobs_worker, until
from tests.console.webhooks.listeners import Listen
from tests.integration.database.world import Data, Tenant


async def a_call(box: Box, data: Data, tenant: Tenant) -> UUID:
    """A call by the tool API, as the bridge reports it: admitted, answered, ended."""
    async with data.work(tenant.organization_id) as uow:
        number = await uow.session.scalar(select(Number.number).where(Number.id == tenant.number_id))
        assert number is not None
    async with ToolApiClient.for_service(box.settings.tool_api, timeout_seconds=PATIENCE_SECONDS) as bridge:
        admission = await bridge.admit(
            AdmissionRequest(
                sip_call_id=f"test-{tenant.call_id}",
                direction="inbound",
                called=number,
                caller="+4915112345678",
                trunk_id=tenant.trunk_id,
                gateway_channel="test",
            )
        )
        now = datetime.now(UTC)
        await bridge.progress(admission.call_id, Progress(status="answered", at=now))
        await bridge.ended(
            admission.call_id, Ended(at=now + timedelta(seconds=1), hangup_party="caller", answered_at=now)
        )
    return admission.call_id


@pytest.fixture(scope="module")
async def worker(console_box: Box, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[None]:
    """One for all tests here; beside it the tool API, by which calls are reported."""
    await asyncio.to_thread(console_box.start, "tool_api")
    async with jobs_worker(console_box, tmp_path_factory.mktemp("jobs")):
        yield


async def test_every_event_is_told_by_what_happens(
    console_box: Box, data: Data, tenant: Tenant, program: ProgramMaker, listen: Listen, worker: None
) -> None:
    mine = await program()
    far = await listen(mine)
    call_id = await a_call(console_box, data, tenant)
    begun, ended = await far.told("call.started"), await far.told("call.ended")
    assert begun["data"]["call_id"] == ended["data"]["call_id"] == str(call_id)
    assert (begun["subject"], ended["data"]["direction"]) == (f"calls/{call_id}", "inbound")
    assert "+4915112345678" not in json.dumps([begun, ended]), "who called is not told"

    async with ToolApiClient.for_service(console_box.settings.tool_api) as service:
        async with data.work(tenant.organization_id) as uow:
            recording = await uow.session.scalar(select(Recording.id))
            assert recording is not None
        await service.sealed(recording, RecordingSealed(state="stored", seconds=2.5))
    ready = await far.told("recording.ready")
    assert ready["data"] == {
        "recording_id": str(recording),
        "call_id": str(tenant.call_id),
        "seconds": 2.5,
    }
    async with data.work(tenant.organization_id) as uow:
        lost = Recording(
            organization_id=tenant.organization_id,
            call_id=call_id,
            bucket="recordings",
            object="test/lost",
            attempt=1,
        )
        uow.session.add(lost)
    async with ToolApiClient.for_service(console_box.settings.tool_api) as service:
        await service.sealed(lost.id, RecordingSealed(state="failed"))
    assert (await far.told("recording.failed"))["data"]["recording_id"] == str(lost.id)

    begins = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    async with data.work(tenant.organization_id) as uow:
        calendar = await uow.session.get_one(Calendar, tenant.calendar_id)
        slot = Span(begins, begins + timedelta(minutes=30))
        booking = await book(uow, calendar, slot, name="Ann Secret", phone="1", reason="x", call_id=call_id)
    booked = await far.told("booking.made")
    assert booked["data"]["booking_id"] == str(booking)
    assert "Ann Secret" not in json.dumps(booked)

    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(
            update(console_tables.OrganizationSettings).values(
                settings={"quota": {"minutes_per_month": 1, "warn_at_percent": 1}}
            )
        )
        await uow.session.execute(
            update(Call)
            .where(Call.id == call_id)
            .values(answered_at=Call.created_at, ended_at=Call.created_at + timedelta(minutes=1))
        )
    for expected in (True, False):  # once a month
        async with data.work(tenant.organization_id) as uow:
            assert await warn_when_near(uow, datetime.now(UTC)) is expected
    assert (await far.told("quota.near"))["data"]["quota_minutes"] == 1

    agent = (await mine.http.post("/agents", json={"name": "Told"})).json()["id"]
    draft = (await mine.http.get(f"/agents/{agent}/draft")).json()["snapshot"]
    words = draft | {"name": "Told", "prompt": "You answer.", "greeting": "Hello."}
    await mine.http.put(f"/agents/{agent}/draft", json={"snapshot": words}, headers={"If-Match": "*"})
    published = await mine.http.post(f"/agents/{agent}/publish", json={})
    assert published.status_code == 201, published.text
    told = await far.told("agent.version_published")
    async with data.work(tenant.organization_id) as uow:
        version = await uow.session.scalar(select(AgentVersion.id).join(Agent, Agent.id == agent))
        assert version is not None
    assert told["subject"] == f"agents/{agent}"
    assert {each["type"].removeprefix("trunkline.") for each in far.events} == set(EVENT_NAMES)
    assert far.refused == []
    assert len(far.events) == len({each["id"] for each in far.events}) == len(EVENT_NAMES), "each once"


async def test_a_receiver_that_hangs_or_breaks_slows_nobody(
    console_box: Box, data: Data, tenant: Tenant, program: ProgramMaker, listen: Listen, worker: None
) -> None:
    mine = await program()
    hanging = [await listen(mine, "call.started", "call.ended", hangs=True) for _ in range(3)]
    first = await a_call(console_box, data, tenant)
    for each in hanging:
        await asyncio.wait_for(each.arrived.wait(), PATIENCE_SECONDS)
    # They hold the worker's requests now. Calls go on, and who listens is told.
    good = await listen(mine, "call.ended")
    second = await a_call(console_box, data, tenant)
    told = await good.told("call.ended")
    assert told["data"]["call_id"] == str(second) != str(first)
    assert [each.events for each in hanging] == [[], [], []]
    async with data.work(tenant.organization_id) as uow:
        row = await uow.session.get_one(Call, second)
        assert (row.status, row.ended_at is not None) == ("ended", True)
    assert len(good.named("call.ended")) == 1


async def test_a_500_is_tried_again_after_a_wait_by_the_worker_itself(
    console_box: Box, data: Data, tenant: Tenant, program: ProgramMaker, listen: Listen, worker: None
) -> None:
    mine = await program()
    far = await listen(mine, "booking.made", statuses=(500,))
    endpoint = (await mine.http.get("/webhooks")).json()["items"][0]["id"]
    sent = (await mine.http.post(f"/webhooks/{endpoint}/test")).json()["id"]

    async def delivered() -> Any:
        shown = (await mine.http.get(f"/webhook-deliveries/{sent}")).json()
        return shown if shown["state"] == "delivered" else None

    shown = await until(delivered)
    assert [each["status"] for each in shown["attempts"]] == [500, 204]
    first, second = (datetime.fromisoformat(each["at"]) for each in shown["attempts"])
    assert second - first >= timedelta(seconds=4), "the first wait is five seconds"
    assert [each["type"] for each in far.events] == ["trunkline.endpoint.test"]


async def test_a_redirect_is_an_answer_like_another(
    console_box: Box, data: Data, tenant: Tenant, program: ProgramMaker, listen: Listen, worker: None
) -> None:
    mine = await program()
    target = await listen(mine, "quota.near")
    far = await listen(mine, "booking.made", statuses=(307,))
    far.location = target.url
    endpoint = next(
        each["id"]
        for each in (await mine.http.get("/webhooks")).json()["items"]
        if each["events"] == ["booking.made"]
    )
    await mine.http.post(f"/webhooks/{endpoint}/test")

    async def tried() -> bool:
        return far.tries >= 2  # once with the redirect, once again after the wait

    await until(tried)
    assert target.tries == 0
