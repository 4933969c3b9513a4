"""The jobs worker as a process: what waits arrives, whatever was away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest_asyncio
from sqlalchemy import func, select, text, update

from appliance.calls.domain import Finish, RecordingGrant, Segment
from appliance.calls.report_spool import write_report
from appliance.calls.tables import Call, TranscriptSegment
from provisioning.lite.box import Box
from tests.integration.database.world import Data, Tenant
from tests.integration.recordings.spooling import (
    granted,
    recording_row,
    spooled,
    spooled_by_one_who_is_killed,
    tones,
    until,
)

FINISH = Finish(
    outcome="booked",
    ended_by="caller",
    segments=(Segment(speaker="caller", starts_ms=0, ends_ms=900, text="on tuesday please"),),
)


@pytest_asyncio.fixture(loop_scope="session")
async def jobs(box: Box, data: Data) -> AsyncIterator[Box]:
    """The box with the jobs worker and all that it needs; whatever a test stopped runs again afterwards."""
    await asyncio.to_thread(box.start, "jobs")
    yield box
    await asyncio.to_thread(box.start, "jobs")


async def _state(data: Data, tenant: Tenant, grant: RecordingGrant) -> str:
    return (await recording_row(data, tenant, grant)).state


async def _stored(data: Data, tenant: Tenant, grant: RecordingGrant) -> bool:
    return await _state(data, tenant, grant) == "stored"


async def test_a_killed_writers_spool_is_found_sealed_and_stored(
    jobs: Box, data: Data, tenant: Tenant
) -> None:
    grant = await granted(data, tenant)
    spool_dir = jobs.settings.spool_dir
    path = spool_dir / "recordings" / f"{grant.recording_id}.spool"
    await asyncio.to_thread(
        spooled_by_one_who_is_killed,
        spool_dir,
        tenant,
        grant,
        tones(2.5),
        meanwhile=lambda: _assert_exists(path),
    )
    await until(lambda: _stored(data, tenant, grant), "the spool of the killed writer is stored")
    row = await recording_row(data, tenant, grant)
    assert row.seconds == 2.0, "the complete chunks"
    await until(lambda: _gone(path), "the spool is removed")


async def test_with_the_store_down_a_recording_arrives_after_it_is_back(
    jobs: Box, data: Data, tenant: Tenant
) -> None:
    await asyncio.to_thread(jobs.stop, "minio")
    grant = await granted(data, tenant)
    path = spooled(jobs.settings.spool_dir, tenant, grant, tones(1))

    async def sealed() -> bool:
        return await _state(data, tenant, grant) == "sealed"

    await until(sealed, "the jobs worker has tried")
    assert path.exists()
    await asyncio.to_thread(jobs.start, "minio")
    await until(lambda: _stored(data, tenant, grant), "the recording arrives")
    await until(lambda: _gone(path), "the spool is removed")


async def test_with_the_database_down_report_and_recording_arrive_later(
    jobs: Box, data: Data, tenant: Tenant
) -> None:
    spool_dir = jobs.settings.spool_dir
    grant = await granted(data, tenant)
    await asyncio.to_thread(jobs.stop, "postgres")
    try:
        await until(lambda: _ready(jobs, database=False), "the jobs worker notices")
        report = write_report(spool_dir, grant, tenant.call_id, 1, FINISH)
        spool = spooled(spool_dir, tenant, grant, tones(1))
        await until(lambda: _tried(jobs, report.name, spool.name), "the jobs worker has tried both")
        assert report.exists()
        assert spool.exists()
    finally:
        await asyncio.to_thread(jobs.start, "postgres")
    await until(lambda: _stored(data, tenant, grant), "the recording arrives")
    await until(lambda: _gone(report), "the report is delivered")
    async with data.work(tenant.organization_id) as uow:
        call = await uow.session.get_one(Call, tenant.call_id)
        assert (call.outcome, call.finished_at is not None) == ("booked", True)
        assert "on tuesday please" in (await uow.session.scalars(select(TranscriptSegment.text))).all()
    await until(lambda: _ready(jobs), "the jobs worker is itself again")


async def test_with_the_tool_api_down_a_report_arrives_later(jobs: Box, data: Data, tenant: Tenant) -> None:
    grant = await granted(data, tenant)
    await asyncio.to_thread(jobs.stop, "tool_api")
    try:
        report = write_report(jobs.settings.spool_dir, grant, tenant.call_id, 1, FINISH)
        await until(lambda: _tried(jobs, report.name), "the jobs worker has tried")
        assert report.exists()
    finally:
        await asyncio.to_thread(jobs.start, "tool_api")
    await until(lambda: _gone(report), "the report is delivered")
    async with data.work(tenant.organization_id) as uow:
        assert (await uow.session.get_one(Call, tenant.call_id)).outcome == "booked"


async def test_a_report_that_nobody_can_open_is_kept_aside(jobs: Box, data: Data, tenant: Tenant) -> None:
    grant = await granted(data, tenant)
    path = write_report(jobs.settings.spool_dir, grant, tenant.call_id, 1, FINISH)
    path.write_bytes(path.read_bytes()[:-8])
    await until(lambda: _gone(path), "the report is set aside")
    aside = path.with_suffix(".damaged")
    assert aside.exists()
    aside.unlink()


async def test_a_place_without_news_is_given_back_by_the_queue(jobs: Box, data: Data, tenant: Tenant) -> None:
    """The clock defers the task once a minute; here the test does it, in the same queue."""
    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(
            update(Call).values(
                status="ringing", answered_at=None, last_news_at=datetime.now(UTC) - timedelta(minutes=10)
            )
        )
    database = jobs.settings.database
    async with await psycopg.AsyncConnection.connect(
        database.url("app", driver="postgresql"), options="-c search_path=jobs", autocommit=True
    ) as connection:
        await connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args) "
            "VALUES ('default', 'release_stale_calls', '{\"timestamp\": 0}')"
        )

    async def released() -> bool:
        async with data.work(tenant.organization_id) as uow:
            return await uow.session.scalar(select(func.count()).where(Call.ended_at.is_not(None))) == 1

    await until(released, "the place is given back")


async def test_told_to_stop_it_ends_in_order_and_leaves_no_connection(jobs: Box, data: Data) -> None:
    (pid, *_) = jobs.pids("jobs")
    await asyncio.to_thread(jobs.stop, "jobs")
    assert not Path(f"/proc/{pid}").exists()
    assert '"jobs worker stopped"' in jobs.log_path("jobs").read_text().splitlines()[-1]

    async def no_connection() -> bool:
        async with data.work(None) as uow:
            found = await uow.session.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trunkline-jobs'")
            )
            return found == 0

    await until(no_connection, "its connections are closed")


def _assert_exists(path: Path) -> None:
    assert path.exists()


async def _gone(path: Path) -> bool:
    return not await asyncio.to_thread(path.exists)


async def _tried(box: Box, *names: str) -> bool:
    """Whether the jobs worker has failed with each of these files."""
    log = await asyncio.to_thread(box.log_path("jobs").read_text)
    return all(any("delivery failed" in line and name in line for line in log.splitlines()) for name in names)


async def _ready(box: Box, **parts: bool) -> bool:
    """Whether the jobs worker says that it is ready, or exactly these states of its parts."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{box.ports['jobs']}/health/ready", timeout=30)
    said = answer.json()
    if not parts:
        return answer.status_code == 200 and said["ready"]
    return answer.status_code == 503 and all(said["parts"][name] is state for name, state in parts.items())
