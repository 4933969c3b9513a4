"""Small requests of a call in their order (attributes, digits), none of which the call waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from appliance.errors import TrunklineError

log = structlog.get_logger()

Errand = Callable[[], Coroutine[Any, Any, None]]
_MAX_WAITING: Final = 128


class Errands:
    """Bounded: when too many wait, the newest is dropped."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Errand] = asyncio.Queue(_MAX_WAITING)

    def add(self, errand: Errand) -> None:
        try:
            self._queue.put_nowait(errand)
        except asyncio.QueueFull:
            log.warning("too many small requests of a call")

    async def run(self) -> None:
        """For ever; an errand that fails is told to the log and no more."""
        while True:
            errand = await self._queue.get()
            try:
                await errand()
            except TrunklineError as error:
                log.warning("a small request of a call failed", reason=str(error))
