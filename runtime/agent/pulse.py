"""What is due by time in a call: silence, patience, the time limit, pressed keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from appliance.agents.domain import AgentSnapshot
from runtime.agent.keypad import Keypad
from runtime.agent.patience import Patience
from runtime.agent.silence import Busy, SilenceTimer
from runtime.agent.watchdog import CallWatchdog

_TICK_SECONDS = 0.1
_READING_SECONDS = 90.0


class PulseListener(Protocol):
    """What the call does when something is due. Called on the loop; must not wait."""

    def answer_is_slow(self) -> None: ...
    def answer_is_lost(self) -> None: ...
    def caller_is_silent(self) -> None: ...
    def caller_stays_silent(self) -> None: ...
    def time_is_short(self) -> None: ...
    def time_is_over(self) -> None: ...
    def keys_entered(self, keys: str) -> None: ...


class Pulse:
    """The clocks of one call.

    Nothing is due before `start`, after `stop` and, but for the time limit, while the call is held.
    """

    def __init__(
        self,
        snapshot: AgentSnapshot,
        listener: PulseListener,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._snapshot = snapshot
        self._silence = SilenceTimer(
            prompt_after_seconds=snapshot.silence.prompt_after_seconds,
            end_after_seconds=snapshot.silence.end_after_seconds,
        )
        self._watchdog = CallWatchdog(snapshot.limits.max_duration_seconds)
        self._patience = Patience()
        self._keypad = Keypad()
        self._started_at: float | None = None
        self._stopped = False
        self._held = False

    def read_slowly(self) -> None:
        """Before `start`: the caller reads and writes, which takes longer than to listen and speak."""
        silence = self._snapshot.silence
        self._silence = SilenceTimer(
            prompt_after_seconds=max(silence.prompt_after_seconds, _READING_SECONDS),
            end_after_seconds=max(silence.end_after_seconds, _READING_SECONDS),
        )

    def start(self) -> None:
        """The call is answered."""
        self._started_at = self._clock()
        self._silence.start(self._started_at)

    def stop(self) -> None:
        """The call is being ended; nothing is due any more."""
        self._stopped = True

    async def run(self) -> None:
        while not self._stopped:
            await asyncio.sleep(_TICK_SECONDS)
            self.look()

    def look(self) -> None:
        """Tells the listener what is due now."""
        if self._started_at is None or self._stopped:
            return
        now = self._clock()
        match self._watchdog.due(now - self._started_at):
            case "warn":
                self._listener.time_is_short()
            case "over":
                self._listener.time_is_over()
                return
            case None:
                pass
        if self._held:
            return
        match self._patience.due(now):
            case "filler":
                self._listener.answer_is_slow()
            case "give_up":
                self._listener.answer_is_lost()
                return
            case None:
                pass
        match self._silence.due(now):
            case "prompt":
                self._listener.caller_is_silent()
            case "end":
                self._listener.caller_stays_silent()
            case None:
                pass
        if (keys := self._keypad.due(now)) is not None:
            self._listener.keys_entered(keys)

    def held(self, on: bool) -> None:
        self._held = on
        self._mark("held", on)
        self._patience.audible(on, self._clock())

    def caller_speaking(self, on: bool) -> None:
        self._mark("caller", on)

    def word_heard(self) -> None:
        self._silence.word(self._clock())

    def key_pressed(self, key: str) -> None:
        now = self._clock()
        if self._keypad.press(key, now):
            self._silence.word(now)

    def answer_owed(self, on: bool) -> None:
        if on:
            self._patience.owe(self._clock())
        else:
            self._patience.settle()
        self._mark("answering", on)

    def agent_audible(self, on: bool, at: float) -> None:
        """`at` is the clock's time from which the caller hears the agent, or ceases to."""
        self._patience.audible(on, at)
        self._mark("agent", on, at)

    def _mark(self, what: Busy, on: bool, at: float | None = None) -> None:
        now = self._clock() if at is None else at
        if on:
            self._silence.begin(what, now)
        else:
            self._silence.end(what, now)
