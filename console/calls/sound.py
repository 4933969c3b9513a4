"""The sound of a recording over HTTP: by byte range (RFC 9110, section 14), so that a player can seek."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from uuid import UUID

from litestar import Response
from litestar.datastructures import State
from litestar.response import Stream

from appliance.access.domain import Actor
from appliance.clients.object_store import ObjectStore
from appliance.errors import NotFound
from appliance.recordings.opened import OpenedRecording
from appliance.recordings.playback import Playback, wav_bytes
from console.web.wiring import Wiring

_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
_STATE = "playback"


def provide_playback(state: State, wiring: Wiring) -> Playback:
    """The one of this process; its connections close with the console."""
    found: Playback | None = state.get(_STATE)
    if found is None:
        store = ObjectStore(wiring.settings.object_store)
        folder = Path(tempfile.gettempdir()) / f"trunkline-playback-{wiring.settings.console.port}"
        found = Playback(wiring.keys, store, folder)
        wiring.stack.push_async_callback(store.close)
        state[_STATE] = found
    return found


async def peaks_of(
    playback: Playback, wiring: Wiring, actor: Actor, call_id: UUID, recording_id: UUID
) -> dict[str, object]:
    """How loud both sides are over the time of the recording."""
    async with wiring.work_of(actor.organization_id) as uow:
        channels, opened = await playback.peaks(uow, actor, recording_id)
    _must_be_of(opened, call_id)
    return {"channels": channels, "seconds": round(opened.seconds, 3)}


async def sound_of(
    playback: Playback, wiring: Wiring, actor: Actor, call_id: UUID, recording_id: UUID, wanted: str | None
) -> Response[bytes] | Stream:
    """The WAV, or the part of it that a `Range` asks for; 416 for one that begins after the end."""
    async with wiring.work_of(actor.organization_id) as uow:
        opened = await playback.listen(uow, actor, recording_id)
        _must_be_of(opened, call_id)
    size = opened.wav_bytes
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    span = _span(wanted, size)
    if span is None:
        headers["Content-Range"] = f"bytes */{size}"
        return Response(b"", status_code=416, headers=headers, media_type="audio/wav")
    start, end = span
    headers["Content-Length"] = str(end - start)
    partial = wanted is not None and _RANGE.match(wanted.strip()) is not None
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 206 if partial else 200
    return Stream(wav_bytes(opened, start, end), status_code=status, headers=headers, media_type="audio/wav")


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """`[start, end)`; the whole for no range or one of another unit; None when it cannot be satisfied."""
    found = _RANGE.match(wanted.strip()) if wanted else None
    if found is None or found.group(1) == found.group(2) == "":
        return 0, size
    first, last = found.groups()
    if first == "":
        return max(0, size - int(last)), size
    start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < size and start < end else None


def _must_be_of(opened: OpenedRecording, call_id: UUID) -> None:
    if opened.header.call_id != call_id:
        raise NotFound("There is no such recording.")
