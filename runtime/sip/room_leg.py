"""The caller's place in the room: a SIP participant with one microphone track, and what the agent does there.

Names of attributes and RPC methods: docs/architecture.md, Contract 2.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from livekit import rtc

from appliance.errors import Unavailable
from runtime.sip.sdk_audio import SdkAudio

log = structlog.get_logger()

SAMPLE_RATE_HZ: Final = 16_000
AGENT_ATTRIBUTE: Final = "trunkline.agent"
_HANGUP_METHOD: Final = "trunkline.hangup"
_TRANSFER_METHOD: Final = "trunkline.transfer"
_CONNECT_TIMEOUT_SECONDS: Final = 8.0
_REQUEST_TIMEOUT_SECONDS: Final = 4.0
_ABANDONED_CONNECT_SECONDS: Final = 20.0
_ALIVE_CHECK_SECONDS: Final = 0.4
_ALIVE_MISSES: Final = 5
"""A living agent's track never stops (silence is sent too), so 2 s without a packet mean that it is gone;
LiveKit itself notices a killed process only after many seconds."""
_DTMF_CODES: Final = {digit: code for code, digit in enumerate("0123456789*#ABCD")}


@dataclass(frozen=True, slots=True)
class RoomHandlers:
    """What the owner of the leg wants to hear. None of them may block."""

    agent_ready: Callable[[], None]
    agent_finished: Callable[[], None]
    """The agent said that it has finished, or left after it said so."""
    agent_lost: Callable[[], None]
    room_lost: Callable[[], None]
    agent_track: Callable[[rtc.RemoteAudioTrack | None], None]
    dtmf: Callable[[str], None]
    hangup: Callable[[], None]
    transfer: Callable[[str, str], Awaitable[dict[str, Any]]]
    """Target and mode (`blind` or `attended`) to the RPC's answer."""
    intruder: Callable[[str], None]
    """A second agent is in the room: its identity."""


