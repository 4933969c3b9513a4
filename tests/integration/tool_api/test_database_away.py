"""PostgreSQL goes away and comes back; on a box of its own, so that no other test feels it."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from appliance.calls.domain import AdmissionRefused, Ended, Finish, Progress, Turn
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import Unavailable
from provisioning.lite.box import Box
from tests.fixtures.box import REPOSITORY, TEST_PORT
from tests.integration.tool_api.world import World, world

PORTS_APART = 1100


@pytest.fixture(scope="module")
def lonely() -> Iterator[Box]:
    directory = REPOSITORY / "var" / f"test-{TEST_PORT + PORTS_APART}"
    box = Box(directory, TEST_PORT + PORTS_APART, durable=False)
    box.stop_all()
    shutil.rmtree(directory, ignore_errors=True)
    box.prepare()
    box.start("tool_api")
    try:
        yield box
    finally:
        box.stop_all()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def own(lonely: Box) -> Iterator[World]:
    with world(lonely) as made:
        yield made


async def test_away_is_told_at_once_and_back_is_back(lonely: Box, own: World) -> None:
    settings = lonely.settings.tool_api
    now = datetime.now(UTC)
    async with (
        ToolApiClient.for_service(settings, timeout_seconds=60) as service,
        httpx.AsyncClient(base_url=settings.url, timeout=30, trust_env=False, verify=False) as http,
    ):
        admission = await service.admit(own.request())
        worker = own.of_call(admission)
        await worker.context(admission.call_id)
        await asyncio.to_thread(lonely.stop, "postgres")
        try:
            assert not await service.ready()
            assert (await http.get("/health/live")).status_code == 200
            with pytest.raises(Unavailable):
                await service.admit(own.request())
            token = {"Authorization": f"Bearer {own.token(admission.call_id)}"}
            service_token = {"Authorization": f"Bearer {settings.service_token.reveal()}"}
            answers = [
                await http.get(f"/internal/calls/{admission.call_id}/context", headers=token),
                await http.post("/internal/voice-tools/end_call", json={"tool_call_id": "1"}, headers=token),
                await http.get("/internal/gateway", headers=service_token),
                await http.post(
                    "/internal/calls/admit",
                    content=own.request().model_dump_json(),
                    headers=service_token | {"Content-Type": "application/json"},
                ),
            ]
            for answer in answers:
                assert answer.status_code == 503
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"] == "unavailable"
                assert int(answer.headers["retry-after"]) >= 1
                assert "sip_status" not in answer.json()
            # What may be repeated waits for the database to come back; what may not has failed above.
            waiting = [
                asyncio.create_task(worker.turn(admission.call_id, Turn(index=0, started_at=now))),
                asyncio.create_task(
                    worker.finish(
                        admission.call_id, Finish(outcome="completed", ended_by="caller"), timeout_seconds=60
                    )
                ),
                asyncio.create_task(service.progress(admission.call_id, Progress(status="answered", at=now))),
            ]
        finally:
            await asyncio.to_thread(lonely.start, "postgres")
        await asyncio.gather(*waiting)
        await service.ended(admission.call_id, Ended(at=now, hangup_party="caller"))
        assert await service.ready()
        row = own.call(admission.call_id)
        assert (row.status, row.outcome) == ("ended", "completed")
        places = [await service.admit(own.request()) for _ in range(5)]
        assert len(places) == 5, "a failed admission has taken no place"
        with pytest.raises(AdmissionRefused):
            await service.admit(own.request())
        await worker.close()


async def test_a_frozen_database_does_not_freeze_the_answer(lonely: Box, own: World) -> None:
    settings = lonely.settings.tool_api
    token = {"Authorization": f"Bearer {own.token(own.agent_id)}"}
    path = f"/internal/calls/{own.agent_id}/context"
    async with httpx.AsyncClient(base_url=settings.url, timeout=60, trust_env=False, verify=False) as http:
        assert (await http.get(path, headers=token)).status_code == 404
        lonely.kill("postgres", signal.SIGSTOP)
        try:
            answers = await asyncio.gather(
                *(http.get(path, headers=token) for _ in range(3)), http.get("/health/ready")
            )
            assert [answer.status_code for answer in answers] == [503] * 4
        finally:
            lonely.kill("postgres", signal.SIGCONT)
        async with asyncio.timeout(60):
            while (await http.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.2)
        assert (await http.get(path, headers=token)).status_code == 404


async def test_sigterm_lets_running_requests_end(lonely: Box, own: World) -> None:
    settings = lonely.settings.tool_api
    async with ToolApiClient.for_service(settings, timeout_seconds=60) as service:
        admission = await service.admit(own.request())
        async with own.of_call(admission) as worker:
            turns = [
                asyncio.create_task(
                    worker.turn(admission.call_id, Turn(index=index, started_at=datetime.now(UTC)))
                )
                for index in range(20)
            ]
            await asyncio.sleep(0)
            await asyncio.to_thread(lonely.restart, "tool_api")
            await asyncio.gather(*turns)
            context = await worker.context(admission.call_id)
            assert context.next_turn_index == 20
    log = lonely.log_path("tool_api").read_text(encoding="utf-8")
    assert "Finished server process" in log
    assert "Traceback" not in log
