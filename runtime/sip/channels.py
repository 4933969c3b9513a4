"""Which call owns which channel and bridge of Asterisk; what nobody owns is an orphan.

The bridge names what it makes itself (`ext-`, `leg-`, `mix-`), so that a later process knows it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from runtime.sip.ari import Event

EXTERNAL_PREFIX: Final = "ext-"
LEG_PREFIX: Final = "leg-"
BRIDGE_PREFIX: Final = "mix-"
OWN_CHANNEL_PREFIXES: Final = (EXTERNAL_PREFIX, LEG_PREFIX)

GONE: Final = frozenset({"StasisEnd", "ChannelDestroyed"})
"""Events after which a channel is none of ours any more. Asterisk sends the second only for a channel that
has never been in our application."""

Handler = Callable[[Event], None]


def new_leg_id() -> str:
    return f"{LEG_PREFIX}{uuid4()}"


def new_bridge_id() -> str:
    return f"{BRIDGE_PREFIX}{uuid4()}"


class Channels:
    """Routes Asterisk's events to the owner of their channel."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self.bridges: set[str] = set()

    def claim(self, channel_id: str, handler: Handler) -> None:
        self._handlers[channel_id] = handler

    def release(self, channel_id: str) -> None:
        self._handlers.pop(channel_id, None)

    def owns(self, channel_id: str) -> bool:
        return channel_id in self._handlers

    @property
    def owned(self) -> frozenset[str]:
        return frozenset(self._handlers)

    def route(self, event: Event) -> bool:
        """Hands the event to its owner; False when nobody owns its channel."""
        channel_id = channel_of(event)
        handler = self._handlers.get(channel_id) if channel_id else None
        if handler is None:
            return False
        handler(event)
        return True

    def vanished(self, present: frozenset[str]) -> None:
        """After a reconnect: what we own and Asterisk no longer has is told to its owner as destroyed."""
        for channel_id in self.owned - present:
            self.route({"type": "ChannelDestroyed", "channel": {"id": channel_id}})


def channel_of(event: Event) -> str | None:
    """The id of the channel that the event is about."""
    for key in ("channel", "peer"):
        channel: Any = event.get(key)
        if isinstance(channel, dict) and channel.get("id"):
            return str(channel["id"])
    return None
