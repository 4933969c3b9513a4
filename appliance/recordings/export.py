"""A stored recording as a WAV file again."""

from __future__ import annotations

import asyncio
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls.tables import Call
from appliance.clients.object_store import ObjectStore
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, IntegrityError, InvalidInput, NotFound
from appliance.recordings.container import ChunkCipher, Header, read_chunks
from appliance.recordings.service import Place, place_of
from appliance.recordings.tables import Recording
from appliance.security.keys import KeyRing


@dataclass(frozen=True)
class ListedRecording:
    """One line of the list; `seconds` and `size_bytes` are None until it is sealed."""

    recording_id: UUID
    call_id: UUID
    attempt: int
    state: str
    created_at: datetime
    seconds: float | None
    size_bytes: int | None
    bucket: str
    object: str


@dataclass(frozen=True)
class Exported:
    path: Path
    seconds: float
    attempt: int


@dataclass(frozen=True)
class Exporter:
    """For the operator of the box, who may read the recordings of every organization."""

    app: AsyncEngine
    router: AsyncEngine
    keys: KeyRing
    store: ObjectStore

    async def newest(self, limit: int) -> Sequence[ListedRecording]:
        """The newest recordings of the box, the newest first."""
        columns = [
            getattr(Recording, name)
            for name in ("id", "call_id", "attempt", "state", "created_at", "seconds", "size_bytes")
        ]
        async with UnitOfWork(self.router, None) as uow:
            rows = await uow.session.execute(
                select(*columns, Recording.bucket, Recording.object)
                .order_by(Recording.created_at.desc())
                .limit(limit)
            )
            return [ListedRecording(*row) for row in rows]

    async def export(self, call_id: UUID, path: Path, *, attempt: int | None = None) -> Exported:
        """Writes a call's recording (the last attempt's, or the given one's) as a two-channel 16 kHz WAV.

        The file appears only when the whole recording was proven genuine. NotFound for an unknown call or one
        without a recording, Conflict if it is not stored yet, IntegrityError if the object was altered or the
        key is another one, InvalidInput if the file cannot be written.
        """
        recording_id, organization_id, attempt = await self._find(call_id, attempt)
        async with UnitOfWork(self.app, organization_id) as uow:
            place = await place_of(uow, self.keys, recording_id)
        with tempfile.NamedTemporaryFile(prefix="trunkline-", suffix=".rec") as sealed:
            await self.store.download(place.bucket, place.object, Path(sealed.name))
            seconds = await asyncio.to_thread(_unseal, Path(sealed.name), path, place, recording_id)
        return Exported(path, seconds, attempt)

    async def _find(self, call_id: UUID, attempt: int | None) -> tuple[UUID, UUID, int]:
        async with UnitOfWork(self.router, None) as uow:
            if await uow.session.scalar(select(Call.id).where(Call.id == call_id)) is None:
                raise NotFound(
                    f"There is no call {call_id}.", remedy="`appliance recording list` shows those that are."
                )
            wanted = [Recording.call_id == call_id]
            if attempt is not None:
                wanted.append(Recording.attempt == attempt)
            row = (
                await uow.session.execute(
                    select(Recording.id, Recording.organization_id, Recording.attempt, Recording.state)
                    .where(*wanted)
                    .order_by(Recording.attempt.desc())
                    .limit(1)
                )
            ).first()
        if row is None:
            raise NotFound(f"The call {call_id} has no recording" + (f" {attempt}." if attempt else "."))
        if row.state == "failed":
            raise IntegrityError(
                f"The recording of the call {call_id} was damaged before it could be stored."
            )
        if row.state != "stored":
            raise Conflict(
                f"The recording of the call {call_id} is not stored yet (it is {row.state}).",
                remedy="Try again in a few seconds; `appliance status` shows whether the store is away.",
            )
        return row.id, row.organization_id, row.attempt


def _unseal(sealed: Path, path: Path, place: Place, recording_id: UUID) -> float:
    unfinished = path.with_name(f".{path.name}.unfinished")
    frames = 0
    try:
        with sealed.open("rb") as stream:
            header, header_bytes = Header.read(stream)
            if header.recording_id != recording_id:
                raise IntegrityError(
                    f"Another recording lies at {place.object}.", remedy="Restore it from a backup."
                )
            cipher = ChunkCipher(place.data_key, header, header_bytes)
            with unfinished.open("wb") as raw, wave.open(raw, "wb") as file:
                file.setnchannels(header.channels)
                file.setsampwidth(2)
                file.setframerate(header.sample_rate_hz)
                for pcm in read_chunks(stream, cipher):
                    file.writeframesraw(pcm)
                    frames += len(pcm) // (2 * header.channels)
        unfinished.replace(path)
    except OSError as error:
        raise InvalidInput(f"The file {path} cannot be written: {error.strerror}.", field="output") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return frames / header.sample_rate_hz
