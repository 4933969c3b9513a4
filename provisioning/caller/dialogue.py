"""A caller that listens, then speaks, and measures each turn on the wire.

The latency of a turn is the time from the packet with the caller's last speech sample leaving to the packet
with the first speech sample of the answer arriving, both on the caller's own RTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from appliance.errors import Unavailable
from provisioning.caller.capture import Span
from provisioning.caller.codecs import Samples
from provisioning.caller.leg import Leg
from provisioning.caller.persona import Persona

QUIET_SECONDS = 0.9
"""So long without speech of the agent means that it has finished."""
_POLL_SECONDS = 0.05
_CUT_OFF_NS = 300_000_000


@dataclass(frozen=True)
class Exchange:
    """One turn as the caller's RTP saw it. Times in nanoseconds since the epoch."""

    said: str
    speech: Span
    answer_ns: int | None
    """First packet of speech of the answer; None: it never came."""
    cut_off: bool
    """The agent began to speak before the caller had finished."""

    @property
    def latency_ms(self) -> float | None:
        return None if self.answer_ns is None else round((self.answer_ns - self.speech.end_ns) / 1e6, 1)


Transcript = Callable[[], Awaitable[str]]
"""All that the agent has said so far, as it is stored; grows with each turn."""


class Dialogue:
    """The caller's side of one answered call."""

    def __init__(
        self,
        leg: Leg,
        *,
        on_exchange: Callable[[Exchange], None] | None = None,
        answer_timeout_seconds: float = 20.0,
        greeting_timeout_seconds: float = 30.0,
    ) -> None:
        self.leg = leg
        self.exchanges: list[Exchange] = []
        self._on_exchange = on_exchange or (lambda _exchange: None)
        self._answer_timeout = answer_timeout_seconds
        self._greeting_timeout = greeting_timeout_seconds

    async def greeting(self) -> int:
        """Waits until the agent has greeted; when its first speech came. Unavailable if none does."""
        began = await self.leg.hears_speech(self._greeting_timeout, since_ns=self.leg.invited_ns)
        await self.leg.hears_quiet(QUIET_SECONDS, 60)
        return began

    async def say(self, line: str | Samples) -> Exchange:
        """Says one line and waits until the agent has answered it and is quiet again."""
        utterance = await (self.leg.speak(line) if isinstance(line, str) else self.leg.play(line))
        speech = Span(utterance.first_speech_ns, utterance.last_speech_ns)
        try:
            answer: int | None = await self.leg.hears_speech(self._answer_timeout, since_ns=speech.end_ns)
        except Unavailable:
            answer = None
        early = self.leg.heard.first_speech_after(speech.start_ns + _CUT_OFF_NS)
        exchange = Exchange(
            said=line if isinstance(line, str) else "",
            speech=speech,
            answer_ns=answer,
            cut_off=early is not None and early < speech.end_ns,
        )
        self.exchanges.append(exchange)
        self._on_exchange(exchange)
        if answer is not None and not self.leg.over.is_set():
            await self.leg.hears_quiet(QUIET_SECONDS, 60)
        return exchange

    async def converse(self, persona: Persona, transcript: Transcript, *, most_turns: int = 30) -> None:
        """Greeting, then lines by what the agent says, until either side ends the call.

        The agent's words are read from its transcript, because a caller with a script has no ears for words;
        when they do not come in time the persona goes on by itself.
        """
        await self.greeting()
        known = ""
        for _ in range(most_turns):
            text = await self._fresh(transcript, known)
            known += text
            line = persona.reply(text)
            if line is None or self.leg.over.is_set():
                break
            await self.say(line)
        await self.finish()

    async def play(self, pieces: list[Samples]) -> None:
        """Plays a person's utterances one by one, each after the agent has finished."""
        await self.greeting()
        for piece in pieces:
            if self.leg.over.is_set():
                return
            await self.say(piece)
        await self.finish()

    async def finish(self, patience_seconds: float = 12.0) -> None:
        """Gives the agent the time to say goodbye and hang up; hangs up when it does not."""
        try:
            await self.leg.ended(patience_seconds)
        except Unavailable:
            await self.leg.hangup()

    async def _fresh(self, transcript: Transcript, known: str, *, patience_seconds: float = 15.0) -> str:
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline and not self.leg.over.is_set():
            text = await transcript()
            if len(text) > len(known):
                # the row may arrive while the agent goes on: its last words decide
                await self.leg.hears_quiet(QUIET_SECONDS / 2, 60)
                return (await transcript())[len(known) :]
            await asyncio.sleep(_POLL_SECONDS)
        return ""
