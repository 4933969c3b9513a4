"""The stream of live calls: what the database tells, and to whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from appliance.access.domain import Right
from appliance.calls import life, report
from appliance.calls.domain import Ended, Progress, Turn
from tests.console.api.conftest import Program, ProgramMaker
from tests.integration.database.world import Data, Tenant

PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def listening(program: Program) -> AsyncGenerator[asyncio.Queue[dict[str, Any]]]:
    """The events of a stream that is surely open."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    opened = asyncio.Event()

    async def read() -> None:
        async with program.http.stream("GET", "/events", timeout=httpx.Timeout(30, read=None)) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            kind = ""
            async for line in answer.aiter_lines():
                if line.startswith(":"):
                    opened.set()
                elif line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    heard.put_nowait({"kind": kind, **json.loads(line.removeprefix("data:"))})

    task = asyncio.create_task(read())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await opened.wait()
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(heard: asyncio.Queue[dict[str, Any]], kind: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (event := await heard.get())["kind"] != kind:
            pass
        return event


async def a_turn(data: Data, tenant: Tenant, index: int) -> None:
    async with data.work(tenant.organization_id) as uow:
        turn = Turn(index=index, caller_text="Hello", started_at=datetime.now(UTC))
        await report.store_turn(uow, tenant.call_id, 1, turn, datetime.now(UTC))


async def test_a_call_is_seen_while_it_lasts_and_by_its_organization_alone(
    data: Data, program: ProgramMaker, tenant: Tenant, other: Tenant
) -> None:
    mine = await program(Right.CALLS_READ)
    theirs = await program(Right.CALLS_READ, organization_id=other.organization_id)
    async with listening(mine) as heard, listening(theirs) as heard_by_others:
        # The process listens to the database a moment after its first subscriber came: ask until it does.
        async with asyncio.timeout(PATIENCE_SECONDS):
            index = 10
            while heard.empty():
                await a_turn(data, tenant, index)
                await asyncio.sleep(0.2)
                index += 1
        assert await until(heard, "turn") == {"kind": "turn", "call_id": str(tenant.call_id)}
        now = datetime.now(UTC)
        async with data.work(tenant.organization_id) as uow:
            await life.progress(uow, tenant.call_id, Progress(status="held", at=now), now)
        assert (await until(heard, "changed"))["call_id"] == str(tenant.call_id)
        async with data.work(tenant.organization_id) as uow:
            await life.ended(uow, tenant.call_id, Ended(at=now, hangup_party="caller"), now)
        assert (await until(heard, "ended"))["call_id"] == str(tenant.call_id)
        await a_turn(data, other, 1)
        await until(heard_by_others, "turn")
        while not heard_by_others.empty():
            assert heard_by_others.get_nowait()["call_id"] == str(other.call_id)
