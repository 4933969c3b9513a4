"""Posts turns to the tool API as they come, so that another worker can go on with the conversation."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from appliance.clients.tool_api import ToolApiClient
from appliance.errors import TrunklineError
from runtime.agent.turns import TurnLog

_log = structlog.get_logger(__name__)


class TurnReports:
    """One task posts what has changed in the log; what cannot be posted is left to the final report."""

    def __init__(self, client: ToolApiClient, call_id: UUID, log: TurnLog) -> None:
        self._client = client
        self._call_id = call_id
        self._log = log
        self._changed = asyncio.Event()

    def changed(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for turn in self._log.take_changed():
                try:
                    await self._client.turn(self._call_id, turn)
                except TrunklineError as error:
                    _log.warning("turn not posted", code=error.code)
