"""One call from the dispatch to the report: it owns every task, connection and file of the call."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from livekit import rtc
from livekit.agents import JobContext

from appliance.calls.dispatch import DispatchMetadata
from appliance.calls.domain import CallContext, Finish
from appliance.clients.tool_api import ToolApiClient
from appliance.settings import Settings
from runtime.agent.captions import Captions
from runtime.agent.conversation import Conversation, Engine, Engines, TurnModels
from runtime.agent.ear import Ear
from runtime.agent.ending import Ending
from runtime.agent.finish import deliver_finish
from runtime.agent.keypad import as_words
from runtime.agent.owned_tasks import OwnedTasks
from runtime.agent.phrases import FIRST, FIRST_OF_A_LATER_WORKER, LATER, PhraseKey, Phrases
from runtime.agent.prompts import system_prompt
from runtime.agent.pulse import Pulse
from runtime.agent.recorder import CallRecorder
from runtime.agent.room_link import RoomLink
from runtime.agent.speaker import Speaker
from runtime.agent.tools import CallTools
from runtime.agent.turn_reports import TurnReports
from runtime.agent.turns import TurnLog
from runtime.agent.typed import TypedWords

_log = structlog.get_logger(__name__)

_PREPARE_SECONDS = 3.0
_TOOLS_SECONDS = 4.0


class CallSession:
    """Made by the job's entry, closed by its end.

    The room's and the conversation's events arrive here; what is due by time is looked after in ticks.
    """

    def __init__(
        self,
        job: JobContext,
        settings: Settings,
        models: TurnModels,
        engines: Engines,
        metadata: DispatchMetadata,
    ) -> None:
        self._job = job
        self._settings = settings
        self._models = models
        self._engines = engines
        self.call_id = metadata.call_id
        self._attempt = metadata.attempt
        self._api = ToolApiClient.for_call(settings.tool_api, metadata.call_token)
        self._recorder = CallRecorder(
            settings.spool_dir, metadata.call_id, metadata.attempt, self._ask_for_recording
        )
        self._link = RoomLink(job.room, f"sip-{metadata.call_id}", self)
        self._speaker = Speaker(self._recorder, self._audible)
        self._typed = TypedWords(job.room, f"sip-{metadata.call_id}", self._take_typed)
        self._ear = Ear(self._recorder)
        self._log = TurnLog()
        self._reports = TurnReports(self._api, metadata.call_id, self._log)
        self._tasks = OwnedTasks()
        self._answered_at: float | None = None
        self._closed = False
        # Known when the context is there:
        self._context: CallContext | None = None
        self._pulse: Pulse | None = None
        self._phrases: Phrases | None = None
        self._tools: CallTools | None = None
        self._captions: Captions | None = None
        self._conversation: Conversation | None = None
        self._ending: Ending | None = None

    async def start(self) -> None:
        """Enters the room and gets ready; the bridge answers the caller then.

        Raises TrunklineError when the call cannot be taken: the bridge then dispatches anew.
        """
        self._link.attach()
        connecting = asyncio.create_task(self._job.connect(), name="room-connect")
        try:
            context = await self._api.context(self.call_id)
            prompt = self._prepare(context)
            assert self._phrases is not None
            assert self._tools is not None
            warming = self._engines.language.warm(prompt, self._tools.schemas())
            self._tasks.add(warming, "warm")  # while it rings
            first = FIRST if self._attempt == 1 else FIRST_OF_A_LATER_WORKER
            await asyncio.gather(connecting, self._phrases.prepare(first, timeout_seconds=_PREPARE_SECONDS))
        finally:
            if not connecting.done():
                connecting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await connecting
        await self._speaker.publish(self._job.room)
        assert self._conversation is not None
        await self._conversation.start()
        self._tasks.add(self._phrases.prepare(LATER, timeout_seconds=60.0), "phrases")
        assert self._pulse is not None
        self._tasks.add(self._pulse.run(), "pulse")
        self._tasks.add(self._reports.run(), "turn-reports")
        if self._captions is not None:
            self._tasks.add(self._captions.run(), "captions")
            self._tasks.add(self._typed.run(), "typed")
        self._link.scan()
        await self._link.say_state("ready")
        _log.info("ready", attempt=self._attempt)

    async def close(self) -> None:
        """Ends everything and reports. Called once, whatever ended the call; takes at most some 16 s."""
        if self._closed:
            return
        self._closed = True
        if self._ending is not None:
            await self._ending.aclose()
        if self._tools is not None:
            await self._tools.settle(timeout_seconds=_TOOLS_SECONDS)
        await self._tasks.aclose()
        if self._conversation is not None:
            with contextlib.suppress(Exception):  # the report matters more than an orderly end of the session
                async with asyncio.timeout(3.0):
                    await self._conversation.aclose()
        await self._ear.aclose()
        await self._speaker.aclose()
        await self._recorder.close()
        if self._ending is not None:
            await self._report(self._ending)
        await self._api.close()

    def _prepare(self, context: CallContext) -> str:
        """Makes what the context is needed for; returns the system prompt of the call."""
        prompt = system_prompt(context, datetime.now(UTC))
        snapshot = context.snapshot
        self._context = context
        self._log.continue_from(context.next_turn_index)
        self._pulse = Pulse(snapshot, self)
        self._phrases = Phrases(self._engines.voice, snapshot, self._settings.sentences_dir)
        self._tools = CallTools(
            self._api,
            self.call_id,
            self._attempt,
            context.tools,
            self._log,
            failure_sentence=snapshot.sentences.tool_failed,
        )
        if context.direction == "web":
            self._captions = Captions(self._job.room, f"sip-{self.call_id}", after=self._speaker.spoken_text)
        self._conversation = Conversation(
            context,
            prompt,
            self._models,
            self._engines,
            self._tools.function_tools(),
            self._ear,
            self._speaker,
            self._log,
            self,
            self._captions,
        )
        self._ending = Ending(
            snapshot.escalation.target,
            self._phrases,
            self._conversation,
            self._speaker,
            self._ear,
            self._link,
            self._tools,
            note=self._announced,
            began=self._pulse.stop,
            leave=self._leave,
        )
        self._tools.after("end_call", self._ending.after_end_call)
        self._tools.after("transfer_to_human", self._ending.after_transfer)
        return prompt

    # What the room tells

    def caller_active(self) -> None:
        """The caller has been answered: the call begins."""
        if self._answered_at is None:
            self._answered_at = time.monotonic()
            self._recorder.start()
            self._tasks.add(self._open_call(), "open-call")

    def caller_held(self, on: bool) -> None:
        self._speaker.hold(on)
        self._ear.hold(on)
        self._recorder.hold(on)
        if self._pulse is not None:
            self._pulse.held(on)
        _log.info("held" if on else "resumed")

    def caller_left(self) -> None:
        if self._ending is not None:
            self._ending.caller_left()
        self._leave("caller left")

    def room_lost(self) -> None:
        """We were taken out of the room, or the room server is away; the bridge finds another worker."""
        _log.warning("room lost")
        self._leave("room lost")

    def caller_track(self, track: rtc.Track) -> None:
        self._ear.listen(track)

    def key_pressed(self, key: str) -> None:
        if self._pulse is not None:
            self._pulse.key_pressed(key)

    # What the conversation tells

    def word_heard(self) -> None:
        if self._pulse is not None:
            self._pulse.word_heard()

    def caller_speaking(self, on: bool) -> None:
        if self._pulse is not None:
            self._pulse.caller_speaking(on)

    def answer_owed(self, on: bool) -> None:
        if self._pulse is not None:
            self._pulse.answer_owed(on)

    def engine_failed(self, engine: Engine) -> None:
        if self._ending is not None:
            self._ending.begin_failed(engine)

    def turns_changed(self) -> None:
        self._reports.changed()

    def recording_ms(self, epoch_seconds: float) -> int:
        return self._recorder.position_ms(time.monotonic() - (time.time() - epoch_seconds))

    def _audible(self, on: bool, at: float) -> None:
        if on:
            self._log.mark("first_audio_out", time.time() + max(at - time.monotonic(), 0.0))
        if self._pulse is not None:
            self._pulse.agent_audible(on, at)

    # What is due

    def answer_is_slow(self) -> None:
        if self._phrases is not None and (pcm := self._phrases.audio("one_moment")):
            self._speaker.announce(pcm)

    def answer_is_lost(self) -> None:
        self.engine_failed("llm")

    def caller_is_silent(self) -> None:
        self._say("still_there")

    def caller_stays_silent(self) -> None:
        if self._ending is not None:
            self._ending.begin_silence()

    def time_is_short(self) -> None:
        self._say("time_warning")

    def time_is_over(self) -> None:
        if self._ending is not None:
            self._ending.begin_time_over()

    def keys_entered(self, keys: str) -> None:
        self._tasks.add(self._take_keys(keys), "keys")

    # What is done

    async def _open_call(self) -> None:
        assert self._conversation is not None
        assert self._phrases is not None
        assert self._context is not None
        assert self._pulse is not None
        reads = self._link.caller_only_reads
        if reads:
            self._conversation.write_only()
            self._pulse.read_slowly()
        if self._attempt > 1:
            if self._context.conversation and self._context.conversation[-1].role == "caller":
                self._conversation.answer()
            else:
                self._say("go_on")
        elif not reads and not (self._phrases.ready("consent") and self._phrases.ready("greeting")):
            self.engine_failed("tts")
        else:
            self._say("consent", interruptible=False)
            self._say("greeting")
        self._pulse.start()

    def _say(self, key: PhraseKey, *, interruptible: bool = True) -> None:
        assert self._conversation is not None
        assert self._phrases is not None
        if text := self._phrases.text(key):
            self._conversation.say(text, self._phrases.audio(key), interruptible=interruptible)

    async def _take_keys(self, keys: str) -> None:
        assert self._conversation is not None
        await self._conversation.interrupt()
        self._conversation.answer(as_words(keys))

    async def _take_typed(self, text: str) -> None:
        if self._conversation is None or self._answered_at is None:
            return
        self.word_heard()
        await self._conversation.typed(text)

    def _announced(self, text: str) -> None:
        """The agent was heard outside the conversation."""
        now = time.time()
        if self._captions is not None:
            self._captions.said(text)
        self._log.agent_said(text, at=now)
        at = self.recording_ms(now)
        self._log.spoke("agent", text, starts_ms=at, ends_ms=at)
        self._reports.changed()

    def _leave(self, reason: str) -> None:
        self._job.shutdown(reason)

    async def _ask_for_recording(self) -> Any:
        return await self._api.recording(self.call_id, attempt=self._attempt)

    async def _report(self, ending: Ending) -> None:
        grant = self._recorder.grant
        finish = Finish(
            outcome=ending.outcome(),
            ended_by=ending.ended_by,
            segments=self._log.segments,
            turns=self._log.turns,
            recording_id=grant.recording_id if grant is not None else None,
            attempt=self._attempt,
        )
        delivered = await deliver_finish(
            self._api, self.call_id, finish, spool_dir=self._settings.spool_dir, grant=grant
        )
        _log.info("call finished", outcome=finish.outcome, ended_by=finish.ended_by, delivered=delivered)