class RoomLeg:
    """Join once, leave once. Every method but `leave` raises Unavailable when the room does not answer."""

    def __init__(self, sdk: SdkAudio, handlers: RoomHandlers) -> None:
        self._sdk = sdk
        self._handlers = handlers
        self._room = rtc.Room()
        self._source: rtc.AudioSource | None = None
        self._publication: rtc.LocalTrackPublication | None = None
        self._agent: str | None = None
        """Identity of the agent that serves this call."""
        self._connecting: asyncio.Future[None] | None = None
        self._dismissed: set[str] = set()
        """Agents that no longer count: whatever they do or say, it happens to nobody."""
        self._finished = False
        self._left = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._room.on("participant_connected", self._on_participant_connected)
        self._room.on("participant_disconnected", self._on_participant_disconnected)
        self._room.on("participant_attributes_changed", self._on_attributes_changed)
        self._room.on("track_subscribed", self._on_track_subscribed)
        self._room.on("track_unsubscribed", self._on_track_unsubscribed)
        self._room.on("sip_dtmf_received", self._on_dtmf)
        self._room.on("disconnected", self._on_disconnected)

    @property
    def agent(self) -> str | None:
        return self._agent

    async def join(self, url: str, token: str, attributes: Mapping[str, str]) -> None:
        """Joins, tells its attributes and publishes the caller's track."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                # Never cancelled: the native side takes a connect that nobody finishes for a panic, and the
                # SDK then ends the whole process by SIGTERM.
                self._connecting = asyncio.ensure_future(
                    self._room.connect(url, token, rtc.RoomOptions(auto_subscribe=True))
                )
                await asyncio.shield(self._connecting)
                participant = self._room.local_participant
                participant.register_rpc_method(_HANGUP_METHOD, self._rpc_hangup)
                participant.register_rpc_method(_TRANSFER_METHOD, self._rpc_transfer)
                await participant.set_attributes(dict(attributes))
                self._source = rtc.AudioSource(SAMPLE_RATE_HZ, 1, queue_size_ms=0)
                track = rtc.LocalAudioTrack.create_audio_track("caller", self._source)
                options = rtc.TrackPublishOptions(
                    source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False
                )
                self._publication = await participant.publish_track(track, options)
        except Exception as error:  # the SDK has no error of its own for half of its failures
            raise Unavailable(f"The room cannot be joined ({type(error).__name__}).") from error
        # Who was there before us made no event.
        for participant in self._room.remote_participants.values():
            self._consider(participant)
            for publication in participant.track_publications.values():
                if publication.track is not None:
                    self._on_track_subscribed(publication.track, publication, participant)

    async def capture(self, pcm: bytes) -> None:
        """Sends 10 ms of the caller's audio (16-bit, 16 kHz, mono) into the room. Never raises."""
        if self._source is None or self._left:
            return
        try:
            await self._sdk.capture(self._source, rtc.AudioFrame(pcm, SAMPLE_RATE_HZ, 1, len(pcm) // 2))
        except Exception as error:  # a room that is being lost; its loss is told by its own event
            log.debug("the room took no audio", reason=type(error).__name__)

    async def set_attributes(self, attributes: Mapping[str, str]) -> None:
        await self._request(lambda: self._room.local_participant.set_attributes(dict(attributes)))

    async def send_dtmf(self, digit: str) -> None:
        code = _DTMF_CODES.get(digit.upper())
        if code is not None:
            await self._request(
                lambda: self._room.local_participant.publish_dtmf(code=code, digit=digit.upper())
            )

    @property
    def joined(self) -> bool:
        """Whether it is in the room now: not on its way, not lost, not left."""
        return self._publication is not None and self._room.isconnected()

    async def leave(self, see_off: Callable[[str], Awaitable[None]]) -> None:
        """Leaves and frees everything; no handler is called any more. Never raises, never hangs.

        `see_off` takes a participant out of the room by its identity: the SDK never frees a track (half a
        megabyte) whose sender is still there when the room is left.
        """
        if self._left:
            return
        self._left = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connecting is not None and not self._connecting.done():
            # It ends by itself soon, at the latest by the SDK's own limits or with the room.
            await asyncio.wait({self._connecting}, timeout=_ABANDONED_CONNECT_SECONDS)
        if self._connecting is not None and self._connecting.done() and not self._connecting.cancelled():
            self._connecting.exception()  # a failure that nobody waits for any more
        source, self._source = self._source, None
        if self.joined:
            await self._try(lambda: self._see_others_off(see_off))
        await self._try(self._take_back)
        if source is not None:
            await self._try(source.aclose)
        await self._try(self._room.disconnect)

    async def _see_others_off(self, see_off: Callable[[str], Awaitable[None]]) -> None:
        alone = asyncio.Event()

        def look(_participant: rtc.RemoteParticipant) -> None:
            if not self._room.remote_participants:
                alone.set()

        self._room.on("participant_disconnected", look)
        try:
            if others := list(self._room.remote_participants):
                await asyncio.gather(*(see_off(identity) for identity in others))
                await alone.wait()
        finally:
            self._room.off("participant_disconnected", look)

    async def _take_back(self) -> None:
        """The SDK frees a room (half a megabyte) only when no track is published and no method registered."""
        publication, self._publication = self._publication, None
        if publication is None or not self._room.isconnected():
            return
        participant = self._room.local_participant
        for method in (_HANGUP_METHOD, _TRANSFER_METHOD):
            participant.unregister_rpc_method(method)
        await participant.unpublish_track(publication.sid)

    async def _try(self, step: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """One step of leaving: the next ones are taken even when it fails."""
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                await step()
        except Exception as error:
            log.warning("the room was not left in order", reason=type(error).__name__)

    async def _request(self, request: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        if self._left or not self._room.isconnected():
            raise Unavailable("The room is not there.")
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                await request()
        except Exception as error:
            raise Unavailable(f"The room did not take a request ({type(error).__name__}).") from error

    # What happens in the room

    def _consider(self, participant: rtc.RemoteParticipant) -> None:
        state = participant.attributes.get(AGENT_ATTRIBUTE)
        if participant.identity in self._dismissed:
            return
        if state == "ready":
            if self._agent is None:
                self._agent = participant.identity
                self._finished = False
                self._handlers.agent_ready()
            elif self._agent != participant.identity:
                self._dismissed.add(participant.identity)
                self._handlers.intruder(participant.identity)
        elif state == "finished" and participant.identity == self._agent and not self._finished:
            self._finished = True
            self._handlers.agent_finished()

    def has_agents(self) -> bool:
        """Whether an agent that counts is in the room, ready or not."""
        return any(
            participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
            and participant.identity not in self._dismissed
            for participant in self._room.remote_participants.values()
        )

    def dismiss_agents(self) -> list[str]:
        """The next agent that is ready is the call's; returns the identities of those to take out."""
        present = [
            participant.identity
            for participant in self._room.remote_participants.values()
            if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        ]
        self._dismissed.update(present)
        self._forget_agent()
        return present

    def _forget_agent(self) -> None:
        if self._agent is not None:
            self._dismissed.add(self._agent)
        self._agent, self._finished = None, False

    def _on_participant_connected(self, participant: rtc.RemoteParticipant) -> None:
        # What it said before it was shown to us makes no event of its own.
        if not self._left:
            self._consider(participant)

    def _on_attributes_changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if not self._left and AGENT_ATTRIBUTE in changed and isinstance(participant, rtc.RemoteParticipant):
            self._consider(participant)

    def _on_participant_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if self._left or participant.identity in self._dismissed:
            return
        if participant.identity == self._agent:
            finished = self._finished
            self._forget_agent()
            self._handlers.agent_track(None)
            (self._handlers.agent_finished if finished else self._handlers.agent_lost)()
        elif self._agent is None and participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            self._handlers.agent_lost()

    def _on_track_subscribed(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if self._left or not isinstance(track, rtc.RemoteAudioTrack):
            return
        if self._agent not in (None, participant.identity) or participant.identity in self._dismissed:
            return
        self._handlers.agent_track(track)
        self._own(self._watch(track, participant.identity))

    def _on_track_unsubscribed(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if not self._left and participant.identity == self._agent:
            self._handlers.agent_track(None)

    def _on_dtmf(self, dtmf: rtc.SipDTMF) -> None:
        if not self._left and dtmf.participant is not None and dtmf.digit:
            self._handlers.dtmf(dtmf.digit)

    def _on_disconnected(self, _reason: object) -> None:
        if not self._left:
            self._handlers.room_lost()

    async def _watch(self, track: rtc.RemoteAudioTrack, identity: str) -> None:
        """Says that the agent is lost when its track has carried no packet for a while."""
        received, misses = -1, 0
        while identity in self._room.remote_participants:
            await asyncio.sleep(_ALIVE_CHECK_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                    now = _packets_received(await track.get_stats())
                    misses = misses + 1 if now == received and now > 0 else 0
                    received = now
            if misses >= _ALIVE_MISSES and self._agent == identity and not self._finished:
                log.warning("the agent's audio stopped")
                self._forget_agent()
                self._handlers.agent_track(None)
                self._handlers.intruder(identity)
                self._handlers.agent_lost()
                return

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._disown)

    def _disown(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a watch of the room ended", reason=type(error).__name__)

    async def _rpc_hangup(self, _invocation: rtc.RpcInvocationData) -> str:
        self._handlers.hangup()
        return "{}"

    async def _rpc_transfer(self, invocation: rtc.RpcInvocationData) -> str:
        try:
            payload = json.loads(invocation.payload)
            target, mode = str(payload["target"]), str(payload.get("mode", "blind"))
        except (ValueError, KeyError, TypeError):
            raise rtc.RpcError(
                code=rtc.RpcError.ErrorCode.APPLICATION_ERROR, message="the payload names no target"
            ) from None
        return json.dumps(await self._handlers.transfer(target, mode))


def _packets_received(statistics: list[Any]) -> int:
    return sum(
        entry.inbound_rtp.received.packets_received
        for entry in statistics
        if entry.WhichOneof("stats") == "inbound_rtp"
    )
