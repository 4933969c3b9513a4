"""What a killed bridge left behind: channels in our application, its bridges, and rooms without a call.

Callers among them are handed to the dialplan's fallback, which sends them to the overflow or tells them to
try again later; everything else is taken down. Runs after each connect and every half minute, so that
nothing stays for ever whatever a call failed to take down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog

from appliance.calls.domain import Ended
from appliance.errors import TrunklineError
from runtime.sip.call_events import TEMPORARY_FAILURE
from runtime.sip.channels import BRIDGE_PREFIX, OWN_CHANNEL_PREFIXES
from runtime.sip.gateway.names import FALLBACK_CONTEXT
from runtime.sip.parts import Parts

log = structlog.get_logger()

ROOM_PREFIX: Final = "call-"
_INTERVAL_SECONDS: Final = 30.0


class OrphanSweep:
    """Only what was there in two looks in a row is taken as an orphan, except at the first connect: a call
    that has just begun may not have claimed its channel yet."""

    def __init__(self, parts: Parts, *, live_rooms: Callable[[], frozenset[str]]) -> None:
        self._parts = parts
        self._live_rooms = live_rooms
        self._suspects: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()
        self._first = True

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            if self._parts.ari.connected:
                try:
                    await self.once()
                except TrunklineError as error:
                    log.warning("the sweep was not finished", reason=error.code)

    async def once(self) -> None:
        """One look. Raises Unavailable when Asterisk is away."""
        async with self._lock:
            suspects: set[str] = set()
            app = await self._parts.ari.request("GET", f"/applications/{self._parts.ari.app}")
            in_app = frozenset(str(channel) for channel in app.get("channel_ids", ()))
            for channel in await self._parts.ari.channels():
                if self._is_ours(channel, in_app):
                    await self._judge(str(channel["id"]), suspects, self._end_channel)
            for bridge in await self._parts.ari.bridges():
                bridge_id = str(bridge["id"])
                if bridge_id.startswith(BRIDGE_PREFIX) and bridge_id not in self._parts.channels.bridges:
                    await self._judge(bridge_id, suspects, self._parts.ari.destroy_bridge)
            await self._rooms(suspects)
            self._suspects = frozenset(suspects)
            self._first = False

    def _is_ours(self, channel: dict[str, Any], in_app: frozenset[str]) -> bool:
        channel_id = str(channel["id"])
        return (
            channel_id in in_app or channel_id.startswith(OWN_CHANNEL_PREFIXES)
        ) and not self._parts.channels.owns(channel_id)

    async def _judge(self, name: str, suspects: set[str], end: Callable[[str], Any]) -> None:
        if self._first or name in self._suspects:
            log.warning("an orphan is ended", orphan_id=name)
            try:
                await end(name)
            except TrunklineError as error:
                log.warning("an orphan could not be ended", orphan_id=name, reason=error.code)
        else:
            suspects.add(name)

    async def _end_channel(self, channel_id: str) -> None:
        if channel_id.startswith(OWN_CHANNEL_PREFIXES):
            await self._parts.ari.hangup(channel_id, TEMPORARY_FAILURE)
            return
        await self._parts.ari.continue_in_dialplan(channel_id, FALLBACK_CONTEXT, "s")

    async def _rooms(self, suspects: set[str]) -> None:
        try:
            names = await self._parts.rooms.names()
        except TrunklineError as error:
            log.warning("the rooms could not be listed", reason=error.code)
            return
        for name in names:
            if name.startswith(ROOM_PREFIX) and name not in self._live_rooms():
                await self._judge(name, suspects, self._end_room)

    async def _end_room(self, name: str) -> None:
        """Deletes the room, and reports the end of the call whose bridge could not do so any more."""
        await self._parts.rooms.delete(name)
        try:
            call_id = UUID(name.removeprefix(ROOM_PREFIX))
        except ValueError:
            return
        ended = Ended(at=datetime.now(UTC), hangup_party="bridge", q850_cause=TEMPORARY_FAILURE)
        await self._parts.ended.deliver(call_id, ended)
