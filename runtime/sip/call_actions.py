"""What the bridge does for a call: the actions of the state machine, on Asterisk, the room and the audio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from appliance.calls.domain import Admission, AdmissionRefused, Ended, ProgressStatus
from appliance.errors import InvalidInput, TrunklineError
from runtime.sip.admission import CallerLeg, room_attributes
from runtime.sip.agent_side import AgentSide
from runtime.sip.ari import Event as AriEvent
from runtime.sip.call_events import (
    NORMAL_CLEARING,
    Action,
    Consult,
    Do,
    Event,
    Refuse,
    Release,
    Simple,
    Speak,
    TransferAsked,
)
from runtime.sip.call_state import CallState, Phase
from runtime.sip.gateway.names import FALLBACK_CONTEXT, REFUSE_CONTEXT
from runtime.sip.ladder import Ladder
from runtime.sip.media import Media
from runtime.sip.media_watch import MediaWatch
from runtime.sip.parts import Parts
from runtime.sip.room_leg import RoomHandlers
from runtime.sip.sounds import ringback
from runtime.sip.switchboard import Switchboard
from runtime.sip.tasks import OwnedTasks
from runtime.sip.transfer import Consultation, dial_string

log = structlog.get_logger()

_CONSULT_RING_SECONDS: Final = 30
_HARD_LIMIT_EXTRA_SECONDS: Final = 60
_LAST_WORDS_SECONDS: Final = 1.5
_SENTENCE_PAUSE_SECONDS: Final = 2.5
_AGENT_LEAVES_SECONDS: Final = 15.0
"""After a transfer the agent may finish its work in the room for so long."""
_MAX_ERRANDS: Final = 128


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
        self.media = Media(self._capture)
        self._watch = MediaWatch(parts.ari)
        self._consultation: Consultation | None = None
        self._transfer_answer: asyncio.Future[dict[str, Any]] | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._errands: asyncio.Queue[Callable[[], Coroutine[Any, Any, None]]] = asyncio.Queue(_MAX_ERRANDS)
        self._phase = Phase.ADMITTING
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
                transfer=self._transfer,
                intruder=lambda identity: self._errand(lambda: self._the_room.evict(identity)),
            ),
        )
        self._spawn(self._run_errands())
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
        self._phase = state.phase
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
        self._stop_speaking(at_once=False)
        if self._recovery is not None:
            self._recovery.cancel()
        if self._began:
            return
        self._began = True
        await self._connect_caller()
        self._errand(lambda: self._the_room.set_attributes(sip__callStatus="active"))
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
        self._stop_speaking(at_once=True)
        self._speaking = self._spawn(self._say(key, last=last))

    async def _say(self, key: str, *, last: bool) -> None:
        """The last words once, others over and over until the call goes on."""
        if self._leg.is_outbound:
            await self._connect_caller()
        while True:
            spoken = asyncio.Event()
            frames = self._parts.sentences.frames(key, self._the_admission.language)
            self.media.play(frames, done=spoken.set, yields_to_agent=not last)
            await spoken.wait()
            if last:
                self._post(Simple.LAST_WORDS_SPOKEN)
                return
            await asyncio.sleep(_SENTENCE_PAUSE_SECONDS)

    def _stop_speaking(self, *, at_once: bool) -> None:
        """A sentence that is being said may end, but is not said again."""
        if self._speaking is not None:
            self._speaking.cancel()
            self._speaking = None
        if at_once:
            self.media.stop_playing()

    def _redispatch(self, *, rejoin: bool) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
        self.media.connect_agent(None)
        self._tell("agent_lost")
        self._recovery = self._spawn(self._recover(rejoin=rejoin))

    async def _recover(self, *, rejoin: bool) -> None:
        await self._the_room.next_agent(rejoin=rejoin)
        if rejoin:
            self._post(Simple.ROOM_JOINED)

    def _hold(self, *, held: bool) -> None:
        self.media.held = held
        self._errand(lambda: self._the_room.set_attributes(trunkline__held="true" if held else "false"))
        self._tell("held" if held else "resumed")

    def dtmf_from_caller(self, digit: str) -> None:
        if digit and self._room is not None and not self.media.held:
            self._errand(lambda: self._the_room.send_dtmf(digit))

    def _dtmf_from_agent(self, digit: str) -> None:
        self._errand(lambda: self._parts.ari.send_dtmf(self._switchboard.caller_channel, digit))

    async def _capture(self, pcm: bytes) -> None:
        if self._room is not None:
            await self._room.capture(pcm)

    # Transfer

    async def _transfer(self, target: str, mode: str) -> dict[str, Any]:
        """The RPC. Both modes consult first; in `attended` the agent does not speak with the human."""
        del mode
        if self._transfer_answer is not None or self._phase is not Phase.TALKING:
            return {"result": "failed", "cause": NORMAL_CLEARING, "detail": "not in a conversation"}
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._transfer_answer = answer
        self._post(TransferAsked(target))
        try:
            return await answer
        finally:
            self._transfer_answer = None

    def _answer_transfer(self, result: str, cause: int, detail: str) -> None:
        if self._transfer_answer is not None and not self._transfer_answer.done():
            self._transfer_answer.set_result({"result": result, "cause": cause, "detail": detail})

    def _consult(self, target: str) -> None:
        target = target or self._the_admission.escalation.target or ""
        self._stop_speaking(at_once=True)
        self._tell("transferring")
        try:
            endpoint = dial_string(target, self._leg.trunk_id)
        except InvalidInput as error:
            self._answer_transfer("failed", NORMAL_CLEARING, error.message)
            self._post(Simple.TARGET_FAILED)
            return
        self.media.play(ringback())
        self._consultation = Consultation(
            self._parts.ari,
            self._parts.channels,
            self._ladder,
            on_answered=lambda: self._post(Simple.TARGET_ANSWERED),
            on_failed=lambda: self._post(Simple.TARGET_FAILED),
            on_gone=lambda: self._post(Simple.TARGET_GONE),
        )
        self._spawn(
            self._consultation.dial(
                endpoint, caller_id=self._leg.shown_number, ring_seconds=_CONSULT_RING_SECONDS
            )
        )

    async def _join(self) -> None:
        assert self._consultation is not None
        try:
            await self._switchboard.join(self._consultation.channel)
        except TrunklineError as error:
            log.warning("caller and human could not be joined", reason=str(error))
            self._post(Simple.TARGET_GONE)
            return
        self.media.stop_playing()
        self.media.held = False
        self._answer_transfer("bridged", NORMAL_CLEARING, "")
        self._spawn(self._leave_room_later())

    async def _leave_room_later(self) -> None:
        await asyncio.sleep(_AGENT_LEAVES_SECONDS)
        await self._the_room.close()

    async def _give_back(self) -> None:
        consultation, self._consultation = self._consultation, None
        self.media.stop_playing()
        if consultation is not None:
            await consultation.close()
            self._answer_transfer("failed", consultation.cause, "the target did not answer")

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
        self._answer_transfer("failed", release.q850_cause, "the call is over")
        if self._consultation is not None:
            await self._consultation.close()
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

    # Errands: small requests in their order, none of which the call waits for

    def _errand(self, errand: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            self._errands.put_nowait(errand)
        except asyncio.QueueFull:
            log.warning("too many small requests of a call")

    async def _run_errands(self) -> None:
        while True:
            errand = await self._errands.get()
            try:
                await errand()
            except TrunklineError as error:
                log.warning("a small request of a call failed", reason=str(error))

    def _tell(self, status: ProgressStatus) -> None:
        self._parts.progress.tell(self._the_admission.call_id, status)
