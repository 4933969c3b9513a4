"""Calling a human for a caller: our own call to the target, before anything happens to the caller.

A REFER is not used: its NOTIFY says 200 while the human's telephone only rings, and then nobody can take the
caller back (docs/adr/0032).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from uuid import UUID

from appliance.errors import InvalidInput, TrunklineError
from runtime.sip.ari import AriClient, Event
from runtime.sip.channels import GONE, Channels, new_leg_id
from runtime.sip.gateway.names import endpoint_name
from runtime.sip.ladder import Ladder

_NUMBER: Final = re.compile(r"\+?[0-9A-Da-d*#]{1,32}")
_URI: Final = re.compile(r"sips?:[A-Za-z0-9_.!~*'()+\-]{1,64}@[A-Za-z0-9.\-]{1,253}(:\d{1,5})?")
_UNKNOWN_CAUSE: Final = 41


def dial_string(target: str, trunk_id: UUID | str) -> str:
    """The Asterisk endpoint that reaches `target` over a trunk.

    InvalidInput for what is neither a number nor a SIP URI: nothing else may reach the dial string.
    """
    target = re.sub(r"[ ./()-]", "", target) if not target.startswith("sip") else target
    endpoint = endpoint_name(trunk_id)
    if _NUMBER.fullmatch(target):
        return f"PJSIP/{target}@{endpoint}"
    if _URI.fullmatch(target):
        return f"PJSIP/{endpoint}/{target}"
    raise InvalidInput("The transfer target is neither a number nor a SIP address.", field="target")


class Consultation:
    """One call to one target. Exactly one of `on_answered` and `on_failed` is called, unless it is closed."""

    def __init__(
        self,
        ari: AriClient,
        channels: Channels,
        ladder: Ladder,
        *,
        on_answered: Callable[[], None],
        on_failed: Callable[[], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._ari = ari
        self._channels = channels
        self._ladder = ladder
        self._on_answered = on_answered
        self._on_failed = on_failed
        self._on_gone = on_gone
        self.channel = new_leg_id()
        self.answered = False
        self.over = False
        self.cause = _UNKNOWN_CAUSE
        """Q.850 cause of a failure."""
        self._closed = False

    async def dial(self, endpoint: str, *, caller_id: str, ring_seconds: int) -> None:
        self._channels.claim(self.channel, self._on_event)
        self._ladder.add("target", "out", "INVITE")
        try:
            await self._ari.originate(
                endpoint,
                channel_id=self.channel,
                app_args="target",
                caller_id=caller_id,
                timeout_seconds=ring_seconds,
            )
        except TrunklineError:
            self._fail()
            return
        if self._closed:
            await self.close()  # it was given up before Asterisk had the leg

    def _on_event(self, event: Event) -> None:
        self._ladder.note("target", event, was_up=self.answered)
        match event["type"]:
            case "StasisStart" if not self.over:
                self.answered = True
                self._on_answered()
            case "ChannelHangupRequest":
                self.cause = int(event.get("cause") or 0) or self.cause
            case kind if kind in GONE:
                self.cause = int(event.get("cause") or 0) or self.cause
                self._channels.release(self.channel)
                self._fail()
            case _:
                return

    def _fail(self) -> None:
        if self.over:
            return
        self.over = True
        self._channels.release(self.channel)
        (self._on_gone if self.answered else self._on_failed)()

    async def close(self) -> None:
        """Hangs the target's leg up. Never raises."""
        self.over = self._closed = True
        try:
            await self._ari.hangup(self.channel)
        except TrunklineError:
            self._ladder.add("target", "local", "left for the sweep")
        self._channels.release(self.channel)
