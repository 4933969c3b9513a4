"""Playing a stored recording: fetched once, sealed; read by byte range; written to the audit log."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from appliance.access.domain import Actor, Right
from appliance.audit.service import record
from appliance.clients.object_store import ObjectStore
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import Conflict, NotFound
from appliance.recordings.opened import OpenedRecording
from appliance.recordings.service import Place, place_of
from appliance.recordings.tables import Recording
from appliance.security.keys import KeyRing

PEAKS = 1200
KEPT_BYTES = 2 * 1024**3
"""Sealed bytes kept on disk for those who listen; the file of an older recording goes first."""
SAME_PLAYBACK_SECONDS = 600.0
"""A player asks many times while one person listens once: within this time it is one entry."""
_HEARD_KEPT = 10_000


@dataclass
class _Kept:
    """What is kept of a recording while somebody listens: no plain sound, and no key longer than that."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    opened: OpenedRecording | None = None
    peaks: list[list[int]] | None = None

    @property
    def size_bytes(self) -> int:
        return self.opened.pcm_bytes if self.opened else 0


class Playback:
    """Of one process. `folder` holds the sealed copies; each is unlinked as soon as it is open."""

    def __init__(
        self, keys: KeyRing, store: ObjectStore, folder: Path, *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._keys = keys
        self._store = store
        self._folder = folder
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()
        self._heard: dict[tuple[str, UUID], float] = {}

    async def listen(self, uow: UnitOfWork, actor: Actor, recording_id: UUID) -> OpenedRecording:
        """The recording to play, and the entry that it is played.

        NotAllowed without recordings:play; NotFound when there is none or it was deleted; Conflict when it is
        not stored yet; Unavailable when the store is away; IntegrityError when it was altered.
        """
        actor.must(Right.RECORDINGS_PLAY)
        opened = (await self._open(uow, recording_id)).opened
        assert opened is not None
        if not self._heard_lately(actor, recording_id):
            about = {"call_id": opened.header.call_id, "seconds": round(opened.seconds, 1)}
            await record(uow, actor, "recordings.play", f"recording:{recording_id}", after=about)
            await uow.commit()  # before a single byte leaves
            self._heard[actor.id, recording_id] = time.monotonic()
        return opened

    async def peaks(
        self, uow: UnitOfWork, actor: Actor, recording_id: UUID
    ) -> tuple[list[list[int]], OpenedRecording]:
        """How loud it is: PEAKS values from 0 to 100 a channel. Errors as of `listen`; not a playback."""
        actor.must(Right.RECORDINGS_PLAY)
        kept = await self._open(uow, recording_id)
        assert kept.opened is not None
        async with kept.lock:
            if kept.peaks is None:
                kept.peaks = await asyncio.to_thread(kept.opened.peaks, PEAKS)
        return kept.peaks, kept.opened

    async def _open(self, uow: UnitOfWork, recording_id: UUID) -> _Kept:
        state = await uow.session.scalar(select(Recording.state).where(Recording.id == recording_id))
        if state is None:
            raise NotFound("There is no such recording.")
        # Asked each time: a recording whose key was deleted meanwhile is not played on.
        place = await place_of(uow, self._keys, recording_id)
        if state != "stored":
            raise Conflict("The recording is not stored yet.", remedy="Try again in a few seconds.")
        kept = self._kept.setdefault(recording_id, _Kept())
        self._kept.move_to_end(recording_id)
        async with kept.lock:
            if kept.opened is None:
                kept.opened = await self._fetch(place, recording_id)
        self._make_room()
        return kept

    async def _fetch(self, place: Place, recording_id: UUID) -> OpenedRecording:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="playing-", suffix=".rec") as sealed:
            await self._store.download(place.bucket, place.object, Path(sealed.name))
            return await asyncio.to_thread(
                OpenedRecording.open, Path(sealed.name), place.data_key, recording_id
            )

    def _make_room(self) -> None:
        """Forgets the recordings asked for least lately; who still reads one keeps its file open."""
        total = sum(kept.size_bytes for kept in self._kept.values())
        while total > self._kept_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            total -= oldest.size_bytes

    def _heard_lately(self, actor: Actor, recording_id: UUID) -> bool:
        now = time.monotonic()
        if len(self._heard) > _HEARD_KEPT:
            self._heard = {key: at for key, at in self._heard.items() if now - at < SAME_PLAYBACK_SECONDS}
        heard_at = self._heard.get((actor.id, recording_id))
        return heard_at is not None and now - heard_at < SAME_PLAYBACK_SECONDS


async def wav_bytes(opened: OpenedRecording, start: int, end: int) -> AsyncGenerator[bytes]:
    """The bytes `[start, end)` of the WAV, opened in a thread a second at a time."""
    pieces = opened.wav(start, end)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
