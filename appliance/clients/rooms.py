"""The LiveKit server API, as far as a call needs it: rooms with their agent's dispatch.

Raises Unavailable when the server is away, late or refuses; deleting what is already gone is not an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from livekit import api
from livekit.protocol.agent_dispatch import RoomAgentDispatch

from appliance.errors import Unavailable
from appliance.settings import RoomSettings

_Answer = TypeVar("_Answer")
_EMPTY_TIMEOUT_SECONDS = 60
_DEPARTURE_TIMEOUT_SECONDS = 20


class RoomServer:
    """Close it, or use it as a context; open it inside the running loop."""

    def __init__(self, settings: RoomSettings, *, timeout_seconds: float = 4.0) -> None:
        self._timeout_seconds = timeout_seconds
        self._api = api.LiveKitAPI(
            settings.http_url,
            settings.api_key,
            settings.api_secret.reveal(),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            failover=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._api.aclose()

    async def create(self, name: str, *, agent_name: str, dispatch_metadata: str) -> None:
        """Creates the room together with the dispatch of its agent, so that the agent is called at once."""
        request = api.CreateRoomRequest(
            name=name,
            empty_timeout=_EMPTY_TIMEOUT_SECONDS,
            departure_timeout=_DEPARTURE_TIMEOUT_SECONDS,
            agents=[RoomAgentDispatch(agent_name=agent_name, metadata=dispatch_metadata)],
        )
        await self._ask("create the room", self._api.room.create_room(request))

    async def dispatch(self, name: str, *, agent_name: str, dispatch_metadata: str) -> None:
        """Calls one more agent into a room that exists."""
        request = api.CreateAgentDispatchRequest(agent_name=agent_name, room=name, metadata=dispatch_metadata)
        await self._ask("dispatch the agent", self._api.agent_dispatch.create_dispatch(request))

    async def remove(self, name: str, identity: str) -> None:
        """Takes a participant out of a room."""
        request = api.RoomParticipantIdentity(room=name, identity=identity)
        await self._ask_unless_gone("remove the participant", self._api.room.remove_participant(request))

    async def delete(self, name: str) -> None:
        """Deletes a room and disconnects everybody in it."""
        request = api.DeleteRoomRequest(room=name)
        await self._ask_unless_gone("delete the room", self._api.room.delete_room(request))

    async def names(self) -> list[str]:
        """The names of all rooms."""
        answer = await self._ask("list the rooms", self._api.room.list_rooms(api.ListRoomsRequest()))
        return [room.name for room in answer.rooms]

    async def _ask_unless_gone(self, what: str, question: Awaitable[object]) -> None:
        try:
            await self._ask(what, question)
        except Unavailable as error:
            cause = error.__cause__
            if not (isinstance(cause, api.TwirpError) and cause.code == api.TwirpErrorCode.NOT_FOUND):
                raise

    async def _ask(self, what: str, question: Awaitable[_Answer]) -> _Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await question
        except (aiohttp.ClientError, api.TwirpError, TimeoutError, OSError) as error:
            raise Unavailable(
                f"LiveKit did not {what}.", remedy="Check that the room server is running."
            ) from error
