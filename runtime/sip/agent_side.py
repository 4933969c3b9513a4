"""One call's room and the agents in it: made with the first agent's dispatch, kept through lost agents and a
lost room, deleted at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from appliance.calls.domain import Admission
from appliance.clients.rooms import RoomServer
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import TrunklineError, Unavailable
from runtime.sip.room_leg import RoomHandlers, RoomLeg
from runtime.sip.sdk_audio import SdkAudio

log = structlog.get_logger()

_RETRY_SECONDS: Final = 0.5
_DELETE_ATTEMPTS: Final = 3
_NOBODY_CAME_SECONDS: Final = 4.0
"""A worker that has a process ready joins in less than one."""


class AgentSide:
    """`open` raises Unavailable; `next_agent` tries until it is cancelled; `close` never raises."""

    def __init__(
        self,
        rooms: RoomServer,
        api: ToolApiClient,
        sdk: SdkAudio,
        *,
        room_url: str,
        admission: Admission,
        attributes: Mapping[str, str],
        handlers: RoomHandlers,
    ) -> None:
        self._rooms = rooms
        self._api = api
        self._sdk = sdk
        self._room_url = room_url
        self._admission = admission
        self._attributes = dict(attributes)
        self._handlers = handlers
        self._leg: RoomLeg | None = None
        self._made = False

    @property
    def _name(self) -> str:
        return self._admission.room_name

    async def open(self) -> None:
        """Makes the room with its agent's dispatch, and joins it."""
        await self._create(self._admission.dispatch_metadata)
        await self._join()

    async def _create(self, dispatch_metadata: str) -> None:
        self._made = True
        await self._rooms.create(
            self._name, agent_name=self._admission.agent_name, dispatch_metadata=dispatch_metadata
        )

    async def _join(self) -> None:
        leg = RoomLeg(self._sdk, self._handlers)
        self._leg = leg
        await leg.join(self._room_url, self._admission.participant_token, self._attributes)

    async def capture(self, pcm: bytes) -> None:
        if self._leg is not None:
            await self._leg.capture(pcm)

    async def set_attributes(self, **attributes: str) -> None:
        """Attributes of the caller's participant, dots written as double underscores; kept for a new room."""
        changed = {key.replace("__", "."): value for key, value in attributes.items()}
        self._attributes |= changed
        if self._leg is not None:
            try:
                await self._leg.set_attributes(changed)
            except Unavailable as error:
                log.warning("the room was not told", reason=str(error))

    async def send_dtmf(self, digit: str) -> None:
        if self._leg is not None:
            await self._leg.send_dtmf(digit)

    async def next_agent(self, *, rejoin: bool, joined: Callable[[], None]) -> None:
        """Calls agents until it is cancelled; joins the room anew first if it was lost (and says `joined`).

        LiveKit forgets a dispatch for which no worker is registered at that moment, so a call that finds
        nobody is repeated: the worker may be starting again.
        """
        called = False
        while True:
            try:
                if not called or not self._has_agents():
                    await self._next_agent(rejoin=rejoin)
                    called = True
                    if rejoin:
                        joined()
                    rejoin = False
            except TrunklineError as error:
                log.warning("the next agent could not be called", reason=error.code)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                await asyncio.sleep(_NOBODY_CAME_SECONDS)

    def _has_agents(self) -> bool:
        return self._leg is not None and self._leg.has_agents()

    async def _next_agent(self, *, rejoin: bool) -> None:
        if rejoin:
            await self._leave()
        else:
            await self._evict_agents()
        redispatch = await self._api.redispatch(self._admission.call_id)
        self._attributes["trunkline.attempt"] = str(redispatch.attempt)
        if rejoin:
            await self._create(redispatch.dispatch_metadata)
            await self._join()
            return
        await self.set_attributes(trunkline__attempt=str(redispatch.attempt))
        await self._rooms.dispatch(
            self._name,
            agent_name=self._admission.agent_name,
            dispatch_metadata=redispatch.dispatch_metadata,
        )

    async def _evict_agents(self) -> None:
        """A lost agent must not come back beside the next one."""
        if self._leg is None:
            return
        for identity in self._leg.dismiss_agents():
            await self.evict(identity)

    async def evict(self, identity: str) -> None:
        try:
            await self._rooms.remove(self._name, identity)
        except Unavailable as error:
            log.warning("an agent could not be taken out of the room", reason=str(error))

    async def _leave(self) -> None:
        leg, self._leg = self._leg, None
        if leg is not None:
            await leg.leave(self.evict)

    async def close(self) -> None:
        """Leaves and deletes the room."""
        if self._leg is not None and self._leg.joined:
            await self._leave()
        # Side by side: a join that is still on its way ends with the room.
        await asyncio.gather(self._leave(), self._delete())

    async def _delete(self) -> None:
        if not self._made:
            return
        for attempt in range(_DELETE_ATTEMPTS):
            try:
                await self._rooms.delete(self._name)
            except Unavailable:
                await asyncio.sleep(_RETRY_SECONDS * attempt)
            else:
                self._made = False
                return
        log.warning("a room was left for the sweep")
