"""A spool is stored whole and verified before it goes; whatever fails, it stays for later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import update

from appliance.calls.domain import RecordingSealed
from appliance.clients.object_store import ObjectStore
from appliance.errors import Conflict, IntegrityError, NotAllowed, NotFound, Unavailable
from appliance.recordings.archive import Archive
from appliance.recordings.service import open_recording, record_sealed
from appliance.recordings.spool import SpoolWriter
from appliance.recordings.tables import Recording
from appliance.security.keys import FileKeyProvider, KeyRing
from appliance.security.sealing import new_key
from provisioning.lite.box import Box
from tests.integration.database.world import Data, Tenant
from tests.integration.recordings.spooling import data_key, granted, recording_row, spooled, tones
from tests.unit.recordings.sample import opened_file


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def archive(box: Box, data: Data) -> AsyncIterator[Archive]:
    await asyncio.to_thread(box.start, "minio")
    store = ObjectStore(box.settings.object_store)
    yield Archive(data.app, data.keys, store)
    await store.close()


async def test_a_sealed_spool_is_stored_in_parts_and_verified(
    archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    grant = await granted(data, tenant)
    pcm = tones(100)
    path = spooled(tmp_path, tenant, grant, pcm)
    size = path.stat().st_size
    assert size > 5 * 1024 * 1024, "one part would do"
    assert await archive.bring_in(path) == "stored"
    assert not path.exists()
    row = await recording_row(data, tenant, grant)
    assert (row.state, row.size_bytes, row.channels, row.sample_rate_hz) == ("stored", size, 2, 16_000)
    assert row.seconds == pytest.approx(100)
    stored = await archive.store.read_back(row.bucket, row.object)
    assert (stored.sha256, stored.size_bytes) == (row.sha256, size)
    copy = tmp_path / "copy"
    await archive.store.download(row.bucket, row.object, copy)
    assert opened_file(copy, data_key(grant)) == pcm
    content = copy.read_bytes()
    assert not any(pcm[at : at + 32] in content for at in range(0, len(pcm), 64_001))


async def test_a_spool_in_use_is_left_alone(
    archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    grant = await granted(data, tenant)
    writer = SpoolWriter.create(tmp_path, grant, call_id=tenant.call_id, attempt=1)
    assert await archive.bring_in(writer.path) == "in_use"
    writer.append(tones(1))
    writer.close()
    assert await archive.bring_in(writer.path) == "stored"
    assert await archive.bring_in(writer.path) == "in_use", "gone meanwhile"


async def test_an_empty_recording_is_stored_too(
    archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    grant = await granted(data, tenant)
    assert await archive.bring_in(spooled(tmp_path, tenant, grant, b"")) == "stored"
    assert (await recording_row(data, tenant, grant)).seconds == 0


async def test_the_wrong_box_key_costs_nothing(
    archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    grant = await granted(data, tenant)
    path = spooled(tmp_path, tenant, grant, tones(1))
    wrong = Archive(archive.engine, KeyRing(FileKeyProvider([new_key()])), archive.store)
    with pytest.raises(IntegrityError, match="box key"):
        await wrong.bring_in(path)
    assert (await recording_row(data, tenant, grant)).state == "spooling"
    assert await archive.bring_in(path) == "stored"


async def test_a_damaged_spool_is_kept_aside_and_told(
    archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    grant = await granted(data, tenant)
    path = spooled(tmp_path, tenant, grant, tones(3))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert await archive.bring_in(path) == "set_aside"
    assert not path.exists()
    assert path.with_suffix(".damaged").read_bytes() == content
    assert (await recording_row(data, tenant, grant)).state == "failed"


@pytest.mark.parametrize("content", [b"", b"no recording at all", b"TRKREC01\x00\x00"])
async def test_what_is_no_spool_is_kept_aside(archive: Archive, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0.spool"
    path.write_bytes(content)
    assert await archive.bring_in(path) == "set_aside"
    assert path.with_suffix(".damaged").read_bytes() == content


async def test_a_deleted_key_deletes_the_spool(
    archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    grant = await granted(data, tenant)
    path = spooled(tmp_path, tenant, grant, tones(1))
    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(
            update(Recording).where(Recording.id == grant.recording_id).values(wrapped_data_key=None)
        )
    assert await archive.bring_in(path) == "deleted"
    assert list(path.parent.iterdir()) == []


async def test_a_spool_of_an_unknown_recording_is_kept_aside(
    archive: Archive, data: Data, tmp_path: Path
) -> None:
    async with data.tenant() as gone:
        grant = await granted(data, gone)
        path = spooled(tmp_path, gone, grant, tones(1))
    assert await archive.bring_in(path) == "set_aside"
    assert path.with_suffix(".damaged").exists()


async def test_with_the_store_away_the_spool_stays(
    box: Box, archive: Archive, data: Data, tenant: Tenant, tmp_path: Path, unused_tcp_port: int
) -> None:
    grant = await granted(data, tenant)
    path = spooled(tmp_path, tenant, grant, tones(1))
    settings = box.settings.object_store
    away = ObjectStore(settings.model_copy(update={"endpoint": f"127.0.0.1:{unused_tcp_port}"}))
    with pytest.raises(Unavailable):
        await Archive(archive.engine, archive.keys, away).bring_in(path)
    await away.close()
    assert path.exists()
    assert (await recording_row(data, tenant, grant)).state == "sealed"
    assert await archive.bring_in(path) == "stored"


async def test_a_store_that_refuses_us_or_lacks_the_bucket_costs_nothing(
    box: Box, archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    grant = await granted(data, tenant)
    path = spooled(tmp_path, tenant, grant, tones(1))
    stranger = ObjectStore(box.settings.object_store.model_copy(update={"access_key": "stranger"}))
    with pytest.raises(NotAllowed):
        await Archive(archive.engine, archive.keys, stranger).bring_in(path)
    await stranger.close()
    assert path.exists()
    assert await archive.bring_in(path) == "stored"


async def test_a_store_that_alters_what_it_was_given_is_found_out(
    archive: Archive, data: Data, tenant: Tenant, tmp_path: Path
) -> None:
    class Altering(ObjectStore):
        async def upload(self, bucket: str, name: str, path: Path) -> None:
            other = tmp_path / "other"
            other.write_bytes(path.read_bytes()[:-1] + b"\x00")
            await super().upload(bucket, name, other)

    grant = await granted(data, tenant)
    path = spooled(tmp_path, tenant, grant, tones(1))
    altering = Altering.__new__(Altering)
    altering.__dict__ = archive.store.__dict__
    with pytest.raises(Unavailable, match="other bytes"):
        await Archive(archive.engine, archive.keys, altering).bring_in(path)
    assert path.exists()
    assert (await recording_row(data, tenant, grant)).state == "sealed"
    assert await archive.bring_in(path) == "stored"


async def test_asked_again_the_same_grant_is_given_until_it_is_sealed(data: Data, tenant: Tenant) -> None:
    grant = await granted(data, tenant)
    assert await granted(data, tenant) == grant
    other_attempt = await granted(data, tenant, attempt=2)
    assert other_attempt.recording_id != grant.recording_id
    assert other_attempt.data_key != grant.data_key
    async with data.work(tenant.organization_id) as uow:
        await record_sealed(uow, grant.recording_id, RecordingSealed(state="sealed"))
    with pytest.raises(Conflict):
        await granted(data, tenant)


async def test_many_who_ask_at_once_get_the_same_grant(data: Data, tenant: Tenant) -> None:
    grants = await asyncio.gather(*(granted(data, tenant) for _ in range(6)))
    assert len({grant.recording_id for grant in grants}) == 1
    assert len({grant.data_key for grant in grants}) == 1


async def test_a_foreign_call_or_recording_is_not_found(data: Data, tenant: Tenant) -> None:
    grant = await granted(data, tenant)
    async with data.tenant() as other:
        with pytest.raises(NotFound):
            async with data.work(other.organization_id) as uow:
                await open_recording(uow, data.keys, call_id=tenant.call_id, attempt=1, bucket="recordings")
        with pytest.raises(NotFound):
            async with data.work(other.organization_id) as uow:
                await record_sealed(uow, grant.recording_id, RecordingSealed(state="failed"))


async def test_late_news_never_takes_a_recording_back(data: Data, tenant: Tenant) -> None:
    grant = await granted(data, tenant)
    for state in ("stored", "sealed", "spooling", "failed"):
        async with data.work(tenant.organization_id) as uow:
            await record_sealed(uow, grant.recording_id, RecordingSealed(state=state))
    row = await recording_row(data, tenant, grant)
    assert row.state == "stored"
    assert row.stored_at is not None
