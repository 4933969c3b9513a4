"""Recordings of a test's call, spooled as a worker spools them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from sqlalchemy import select

from appliance.calls.domain import RecordingGrant
from appliance.recordings.container import SAMPLE_RATE_HZ
from appliance.recordings.service import open_recording
from appliance.recordings.spool import SpoolWriter
from appliance.recordings.tables import Recording
from tests.integration.database.world import Data, Tenant

_T = TypeVar("_T")


async def granted(data: Data, tenant: Tenant, attempt: int = 1) -> RecordingGrant:
    async with data.work(tenant.organization_id) as uow:
        return await open_recording(
            uow, data.keys, call_id=tenant.call_id, attempt=attempt, bucket="recordings"
        )


def tones(seconds: float) -> bytes:
    """Left 300 Hz, right 500 Hz, interleaved."""
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    left, right = (8000 * np.sin(2 * np.pi * hertz * times) for hertz in (300, 500))
    return np.stack([left, right], axis=1).astype("<i2").tobytes()


def spooled(spool_dir: Path, tenant: Tenant, grant: RecordingGrant, pcm: bytes, attempt: int = 1) -> Path:
    """A spool that its writer has sealed."""
    writer = SpoolWriter.create(spool_dir, grant, call_id=tenant.call_id, attempt=attempt)
    writer.append(pcm)
    writer.close()
    return writer.path


_DOOMED = """
import sys, signal
from pathlib import Path
from uuid import UUID
from appliance.calls.domain import RecordingGrant
from appliance.recordings.spool import SpoolWriter
grant = RecordingGrant.model_validate_json(sys.stdin.readline())
writer = SpoolWriter.create(Path(sys.argv[1]), grant, call_id=UUID(sys.argv[2]), attempt=1)
writer.append(bytes.fromhex(sys.stdin.readline()))
print("written", flush=True)
signal.pause()
"""


def spooled_by_one_who_is_killed(
    spool_dir: Path, tenant: Tenant, grant: RecordingGrant, pcm: bytes, *, meanwhile: Callable[[], None]
) -> None:
    """Another process writes `pcm` and is killed after `meanwhile`, with the spool in its hands."""
    with subprocess.Popen(
        [sys.executable, "-c", _DOOMED, str(spool_dir), str(tenant.call_id)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        try:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(grant.model_dump_json() + "\n" + pcm.hex() + "\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "written\n"
            meanwhile()
        finally:
            writer.kill()


async def recording_row(data: Data, tenant: Tenant, grant: RecordingGrant) -> Recording:
    async with data.work(tenant.organization_id) as uow:
        row = await uow.session.scalar(select(Recording).where(Recording.id == grant.recording_id))
        assert row is not None
        return row


async def until(condition: Callable[[], Awaitable[_T]], what: str, *, within_seconds: float = 120) -> _T:
    """Waits for a condition to hold and returns what it gave."""
    end = time.monotonic() + within_seconds
    while True:
        found = await condition()
        if found:
            return found
        assert time.monotonic() < end, f"did not happen within {within_seconds} s: {what}"
        await asyncio.sleep(0.1)


def data_key(grant: RecordingGrant) -> bytes:
    return b64decode(grant.data_key)
