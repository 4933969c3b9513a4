"""`appliance recording`: the WAV comes back, and every reason why not has its sentence and exit code."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
import yaml
from sqlalchemy import select
from typer.testing import CliRunner

from appliance.cli import exit_code
from appliance.cli.recording import app as recording
from appliance.clients.object_store import ObjectStore
from appliance.errors import TrunklineError
from appliance.recordings.archive import Archive
from appliance.recordings.tables import Recording
from appliance.security.sealing import new_key
from appliance.settings import SETTINGS_VARIABLE
from provisioning.lite.box import Box
from tests.integration.database.world import Data, Tenant
from tests.integration.recordings.spooling import granted, spooled, tones

Run = Callable[..., "Answer"]
PCM = tones(2.5)


@dataclass
class Answer:
    """How the command ended: exit code and what it wrote."""

    code: int
    output: str
    errors: str


@pytest.fixture
def command(box: Box, tmp_path: Path) -> Run:
    """Runs `appliance recording ...` as a process of its own, in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()

    def run(*arguments: str) -> Answer:
        environment = os.environ | box.environment | {"PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run(
            [sys.executable, "-c", "from appliance.cli import main; main()", "recording", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def run(box: Box) -> Run:
    """Runs the same in this process, which is quicker; errors end as in `appliance.cli.main`."""

    def run(*arguments: str, settings_file: Path | None = None) -> Answer:
        environment = {SETTINGS_VARIABLE: str(settings_file or box.settings_file)}
        done = CliRunner().invoke(recording, [*arguments], env=environment)
        if isinstance(done.exception, TrunklineError):
            return Answer(exit_code(done.exception), done.stdout, f"appliance: {done.exception}\n")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Answer(done.exit_code, done.stdout, done.stderr)

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


async def test_a_stored_recording_comes_back_as_wav(command: Run, stored: Tenant, tmp_path: Path) -> None:
    answer = await asyncio.to_thread(
        command, "export", str(stored.call_id), "-o", str(tmp_path / "out.wav"), "--attempt", "1"
    )
    assert (answer.code, answer.errors) == (0, "")
    assert "2.5 s" in answer.output
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 16_000)
        assert file.readframes(file.getnframes()) == PCM


async def test_the_list_shows_it(run: Run, stored: Tenant) -> None:
    answer = await asyncio.to_thread(run, "list", "--limit", "1000")
    line = next(
        line for line in answer.output.splitlines() if str(stored.call_id) in line and "stored" in line
    )
    assert line.split()[1:4] == ["1", "stored", "2.5"]


async def test_an_unknown_call(run: Run, data: Data) -> None:
    _fails(await asyncio.to_thread(run, "export", str(uuid4())), 1, "There is no call")


async def test_one_that_is_not_stored_yet(run: Run, data: Data, tenant: Tenant) -> None:
    await granted(data, tenant)
    _fails(await asyncio.to_thread(run, "export", str(tenant.call_id), "--attempt", "1"), 1, "not stored yet")


async def test_no_such_attempt(run: Run, stored: Tenant) -> None:
    _fails(await asyncio.to_thread(run, "export", str(stored.call_id), "--attempt", "7"), 1, "no recording 7")


async def test_what_is_no_call_id(run: Run) -> None:
    answer = await asyncio.to_thread(run, "export", "not-an-id")
    assert answer.code == 2
    assert "Traceback" not in answer.errors


async def test_a_file_that_cannot_be_written(run: Run, stored: Tenant, tmp_path: Path) -> None:
    target = tmp_path / "missing" / "out.wav"
    _fails(
        await asyncio.to_thread(run, "export", str(stored.call_id), "--attempt", "1", "-o", str(target)),
        2,
        "cannot be written",
    )


async def test_another_box_key(run: Run, box: Box, stored: Tenant, tmp_path: Path) -> None:
    tree = yaml.safe_load(box.settings_file.read_text())
    key = tmp_path / "other_key"
    key.write_text(base64.b64encode(new_key()).decode())
    tree["security"]["box_key"]["file"] = str(key)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(tree))
    answer = await asyncio.to_thread(
        run, "export", str(stored.call_id), "--attempt", "1", settings_file=settings
    )
    _fails(answer, 1, "box key does not fit")


async def test_an_altered_object_leaves_no_file(
    command: Run, data: Data, stored: Tenant, store: ObjectStore, tmp_path: Path
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
    answer = await asyncio.to_thread(
        command, "export", str(stored.call_id), "--attempt", "1", "-o", str(target / "out.wav")
    )
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
    _fails(await asyncio.to_thread(run, "export", str(stored.call_id), "--attempt", "1"), 1, "ends too early")


async def test_the_store_away(
    run: Run, box: Box, stored: Tenant, tmp_path: Path, unused_tcp_port: int
) -> None:
    tree = yaml.safe_load(box.settings_file.read_text())
    tree["object_store"]["endpoint"] = f"127.0.0.1:{unused_tcp_port}"
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(tree))
    answer = await asyncio.to_thread(
        run, "export", str(stored.call_id), "--attempt", "1", settings_file=settings
    )
    _fails(answer, 3, "does not answer")


def _fails(answer: Answer, code: int, sentence: str) -> None:
    assert answer.code == code, answer.errors
    assert sentence in answer.errors
    assert len(answer.errors.strip().splitlines()) == 1, "one line for a person, no traceback"


async def _row(data: Data, tenant: Tenant) -> Recording:
    async with data.work(tenant.organization_id) as uow:
        row = await uow.session.scalar(select(Recording).where(Recording.attempt == 1))
        assert row is not None
        return row
