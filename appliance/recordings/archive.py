"""The way of a spool into the store: sealed, uploaded, read back, written down, and only then removed."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls.domain import RecordingSealed, RecordingState
from appliance.clients.object_store import ObjectStore
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import IntegrityError, NotFound, Unavailable
from appliance.recordings.container import Header
from appliance.recordings.service import Place, place_of, record_sealed
from appliance.recordings.spool import Sealed, locked_spool, seal_torn, set_aside
from appliance.security.keys import KeyRing

_log = structlog.get_logger(__name__)

Arrival = Literal["stored", "in_use", "set_aside", "deleted"]
"""`in_use`: a call still writes it; `set_aside`: damaged, kept for a person; `deleted`: its key is gone."""


@dataclass(frozen=True)
class Archive:
    """What it takes to bring spools in."""

    engine: AsyncEngine
    keys: KeyRing
    store: ObjectStore

    async def bring_in(self, path: Path) -> Arrival:
        """Brings one spool to its end. However it is interrupted, it can be called again and nothing is lost.

        Raises Unavailable when the database or the store is away, IntegrityError when a key does not fit (the
        operator may have put the wrong one in place), NotAllowed when the store refuses: the spool stays.
        """
        with locked_spool(path) as file:
            if file is None:
                return "in_use"
            try:
                header, _ = await asyncio.to_thread(Header.read, file)
            except IntegrityError as error:
                return _aside(path, error)
            try:
                place = await self._place(header)
            except NotFound as error:
                if error.code != "deleted":
                    return _aside(path, error)
                _remove(path)
                _log.info("spool of a deleted recording removed", recording_id=str(header.recording_id))
                return "deleted"
            try:
                sealed = await asyncio.to_thread(seal_torn, file, place.data_key)
            except IntegrityError as error:
                await self._tell(header, "failed", None)
                return _aside(path, error)
            await self._tell(header, "sealed", sealed)
            await self._store(path, place, sealed)
            await self._tell(header, "stored", sealed)
            _remove(path)
            _log.info(
                "recording stored",
                recording_id=str(header.recording_id),
                call_id=str(header.call_id),
                seconds=round(sealed.seconds, 1),
                size_bytes=sealed.size_bytes,
            )
            return "stored"

    async def _place(self, header: Header) -> Place:
        async with UnitOfWork(self.engine, header.organization_id) as uow:
            return await place_of(uow, self.keys, header.recording_id)

    async def _store(self, path: Path, place: Place, sealed: Sealed) -> None:
        try:
            await self.store.upload(place.bucket, place.object, path)
            found = await self.store.read_back(place.bucket, place.object)
        except NotFound as error:
            raise Unavailable(error.message, remedy=f"Make the bucket {place.bucket}.") from error
        if (found.sha256, found.size_bytes) != (sealed.sha256, sealed.size_bytes):
            raise Unavailable(
                f"The store gave back other bytes than it was given for {place.object}.",
                remedy="It is uploaded again.",
            )

    async def _tell(self, header: Header, state: RecordingState, sealed: Sealed | None) -> None:
        news = RecordingSealed(state=state)
        if sealed is not None:
            news = RecordingSealed(
                state=state,
                sha256=sealed.sha256,
                size_bytes=sealed.size_bytes,
                seconds=sealed.seconds,
                channels=header.channels,
                sample_rate_hz=header.sample_rate_hz,
            )
        async with UnitOfWork(self.engine, header.organization_id) as uow:
            await record_sealed(uow, header.recording_id, news)


def _aside(path: Path, error: Exception) -> Arrival:
    kept = set_aside(path)
    _log.error("spool set aside", file=kept.name, reason=str(error))
    return "set_aside"


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
