"""What happens to calls at this moment: one connection that listens, and who wants to hear of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

import psycopg
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.database.engine import CONNECT_TIMEOUT_SECONDS
from appliance.settings import DatabaseSettings

log = structlog.get_logger()
CHANNEL = "trunkline_calls"
QUEUE = 200
"""Who is so many events behind loses the oldest: an event says only where to look."""
AGAIN_SECONDS = 2.0
LOOK_SECONDS = 5.0


class CallHappening(BaseModel):
    """Something happened to a call. `lost`: events may have been missed, look at all calls anew."""

    model_config = ConfigDict(frozen=True)

    organization_id: UUID
    call_id: UUID | None
    kind: Literal["started", "changed", "ended", "turn", "lost"]


@dataclass
class CallEvents:
    """Of one process; `async with` runs it. Listens as the app role, which hears every organization: each
    subscriber is given its own organization's events alone."""

    settings: DatabaseSettings
    _subscribers: dict[UUID, set[asyncio.Queue[CallHappening]]] = field(
        default_factory=dict[UUID, "set[asyncio.Queue[CallHappening]]"]
    )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[CallEvents]:
        task = asyncio.create_task(self._run(), name="events of calls")
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def subscribed(self, organization_id: UUID) -> AsyncGenerator[asyncio.Queue[CallHappening]]:
        """The events of an organization from now on."""
        queue: asyncio.Queue[CallHappening] = asyncio.Queue(QUEUE)
        self._subscribers.setdefault(organization_id, set()).add(queue)
        try:
            yield queue
        finally:
            own = self._subscribers[organization_id]
            own.discard(queue)
            if not own:
                del self._subscribers[organization_id]

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("events of calls: the database is away", reason=type(error).__name__)
            for organization_id in list(self._subscribers):
                self._give(CallHappening(organization_id=organization_id, call_id=None, kind="lost"))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self.settings.url("app", driver="postgresql"),
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="trunkline-events",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            while True:
                async for notice in connection.notifies(timeout=LOOK_SECONDS):
                    self._heard(notice.payload)
                await connection.execute("SELECT 1")

    def _heard(self, payload: str) -> None:
        try:
            happening = CallHappening.model_validate(json.loads(payload))
        except (ValueError, ValidationError):
            log.warning("an event of a call cannot be read")
            return
        self._give(happening)

    def _give(self, happening: CallHappening) -> None:
        for queue in self._subscribers.get(happening.organization_id, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(happening)
