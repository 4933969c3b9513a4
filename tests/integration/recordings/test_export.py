"""`appliance recording`: the WAV comes back, and every reason why not has its sentence and exit code."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
import yaml
from sqlalchemy import select

from appliance.clients.object_store import ObjectStore
from appliance.recordings.archive import Archive
from appliance.recordings.tables import Recording
from appliance.security.sealing import new_key
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.box import Box
from tests.integration.database.world import Data, Tenant
from tests.integration.recordings.spooling import granted, spooled, tones

Run = Callable[..., subprocess.CompletedProcess[str]]
PCM = tones(2.5)


@pytest.fixture
def run(box: Box, tmp_path: Path) -> Run:
    """Runs `appliance recording ...` in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()

    def run(*arguments: str, settings_file: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            SETTINGS_VARIABLE: str(settings_file or box.settings_file),
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        return subprocess.run(
            [sys.executable, "-c", "from appliance.cli import main; main()", "recording", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest_asyncio.fixture(loop_scope="session")
async def store(box: Box) -> ObjectStore:
    await asyncio.to_thread(box.start, "minio")
    return ObjectStore(box.settings.object_store)


@pytest_asyncio.fixture(loop_scope="session")
async def stored(data: Data, tenant: Tenant, store: ObjectStore, tmp_path: Path) -> Tenant:
    """A tenant whose call has a stored recording."""
    grant = await granted(data, tenant)
    path = spooled(tmp_path, tenant, grant, PCM)
    assert await Archive(data.app, data.keys, store).bring_in(path) == "stored"
    return tenant


async def test_a_stored_recording_comes_back_as_wav(run: Run, stored: Tenant, tmp_path: Path) -> None:
    answer = run("export", str(stored.call_id), "-o", str(tmp_path / "out.wav"), "--attempt", "1")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "2.5 s" in answer.stdout
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 16_000)
        assert file.readframes(file.getnframes()) == PCM


async def test_the_list_shows_it(run: Run, stored: Tenant) -> None:
    answer = run("list", "--limit", "1000")
    line = next(
        line for line in answer.stdout.splitlines() if str(stored.call_id) in line and "stored" in line
    )
    assert line.split()[1:4] == ["1", "stored", "2.5"]


def test_an_unknown_call(run: Run, data: Data) -> None:
    _fails(run("export", str(uuid4())), 1, "There is no call")


async def test_one_that_is_not_stored_yet(run: Run, data: Data, tenant: Tenant) -> None:
    await granted(data, tenant)
    _fails(run("export", str(tenant.call_id), "--attempt", "1"), 1, "not stored yet")


async def test_no_such_attempt(run: Run, stored: Tenant) -> None:
    _fails(run("export", str(stored.call_id), "--attempt", "7"), 1, "no recording 7")


def test_what_is_no_call_id(run: Run) -> None:
    answer = run("export", "not-an-id")
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr


async def test_a_file_that_cannot_be_written(run: Run, stored: Tenant, tmp_path: Path) -> None:
    target = tmp_path / "missing" / "out.wav"
    _fails(run("export", str(stored.call_id), "--attempt", "1", "-o", str(target)), 2, "cannot be written")


async def test_another_box_key(run: Run, box: Box, stored: Tenant, tmp_path: Path) -> None:
    tree = yaml.safe_load(box.settings_file.read_text())
    key = tmp_path / "other_key"
    key.write_text(base64.b64encode(new_key()).decode())
    tree["security"]["box_key"]["file"] = str(key)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(tree))
    answer = run("export", str(stored.call_id), "--attempt", "1", settings_file=settings)
    _fails(answer, 1, "box key does not fit")


async def test_an_altered_object_leaves_no_file(
    run: Run, data: Data, stored: Tenant, store: ObjectStore, tmp_path: Path
) -> None:
    row = await _row(data, stored)
    copy = tmp_path / "copy"
    await store.download(row.bucket, row.object, copy)
    content = bytearray(copy.read_bytes())
    content[-30_000] ^= 1
    copy.write_bytes(content)
    await store.upload(row.bucket, row.object, copy)
    target = tmp_path / "folder"
    target.mkdir()
    answer = run("export", str(stored.call_id), "--attempt", "1", "-o", str(target / "out.wav"))
    _fails(answer, 1, "was altered")
    assert list(target.iterdir()) == []


async def test_a_shortened_object(
    run: Run, data: Data, stored: Tenant, store: ObjectStore, tmp_path: Path
) -> None:
    row = await _row(data, stored)
    copy = tmp_path / "copy"
    await store.download(row.bucket, row.object, copy)
    copy.write_bytes(copy.read_bytes()[:-20])
    await store.upload(row.bucket, row.object, copy)
    _fails(run("export", str(stored.call_id), "--attempt", "1"), 1, "ends too early")


async def test_the_store_away(
    run: Run, box: Box, stored: Tenant, tmp_path: Path, unused_tcp_port: int
) -> None:
    tree = yaml.safe_load(box.settings_file.read_text())
    tree["object_store"]["endpoint"] = f"127.0.0.1:{unused_tcp_port}"
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(tree))
    answer = run("export", str(stored.call_id), "--attempt", "1", settings_file=settings)
    _fails(answer, 3, "does not answer")


def _fails(answer: subprocess.CompletedProcess[str], code: int, sentence: str) -> None:
    assert answer.returncode == code, answer.stderr
    assert sentence in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1, "one line for a person, no traceback"


async def _row(data: Data, tenant: Tenant) -> Recording:
    async with data.work(tenant.organization_id) as uow:
        row = await uow.session.scalar(select(Recording).where(Recording.attempt == 1))
        assert row is not None
        return row
