"""How a call ends on our side: with a goodbye, after silence, at its time limit, or after a failure.

An ending happens once; the first to begin decides. Its sentences are prepared, so that it needs no engine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Literal, cast

import structlog
from livekit.agents import RunContext

from appliance.calls.domain import Outcome, Party, ToolAnswer
from runtime.agent.conversation import Conversation
from runtime.agent.ear import Ear
from runtime.agent.phrases import PhraseKey, Phrases
from runtime.agent.room_link import RoomLink
from runtime.agent.speaker import Speaker
from runtime.agent.tools import CallTools
from runtime.agent.turns import outcome_of_tools

_log = structlog.get_logger(__name__)

_INTERRUPT_SECONDS = 0.5
_PLAYOUT_SECONDS = 20.0


class Ending:
    """`note` is told what the caller hears, `began` that the end has begun; `leave` ends the job."""

    def __init__(
        self,
        escalation_target: str | None,
        phrases: Phrases,
        conversation: Conversation,
        speaker: Speaker,
        ear: Ear,
        link: RoomLink,
        tools: CallTools,
        *,
        note: Callable[[str], None],
        began: Callable[[], None],
        leave: Callable[[str], None],
    ) -> None:
        self._target = escalation_target
        self._phrases = phrases
        self._conversation = conversation
        self._speaker = speaker
        self._ear = ear
        self._link = link
        self._tools = tools
        self._note = note
        self._began = began
        self._leave = leave
        self._task: asyncio.Task[None] | None = None
        self._outcome: Outcome | None = None
        self.ended_by: Party = "agent"

    @property
    def begun(self) -> bool:
        return self._task is not None

    def outcome(self) -> Outcome:
        """What became of the call. What was booked or ordered counts more than how the call ended."""
        achieved = outcome_of_tools(self._tools.succeeded)
        if achieved is not None and self._outcome != "transferred":
            return cast("Outcome", achieved)
        return self._outcome or "failed"

    def caller_left(self) -> None:
        if self._outcome is None:
            self._outcome = "caller_hung_up"
            self.ended_by = "caller"

    def begin_goodbye(self) -> None:
        """The agent has said goodbye, or says it now, and hangs up."""
        self._begin("completed", self._goodbye())

    def begin_silence(self) -> None:
        self._begin("no_speech", self._say_and_hang_up("goodbye_silence"))

    def begin_time_over(self) -> None:
        self._begin("time_limit", self._time_over())

    def begin_failed(self, what: str) -> None:
        """An engine is lost: an apology, then a person if there is one, else the end."""
        if not self.begun:
            _log.error("call cannot go on", engine=what)
        self._begin("failed", self._failed())

    async def after_end_call(self, answer: ToolAnswer, context: RunContext[Any]) -> ToolAnswer | None:
        """The model wants to end the call: it does when its goodbye was heard to the end."""
        await context.wait_for_playout()
        if context.speech_handle.interrupted:
            return ToolAnswer(ok=False, code="caller_goes_on")
        self.begin_goodbye()
        return None

    async def after_transfer(self, answer: ToolAnswer, context: RunContext[Any]) -> ToolAnswer | None:
        """The model wants a person to take over, and the tool API has decided who.

        None when the caller has been taken over, else what the model is told of the failure.
        """
        if context.speech_handle.interrupted:
            return ToolAnswer(ok=False, code="caller_goes_on")
        context.disallow_interruptions()
        await context.wait_for_playout()
        result = answer.result or {}
        target = str(result.get("target") or self._target or "")
        if not target:
            return ToolAnswer(ok=False, code="nobody_there", say=self._phrases.text("transfer_failed"))
        if not self._conversation.said_since_last_turn():
            await self._announce("transfer")
        mode = "blind" if result.get("mode") == "blind" else "attended"
        if await self._put_through(target, mode):
            self._begin("transferred", self._depart("transferred"))
            return None
        return ToolAnswer(ok=False, code="transfer_failed", say=self._phrases.text("transfer_failed"))

    async def aclose(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _begin(self, outcome: Outcome, ending: Any) -> None:
        if self.begun or self.ended_by == "caller":
            ending.close()
            return
        self._outcome = outcome
        self._began()
        self._task = asyncio.create_task(self._run(ending), name=f"ending-{outcome}")

    async def _run(self, ending: Any) -> None:
        try:
            await ending
        except Exception:
            _log.exception("the call's ending failed")
            self._leave("ending failed")

    async def _goodbye(self) -> None:
        if not self._conversation.said_since_last_turn():
            await self._announce("goodbye")
        await self._hang_up("completed")

    async def _say_and_hang_up(self, key: PhraseKey) -> None:
        await self._silence_agent()
        await self._announce(key)
        await self._hang_up(key)

    async def _time_over(self) -> None:
        await self._silence_agent()
        if self._target and await self._announce_and_put_through(self._target):
            return
        await self._announce("time_over")
        await self._hang_up("time_limit")

    async def _failed(self) -> None:
        await self._silence_agent()
        await self._announce("apology")
        if self._target and await self._announce_and_put_through(self._target):
            return
        await self._announce("cannot_help")
        await self._hang_up("failed")

    async def _announce_and_put_through(self, target: str) -> bool:
        await self._announce("transfer")
        if not await self._put_through(target, "attended"):
            return False
        self._outcome = "transferred"
        await self._depart("transferred")
        return True

    async def _put_through(self, target: str, mode: Literal["blind", "attended"]) -> bool:
        self._ear.hold(True)  # what rings there is no speech of the caller
        try:
            answer = await self._link.transfer(target, mode)
        finally:
            self._ear.hold(False)
        _log.info("transfer", result=str(answer.get("result")), cause=answer.get("cause"))
        return answer.get("result") == "bridged"

    async def _silence_agent(self) -> None:
        self._ear.close_ears()
        with contextlib.suppress(Exception):  # a stuck session must not keep us from speaking
            await asyncio.wait_for(self._conversation.interrupt(), _INTERRUPT_SECONDS)
        self._speaker.clear_buffer()

    async def _announce(self, key: PhraseKey) -> None:
        pcm = self._phrases.audio(key)
        if not pcm:
            return
        self._note(self._phrases.text(key))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._speaker.announce(pcm), _PLAYOUT_SECONDS)

    async def _hang_up(self, reason: str) -> None:
        await self._link.say_state("finished")
        await self._link.hang_up(reason)
        self._leave(reason)

    async def _depart(self, reason: str) -> None:
        await self._link.say_state("finished")
        self._leave(reason)
