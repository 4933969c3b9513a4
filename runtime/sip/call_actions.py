"""What the bridge does for a call: the actions of the state machine, on Asterisk, the room and the audio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from appliance.calls.domain import Admission, AdmissionRefused, Ended, ProgressStatus
from appliance.errors import InvalidInput, TrunklineError
from runtime.sip.admission import CallerLeg, room_attributes
from runtime.sip.agent_side import AgentSide
from runtime.sip.ari import Event as AriEvent
from runtime.sip.call_events import (
    Action,
    Consult,
    Do,
    Event,
    Refuse,
    Release,
    Simple,
    Speak,
)
from runtime.sip.call_state import CallState, Phase
from runtime.sip.errands import Errands
from runtime.sip.gateway.names import FALLBACK_CONTEXT, REFUSE_CONTEXT
from runtime.sip.ladder import Ladder
from runtime.sip.media import Media
from runtime.sip.media_watch import MediaWatch
from runtime.sip.parts import Parts
from runtime.sip.room_leg import RoomHandlers
from runtime.sip.sounds import ringback
from runtime.sip.speaker import Speaker
from runtime.sip.switchboard import Switchboard
from runtime.sip.tasks import OwnedTasks
from runtime.sip.transfer import dial_string
from runtime.sip.transfer_desk import TransferDesk

log = structlog.get_logger()

_HARD_LIMIT_EXTRA_SECONDS: Final = 60
_LAST_WORDS_SECONDS: Final = 1.5
_AGENT_LEAVES_SECONDS: Final = 15.0
"""After a transfer the agent may finish its work in the room for so long."""


class CallActions:
    """One call's doing. `do` starts what takes time as tasks of the call; results come back as events."""

    def __init__(
        self,
        parts: Parts,
        leg: CallerLeg,
        *,
        post: Callable[[Event], None],
        tasks: OwnedTasks,
        ladder: Ladder,
        on_caller_event: Callable[[AriEvent], None],
    ) -> None:
        self._parts = parts
        self._leg = leg
        self._post = post
        self._spawn = tasks.spawn
        self._ladder = ladder
        self._admission: Admission | None = None
        self._room: AgentSide | None = None
        self.media = Media(parts.sdk_audio, self._capture)
        self._watch = MediaWatch(parts.ari)
        self._speaker = Speaker(self.media, parts.sentences, tasks)
        self._recovery: asyncio.Task[None] | None = None
        self._errands = Errands()
        self._began = False
        self._dialplan_has_caller = False
        self.refusal: AdmissionRefused | None = None
        self.sip_status: int | None = None
        self.answered_at: datetime | None = None
        gateway = parts.settings.gateway
        self._switchboard = Switchboard(
            parts.ari,
            parts.channels,
            parts.audiosocket,
            address=f"{gateway.audiosocket_host}:{gateway.audiosocket_port}",
            caller_channel=leg.channel_id,
            on_caller_event=on_caller_event,
        )
        self._desk = TransferDesk(parts, leg, self._switchboard, post=post, tasks=tasks, ladder=ladder)

    @property
    def caller_channel(self) -> str:
        return self._switchboard.caller_channel

    def replace_caller(self, channel_id: str) -> None:
        """The far side has put another channel in the caller's place; it is connected like the former."""
        self._switchboard.replace_caller(channel_id)

    def admitted(self, admission: Admission) -> None:
        self._admission = admission
        self._room = AgentSide(
            self._parts.rooms,
            self._parts.api,
            self._parts.sdk_audio,
            room_url=self._parts.settings.rooms.url,
            admission=admission,
            attributes=room_attributes(self._leg, admission),
            handlers=RoomHandlers(
                agent_ready=lambda: self._post(Simple.AGENT_READY),
                agent_finished=lambda: self._post(Simple.AGENT_FINISHED),
                agent_lost=lambda: self._post(Simple.AGENT_LOST),
                room_lost=lambda: self._post(Simple.ROOM_LOST),
                agent_track=self.media.connect_agent,
                dtmf=self._dtmf_from_agent,
                hangup=lambda: self._post(Simple.HANGUP_ASKED),
                transfer=self._desk.request,
                intruder=lambda identity: self._errands.add(lambda: self._the_room.evict(identity)),
            ),
        )
        self._spawn(self._errands.run())
        limit_seconds = admission.limits.max_duration_seconds + _HARD_LIMIT_EXTRA_SECONDS
        self._spawn(self._end_after(limit_seconds))

    @property
    def _the_room(self) -> AgentSide:
        assert self._room is not None
        return self._room

    @property
    def _the_admission(self) -> Admission:
        assert self._admission is not None
        return self._admission

    async def do(self, action: Action, state: CallState) -> None:
        """Does one action; `state` is the one that it leads to."""
        self._desk.takes_requests = state.phase is Phase.TALKING
        match action:
            case Refuse(sip_status):
                await self._refuse(sip_status)
            case Speak(key, last):
                self._speak(key, last=last)
            case Consult(target):
                self._consult(target)
            case Do.REDISPATCH | Do.REJOIN:
                self._redispatch(rejoin=action is Do.REJOIN)
            case Do.HOLD | Do.RESUME:
                self._hold(held=action is Do.HOLD)
            case Do.PREPARE:
                self._prepare()
            case Do.ANSWER:
                self._spawn(self._answer())
            case Do.BEGIN:
                await self._begin()
            case Do.REMAKE_MEDIA:
                self._spawn(self._open_media())
            case Do.DIAL:
                self._spawn(self._dial())
            case Do.JOIN:
                await self._join()
            case Do.GIVE_BACK:
                await self._give_back()
            case Do.LEAVE_ROOM:
                self._spawn(self._the_room.close())
            case Do.FALL_BACK:
                await self._fall_back()
            case Release():
                return

    # Setting up

    def _prepare(self) -> None:
        self.media.start()
        self._spawn(self._open_room())
        self._spawn(self._open_media())
        if not self._leg.is_outbound:
            self._spawn(self._ring())

    async def _open_room(self) -> None:
        try:
            await self._the_room.open()
        except TrunklineError as error:
            log.warning("no room for a call", reason=str(error))
            self._post(Simple.ROOM_FAILED)
        else:
            self._post(Simple.ROOM_JOINED)

    async def _open_media(self) -> None:
        try:
            connection = await self._switchboard.open_media()
        except TrunklineError as error:
            log.warning("no audio for a call", reason=str(error))
            self._post(Simple.MEDIA_FAILED)
        else:
            self.media.connect_phone(connection, lambda: self._post(Simple.MEDIA_LOST))
            self._post(Simple.MEDIA_READY)

    async def _ring(self) -> None:
        try:
            await self._parts.ari.ring(self._leg.channel_id)
        except TrunklineError as error:
            log.warning("a call does not ring", reason=error.code)
            return
        self._ladder.add("caller", "out", "180")
        self._tell("ringing")

    async def _dial(self) -> None:
        dial = self._the_admission.dial
        try:
            if dial is None:
                raise InvalidInput("The admission of an outbound call does not say what to dial.")
            self._ladder.add("caller", "out", "INVITE")
            await self._parts.ari.originate(
                dial_string(dial.to, dial.trunk),
                channel_id=self._leg.channel_id,
                app_args="outbound",
                caller_id=dial.from_number,
                timeout_seconds=self._the_admission.limits.ring_timeout_seconds,
            )
        except TrunklineError as error:
            log.warning("a call could not be placed", reason=error.code)
            self._post(Simple.LATE)

    async def _answer(self) -> None:
        try:
            await self._switchboard.answer()
        except TrunklineError as error:
            log.warning("a call could not be answered", reason=error.code)
            self._post(Simple.ANSWER_FAILED)
            return
        self.answered_at = datetime.now(UTC)
        self._ladder.add("caller", "out", "200")
        self._post(Simple.CALLER_UP)

    async def _begin(self) -> None:
        self._speaker.let_go()
        self._stop_recovery()
        if self._began:
            return
        self._began = True
        await self._connect_caller()
        self._errands.add(lambda: self._the_room.set_attributes(sip__callStatus="active"))
        self._tell("answered")
        self._spawn(
            self._watch.watch(
                lambda: self._switchboard.caller_channel,
                heard_at=lambda: self.media.last_from_phone,
                is_exempt=lambda: self.media.held,
                timeout_seconds=self._parts.settings.gateway.rtp_timeout_seconds,
                on_silent=lambda: self._post(Simple.RTP_SILENT),
            )
        )

    async def _connect_caller(self) -> None:
        try:
            await self._switchboard.connect_caller()
        except TrunklineError as error:
            log.warning("a caller could not be connected", reason=str(error))
            self._post(Simple.MEDIA_LOST)

    # During the call

    def _speak(self, key: str, *, last: bool) -> None:
        language = self._the_admission.language
        if last:
            self._speaker.last_words(key, language, done=lambda: self._post(Simple.LAST_WORDS_SPOKEN))
        else:
            self._speaker.reassure(key, language, first=self._connect_caller)

    def _redispatch(self, *, rejoin: bool) -> None:
        self._stop_recovery()
        self.media.connect_agent(None)
        self._tell("agent_lost")
        self._recovery = self._spawn(
            self._the_room.next_agent(rejoin=rejoin, joined=lambda: self._post(Simple.ROOM_JOINED))
        )

    def _stop_recovery(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            self._recovery = None

    def _hold(self, *, held: bool) -> None:
        self.media.held = held
        self._errands.add(lambda: self._the_room.set_attributes(trunkline__held="true" if held else "false"))
        self._tell("held" if held else "resumed")

    def dtmf_from_caller(self, digit: str) -> None:
        if digit and self._room is not None and not self.media.held:
            self._errands.add(lambda: self._the_room.send_dtmf(digit))

    def _dtmf_from_agent(self, digit: str) -> None:
        self._errands.add(lambda: self._parts.ari.send_dtmf(self._switchboard.caller_channel, digit))

    async def _capture(self, pcm: bytes) -> None:
        if self._room is not None:
            await self._room.capture(pcm)

    # Transfer

    def _consult(self, target: str) -> None:
        self._speaker.stop()
        self._tell("transferring")
        if self._desk.consult(target or self._the_admission.escalation.target or ""):
            self.media.play(ringback())

    async def _join(self) -> None:
        if await self._desk.join():
            self._stop_recovery()
            self._speaker.stop()
            self.media.held = False
            self._spawn(self._leave_room_later())

    async def _leave_room_later(self) -> None:
        await asyncio.sleep(_AGENT_LEAVES_SECONDS)
        await self._the_room.close()

    async def _give_back(self) -> None:
        self._speaker.stop()
        await self._desk.give_up()

    # The end

    async def _refuse(self, sip_status: int) -> None:
        self.sip_status = sip_status
        self._ladder.add("caller", "out", str(sip_status))
        refusal = self.refusal
        try:
            await self._switchboard.refuse(
                REFUSE_CONTEXT,
                sip_status,
                retry_after_seconds=refusal.retry_after_seconds if refusal else 5,
                contact=refusal.contact if refusal else None,
            )
        except TrunklineError as error:
            log.warning("a call could not be refused in form", reason=error.code)
        else:
            self._dialplan_has_caller = True

    async def _fall_back(self) -> None:
        admission = self._admission
        try:
            await self._switchboard.fall_back(
                FALLBACK_CONTEXT,
                language=admission.language if admission else "en",
                overflow=admission.overflow if admission else None,
            )
        except TrunklineError as error:
            log.warning("a call could not fall back", reason=error.code)
        else:
            self._dialplan_has_caller = True

    def take_quality(self, event: AriEvent) -> None:
        self._watch.take_summary("caller", event)

    async def take_down(self, release: Release) -> None:
        """Leaves nothing: no channel, bridge, port, task or room."""
        if release.party == "agent":
            await self.media.drained(longest_seconds=_LAST_WORDS_SECONDS)
        if not self._switchboard.caller_gone:
            await self._watch.look("caller", self._switchboard.caller_channel)
        await self._desk.close(release.q850_cause)
        if not self._dialplan_has_caller and not self._switchboard.caller_gone and release.party != "caller":
            self._ladder.add("caller", "out", "BYE", detail={"cause": release.q850_cause})
        await self._switchboard.close(
            hang_up_caller=not self._dialplan_has_caller, q850_cause=release.q850_cause
        )
        await self.media.close()
        if self._room is not None:
            await self._room.set_attributes(sip__callStatus="hangup")
            await self._room.close()

    async def report(self, release: Release, gateway_cause: int) -> None:
        """Tells the tool API how the call ended; a call that was never admitted has no row."""
        if self._admission is None:
            return
        log.info("media of a call", call_id=str(self._admission.call_id), **self.media.summary())
        ended = Ended(
            at=datetime.now(UTC),
            hangup_party=release.party,
            q850_cause=(gateway_cause if release.party == "caller" else 0) or release.q850_cause,
            sip_status=self.sip_status,
            answered_at=self.answered_at,
            ladder=tuple(self._ladder.entries),
            quality=self._watch.quality,
        )
        await self._parts.ended.deliver(self._admission.call_id, ended)

    async def _end_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._post(Simple.TIME_OVER)

    def _tell(self, status: ProgressStatus) -> None:
        self._parts.progress.tell(self._the_admission.call_id, status)
