"""Watches the spool: brings recordings into the store and reports to the tool API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls.report_spool import SpooledReport, load_report, read_report, waiting_reports
from appliance.clients.tool_api import ToolApiClient
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import IntegrityError, InvalidInput, NotFound, TrunklineError, Unavailable
from appliance.recordings.archive import Archive
from appliance.recordings.service import place_of
from appliance.recordings.spool import remove_unfinished, set_aside, waiting_spools
from appliance.security.keys import KeyRing
from runtime.jobs.retries import Retries

_log = structlog.get_logger(__name__)

Deliver = Callable[[Path], Awaitable[None]]
AT_ONCE = 3
"""How many files are delivered at a time: one that hangs in a time-out does not hold up the others."""


@dataclass
class SpoolWatch:
    """Looks every `scan_seconds` for what waits, and delivers a few at a time, each with its own back-off.

    A file that is new since the last look is tried at once, whatever happened to its neighbours.
    """

    folder: Callable[[], list[Path]]
    deliver: Deliver
    scan_seconds: float
    what: str
    retries: Retries = field(default_factory=lambda: Retries(time.monotonic, longest_seconds=30.0))
    waiting: int = 0
    """How many waited at the last look."""

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self.scan_seconds)

    async def look(self) -> None:
        """One look. Whatever goes wrong with a file concerns that file alone."""
        try:
            paths = await asyncio.to_thread(self.folder)
        except OSError as error:
            _log.error("spool cannot be read", what=self.what, reason=error.strerror)
            return
        self.waiting = len(paths)
        self.retries.keep_only(set(paths))
        at_once = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for path in paths:
                if self.retries.is_due(path):
                    tasks.create_task(self._try(path, at_once), name=f"{self.what} {path.name}")

    async def _try(self, path: Path, at_once: asyncio.Semaphore) -> None:
        try:
            async with at_once:
                await self.deliver(path)
        except (TrunklineError, OSError) as error:
            wait = self.retries.failed(path)
            _log.warning(
                "delivery failed", what=self.what, file=path.name, again_in_seconds=wait, reason=str(error)
            )
        except Exception:
            self.retries.failed(path)
            _log.exception("delivery failed", what=self.what, file=path.name)
        else:
            self.retries.succeeded(path)


def recording_watch(spool_dir: Path, archive: Archive, scan_seconds: float) -> SpoolWatch:
    """Brings recordings into the store."""

    async def deliver(path: Path) -> None:
        await archive.bring_in(path)

    def folder() -> list[Path]:
        remove_unfinished(spool_dir)
        return waiting_spools(spool_dir)

    return SpoolWatch(folder, deliver, scan_seconds, "recording")


def report_watch(
    spool_dir: Path, engine: AsyncEngine, keys: KeyRing, tool_api: ToolApiClient, scan_seconds: float
) -> SpoolWatch:
    """Brings reports of ended calls to the tool API."""

    async def deliver(path: Path) -> None:
        try:
            report = await asyncio.to_thread(load_report, path)
            data_key = await open_key(report)
            await tool_api.finish(report.call_id, read_report(report, data_key))
        except (IntegrityError, InvalidInput, NotFound) as error:
            kept = await asyncio.to_thread(set_aside, path)
            _log.error("report set aside", file=kept.name, reason=str(error))
            return
        await asyncio.to_thread(path.unlink, missing_ok=True)
        _log.info("late report delivered", call_id=str(report.call_id))

    async def open_key(report: SpooledReport) -> bytes:
        try:
            async with UnitOfWork(engine, report.organization_id) as uow:
                place = await place_of(uow, keys, report.recording_id)
        except IntegrityError as error:
            # The box key in place may be the wrong one; the report is good until the right one is back.
            raise Unavailable(error.message, remedy=error.remedy) from error
        return place.data_key

    return SpoolWatch(lambda: waiting_reports(spool_dir), deliver, scan_seconds, "report")
