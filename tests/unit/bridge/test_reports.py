"""The end of a call reaches the tool API, now or later; nothing personal waits on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from appliance.calls.domain import Ended
from appliance.clients.tool_api import ToolApiClient
from runtime.sip.reports import EndedReports

ENDED = Ended(at=datetime(2026, 1, 2, tzinfo=UTC), hangup_party="caller", q850_cause=17)


class Receiver:
    """A tool API that can be told how to answer."""

    def __init__(self) -> None:
        self.status = 204
        self.taken: dict[UUID, Ended] = {}
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        if self.status == 204:
            call_id = UUID(request.match_info["call_id"])
            self.taken[call_id] = Ended.model_validate_json(await request.read())
        return web.json_response({"code": "x"}, status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/internal/calls/{call_id}/ended", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = "http://{}:{}".format(*runner.addresses[0])
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def reports(receiver: Receiver, tmp_path: Path) -> AsyncIterator[EndedReports]:
    async with ToolApiClient(receiver.url, service_token="t") as api:
        yield EndedReports(api, tmp_path)


async def test_a_report_is_delivered_at_once(receiver: Receiver, reports: EndedReports) -> None:
    call_id = uuid4()
    await reports.deliver(call_id, ENDED)
    assert receiver.taken == {call_id: ENDED}
    assert reports.waiting == 0


async def test_a_report_waits_while_the_api_is_away(
    receiver: Receiver, reports: EndedReports, tmp_path: Path
) -> None:
    call_id = uuid4()
    receiver.status = 503
    await reports.deliver(call_id, ENDED)
    assert reports.waiting == 1
    assert [path.name for path in (tmp_path / "ended").iterdir()] == [f"{call_id}.json"]
    receiver.status = 204
    redelivery = asyncio.create_task(reports.redeliver())
    try:
        async with asyncio.timeout(30):
            while reports.waiting:  # noqa: ASYNC110 - the tool API decides when
                await asyncio.sleep(0.02)
    finally:
        redelivery.cancel()
    assert receiver.taken == {call_id: ENDED}


async def test_a_report_that_is_refused_for_good_does_not_come_again(
    receiver: Receiver, reports: EndedReports
) -> None:
    receiver.status = 404
    await reports.deliver(uuid4(), ENDED)
    assert reports.waiting == 0


async def test_a_report_that_nobody_can_read_does_not_stop_the_others(
    receiver: Receiver, reports: EndedReports, tmp_path: Path
) -> None:
    call_id = uuid4()
    folder = tmp_path / "ended"
    (folder / "0.json").write_text("no report")
    (folder / f"{uuid4()}.json").write_bytes(b"\xff\x00")
    (folder / f"{call_id}.json").write_text(ENDED.model_dump_json())
    redelivery = asyncio.create_task(reports.redeliver())
    try:
        async with asyncio.timeout(30):
            while reports.waiting:  # noqa: ASYNC110 - the tool API decides when
                await asyncio.sleep(0.02)
    finally:
        redelivery.cancel()
    assert receiver.taken == {call_id: ENDED}
    assert len(list(folder.glob("*.unreadable"))) == 2
