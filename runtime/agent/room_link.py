"""The room as the worker sees it (docs/architecture.md, Contract 2).

The caller's state comes in, and what the bridge is asked to do goes out.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal, Protocol

import structlog
from livekit import rtc

_log = structlog.get_logger(__name__)

_RPC_SECONDS = 5.0
_TRANSFER_SECONDS = 75.0
_ENDED = (rtc.DisconnectReason.ROOM_DELETED, rtc.DisconnectReason.ROOM_CLOSED)
"""The bridge deletes the room when the call is over; for any other reason it is we who were lost."""


class RoomListener(Protocol):
    """What a call wants to know of its room. Called on the loop; must not wait."""

    def caller_active(self) -> None: ...
    def caller_held(self, on: bool) -> None: ...
    def caller_left(self) -> None: ...
    def room_lost(self) -> None: ...
    def caller_track(self, track: rtc.Track) -> None: ...
    def key_pressed(self, key: str) -> None: ...


class RoomLink:
    """Follows one caller in one room."""

    def __init__(self, room: rtc.Room, caller_identity: str, listener: RoomListener) -> None:
        self._room = room
        self._caller = caller_identity
        self._listener = listener
        self._active = False
        self._held = False
        self._left = False
        self._watching = False

    def attach(self) -> None:
        """Before the room is entered, so that nothing is missed."""
        self._room.on("participant_connected", self._seen)
        self._room.on("participant_disconnected", self._gone)
        self._room.on("participant_attributes_changed", self._changed)
        self._room.on("track_subscribed", self._track)
        self._room.on("sip_dtmf_received", self._dtmf)
        self._room.on("disconnected", self._room_lost)

    def scan(self) -> None:
        """When the call is ready for it: what is there now; from then on, what changes."""
        self._watching = True
        caller = self._room.remote_participants.get(self._caller)
        if caller is not None:
            self._seen(caller)
            for publication in caller.track_publications.values():
                if publication.track is not None:
                    self._track(publication.track, publication, caller)

    @property
    def caller_only_reads(self) -> bool:
        """Whether the caller neither speaks nor hears: somebody who writes on a web site."""
        caller = self._room.remote_participants.get(self._caller)
        return caller is not None and caller.attributes.get("trunkline.mode") == "text"

    async def say_state(self, state: Literal["ready", "finished"]) -> None:
        """Sets `trunkline.agent`; failing to is logged, as the room may be gone."""
        try:
            async with asyncio.timeout(_RPC_SECONDS):
                await self._room.local_participant.set_attributes({"trunkline.agent": state})
        except Exception as error:  # the SDK raises bare exceptions
            _log.warning("agent state not told", state=state, reason=type(error).__name__)

    async def hang_up(self, reason: str) -> None:
        """Asks the bridge to end the call; one that does not answer ends it when we have left."""
        await self._call("trunkline.hangup", {"reason": reason}, _RPC_SECONDS)

    async def transfer(self, target: str, mode: Literal["blind", "attended"]) -> dict[str, Any]:
        """Asks the bridge for a transfer and waits for its end: `{result: bridged|failed, cause, detail}`."""
        answer = await self._call("trunkline.transfer", {"target": target, "mode": mode}, _TRANSFER_SECONDS)
        return answer or {"result": "failed", "cause": 0, "detail": "the bridge did not answer"}

    async def _call(
        self, method: str, payload: dict[str, Any], timeout_seconds: float
    ) -> dict[str, Any] | None:
        if self._left:
            return None
        try:
            async with asyncio.timeout(timeout_seconds + 1.0):
                answer = await self._room.local_participant.perform_rpc(
                    destination_identity=self._caller,
                    method=method,
                    payload=json.dumps(payload),
                    response_timeout=timeout_seconds,
                )
            parsed: Any = json.loads(answer or "{}")
        except (rtc.RpcError, TimeoutError, ValueError) as error:
            _log.warning("bridge did not do it", method=method, reason=type(error).__name__)
            return None
        return parsed if isinstance(parsed, dict) else {}

    def _seen(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._caller:
            self._read(participant.attributes)

    def _changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity == self._caller:
            self._read(participant.attributes | changed)

    def _read(self, attributes: dict[str, str]) -> None:
        status = attributes.get("sip.callStatus", "")
        if status == "hangup":
            self._leave()
            return
        if not self._watching:
            return
        if status == "active" and not self._active:
            self._active = True
            self._listener.caller_active()
        held = attributes.get("trunkline.held", "false") == "true"
        if held is not self._held:
            self._held = held
            self._listener.caller_held(held)

    def _gone(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._caller:
            self._leave()

    def _room_lost(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if reason in _ENDED:
            self._leave()
        elif not self._left:
            self._left = True
            self._listener.room_lost()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self._listener.caller_left()

    def _track(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if not self._watching:
            return
        if participant.identity == self._caller and track.kind == rtc.TrackKind.KIND_AUDIO:
            self._listener.caller_track(track)

    def _dtmf(self, dtmf: rtc.SipDTMF) -> None:
        if dtmf.participant is not None and dtmf.participant.identity == self._caller:
            self._listener.key_pressed(dtmf.digit)
