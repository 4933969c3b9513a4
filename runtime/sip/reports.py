"""What the bridge tells the tool API: the progress of a call, and its `ended`, which is never lost.

An `ended` that cannot be delivered waits as a file in `<spool_dir>/ended` and is delivered at the next start
and every few seconds. It holds no personal data: ids, times, causes and counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import ValidationError

from appliance.calls.domain import Ended, Progress, ProgressStatus
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import AtCapacity, NotAllowed, TrunklineError, Unavailable

log = structlog.get_logger()

_REDELIVER_SECONDS: Final = 5.0
_DELIVER_TIMEOUT_SECONDS: Final = 3.0
_MAX_WAITING: Final = 100
_LATER: Final = (Unavailable, AtCapacity, NotAllowed)
"""Errors after which the same report may be taken: also a token that is being changed."""


class EndedReports:
    """Delivers `ended` now or later; several may run on one spool directory."""

    def __init__(self, api: ToolApiClient, spool_dir: Path) -> None:
        self._api = api
        self._directory = spool_dir / "ended"
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def waiting(self) -> int:
        """How many reports wait for the tool API."""
        return sum(1 for _ in self._directory.glob("*.json"))

    async def deliver(self, call_id: UUID, ended: Ended) -> None:
        """Returns when the report is delivered or safely written down."""
        if not await self._send(call_id, ended):
            await asyncio.to_thread(self._write, call_id, ended.model_dump_json())
            log.warning("the end of a call is reported later", call_id=str(call_id))

    async def redeliver(self) -> None:
        """Delivers what waits; for ever."""
        while True:
            for path in sorted(self._directory.glob("*.json")):
                await self._redeliver(path)
            await asyncio.sleep(_REDELIVER_SECONDS)

    async def _redeliver(self, path: Path) -> None:
        try:
            ended = Ended.model_validate_json(await asyncio.to_thread(path.read_bytes))
            call_id = UUID(path.stem)
        except FileNotFoundError:
            return
        except (OSError, ValueError, ValidationError):
            log.warning("a waiting report cannot be read and is set aside", file=path.name)
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".unreadable"))  # noqa: ASYNC240 - one system call
            return
        if await self._send(call_id, ended):
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - one system call
            log.info("the end of a call was reported late", call_id=str(call_id))

    async def _send(self, call_id: UUID, ended: Ended) -> bool:
        """Whether the report is off our hands: taken, or refused for good."""
        try:
            await self._api.ended(call_id, ended, timeout_seconds=_DELIVER_TIMEOUT_SECONDS)
        except _LATER:
            return False
        except TrunklineError as error:
            log.error("the end of a call was refused", call_id=str(call_id), reason=error.code)
        return True

    def _write(self, call_id: UUID, text: str) -> None:
        path = self._directory / f"{call_id}.json"
        unfinished = path.with_suffix(".part")
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


class ProgressReports:
    """Tells one call's progress in order; what cannot be told is dropped, as `ended` says the rest."""

    def __init__(self, api: ToolApiClient) -> None:
        self._api = api
        self._queue: asyncio.Queue[tuple[UUID, Progress]] = asyncio.Queue(_MAX_WAITING)

    def tell(self, call_id: UUID, status: ProgressStatus, detail: dict[str, Any] | None = None) -> None:
        progress = Progress(status=status, at=datetime.now(UTC), detail=detail)
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait((call_id, progress))

    async def run(self) -> None:
        while True:
            call_id, progress = await self._queue.get()
            try:
                await self._api.progress(call_id, progress)
            except TrunklineError as error:
                log.warning("progress was not told", call_id=str(call_id), reason=error.code)
