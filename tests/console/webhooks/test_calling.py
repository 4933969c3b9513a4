"""A request of another program that lets an agent call somebody: once, later when no line is free, or not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from sqlalchemy import update

from appliance.webhooks.tables import InboundRequest
from provisioning.lite.box import Box
from tests.console.api.conftest import ProgramMaker
from tests.console.webhooks.jobs_worker import free_port, jobs_worker, until
from tests.console.webhooks.senders import MISSED, caller, in_state
from tests.integration.database.world import Data, Tenant


@dataclass
class Telephone:
    """Stands where the bridge does and fails as it may: full, silent, refusing."""

    port: int
    token: str
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list[tuple[int, dict[str, Any]]])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def place(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {self.token}"
        self.asked.append(await request.json())
        status, body = self.answers.pop(0) if self.answers else (202, {"call_id": str(uuid4())})
        if status == 0:  # dies while it is asked
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return web.json_response(body, status=status)


@pytest.fixture(scope="module")
async def telephone(console_box: Box, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Telephone]:
    """With a jobs worker that asks it to place calls."""
    made = Telephone(free_port(), console_box.settings.tool_api.service_token.reveal())
    app = web.Application()
    app.router.add_post("/calls/outbound", made.place)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    async with jobs_worker(console_box, tmp_path_factory.mktemp("jobs"), bridge_port=made.port):
        yield made
    await runner.cleanup()


async def let_time_pass(data: Data, tenant: Tenant, request_id: str) -> timedelta:
    """What waits is due now; returns how long it would have waited."""
    async with data.work(tenant.organization_id) as uow:
        row = await uow.session.get_one(InboundRequest, UUID(request_id))
        waits = row.next_try_at - datetime.now(UTC)
        row.next_try_at = datetime.now(UTC)
    return waits


async def test_a_request_calls_somebody_once(
    telephone: Telephone, program: ProgramMaker, tenant: Tenant, console_url: str
) -> None:
    mine = await program()
    sender = await caller(mine, console_url, tenant.agent_id, number_id=str(tenant.number_id))
    telephone.asked.clear()
    first = await sender.send(MISSED, delivery="1")
    assert first.json()["state"] == "waiting"
    again = await sender.send(MISSED, delivery="1")
    assert again.json()["repeated"] is True
    shown = await in_state(mine, first.json()["request_id"], "called", "failed")
    assert (shown["state"], shown["to"]) == ("called", "+4930555010")
    assert shown["call_id"]
    assert telephone.asked == [
        {
            "organization_id": str(tenant.organization_id),
            "agent_id": str(tenant.agent_id),
            "to": "+4930555010",
            "trunk_id": None,
            "number_id": str(tenant.number_id),
        }
    ]
    replayed = await mine.http.post(f"/hook-requests/{shown['id']}/replay")
    await in_state(mine, replayed.json()["id"], "called")
    assert len(telephone.asked) == 2


@pytest.mark.parametrize(
    "busy",
    [
        (429, {"code": "at_capacity", "detail": "The box is full.", "retry_after_seconds": 1}),
        (503, {"code": "admission_refused", "detail": "The trunk is full.", "sip_status": 503}),
        (503, {"code": "unavailable", "detail": "The tool API does not answer."}),
    ],
)
async def test_without_a_free_line_it_is_tried_again(
    telephone: Telephone,
    data: Data,
    program: ProgramMaker,
    tenant: Tenant,
    console_url: str,
    busy: tuple[int, dict[str, Any]],
) -> None:
    mine = await program()
    sender = await caller(mine, console_url, tenant.agent_id)
    telephone.answers[:] = [busy]
    telephone.asked.clear()
    request = (await sender.send(MISSED)).json()["request_id"]

    async def told() -> bool:
        shown = (await mine.http.get(f"/hook-requests/{request}")).json()
        return shown["detail"] == busy[1]["detail"] or shown["state"] == "called"

    await until(told)
    await let_time_pass(data, tenant, request)
    assert (await in_state(mine, request, "called"))["detail"] is None
    assert len(telephone.asked) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        (404, {"code": "not_found", "detail": "The agent does not exist."}),
        (403, {"code": "admission_refused", "detail": "Not this number.", "sip_status": 403}),
        (422, {"code": "invalid_input", "detail": "to: no."}),
    ],
)
async def test_what_is_refused_is_not_tried_again(
    telephone: Telephone,
    program: ProgramMaker,
    tenant: Tenant,
    console_url: str,
    refusal: tuple[int, dict[str, Any]],
) -> None:
    mine = await program()
    sender = await caller(mine, console_url, tenant.agent_id)
    telephone.answers[:] = [refusal]
    telephone.asked.clear()
    request = (await sender.send(MISSED)).json()["request_id"]
    shown = await in_state(mine, request, "failed", "called")
    assert (shown["state"], shown["detail"]) == ("failed", refusal[1]["detail"])
    assert len(telephone.asked) == 1


async def test_of_a_call_that_nobody_knows_of_nobody_is_called_twice(
    telephone: Telephone, data: Data, program: ProgramMaker, tenant: Tenant, console_url: str
) -> None:
    mine = await program()
    sender = await caller(mine, console_url, tenant.agent_id)
    telephone.answers[:] = [(0, {})]
    telephone.asked.clear()
    request = (await sender.send(MISSED)).json()["request_id"]
    shown = await in_state(mine, request, "failed", "called")
    assert (shown["state"], shown["detail"]) == ("failed", "It is not known whether the call was placed.")
    # As after a worker that died while it asked: its claim has run out.
    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(
            update(InboundRequest)
            .where(InboundRequest.id == UUID(request))
            .values(state="calling", detail=None, next_try_at=datetime.now(UTC))
        )
    shown = await in_state(mine, request, "failed", "called")
    assert "not known" in shown["detail"]
    assert len(telephone.asked) == 1


async def test_a_path_that_was_switched_off_meanwhile_calls_nobody(
    telephone: Telephone, data: Data, program: ProgramMaker, tenant: Tenant, console_url: str
) -> None:
    mine = await program()
    sender = await caller(mine, console_url, tenant.agent_id)
    telephone.answers[:] = [(429, {"code": "at_capacity", "detail": "The box is full."})]
    telephone.asked.clear()
    request = (await sender.send(MISSED)).json()["request_id"]

    async def told() -> bool:
        return (await mine.http.get(f"/hook-requests/{request}")).json()["detail"] == "The box is full."

    await until(told)
    hook = sender.hook["hook"]["id"]
    settings = {"name": "Customers", "enabled": False}
    await mine.http.put(f"/hooks/{hook}", json=settings, headers={"If-Match": "*"})
    await let_time_pass(data, tenant, request)
    assert "switched off" in (await in_state(mine, request, "failed", "called"))["detail"]
    assert len(telephone.asked) == 1
