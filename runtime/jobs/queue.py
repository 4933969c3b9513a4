"""The job queue in the database (procrastinate): what is done by the clock, or asked for by another part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException

from appliance.database.engine import CONNECT_TIMEOUT_SECONDS
from appliance.settings import DatabaseSettings

_log = structlog.get_logger(__name__)

SCHEMA = "jobs"
POOL_SIZE = 3
_RESTART_AFTER_SECONDS = 2.0
_GRACE_SECONDS = 5.0
_POLL_SECONDS = 10.0

Periodic = Callable[[], Awaitable[None]]


class JobQueue:
    """Runs the queue's worker, and again whenever the database was away."""

    def __init__(self, settings: DatabaseSettings, periodic: dict[str, tuple[str, Periodic]]) -> None:
        """`periodic`: name -> (cron line, what to do)."""
        self._settings = settings
        self._periodic = periodic
        self.is_running = False

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                await self._serve()
            except (ProcrastinateException, psycopg.Error, OSError) as error:
                _log.warning("job queue lost the database", reason=type(error).__name__)
            finally:
                self.is_running = False
            await asyncio.sleep(_RESTART_AFTER_SECONDS)

    async def _serve(self) -> None:
        app = self._app()
        async with app.open_async():
            self.is_running = True
            await app.run_worker_async(
                name="jobs",
                install_signal_handlers=False,
                shutdown_graceful_timeout=_GRACE_SECONDS,
                fetch_job_polling_interval=_POLL_SECONDS,
                abort_job_polling_interval=_POLL_SECONDS,
                delete_jobs="successful",
            )

    def _app(self) -> App:
        settings = self._settings
        app = App(
            connector=PsycopgConnector(
                conninfo=settings.url("app", driver="postgresql"),
                kwargs={
                    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                    "application_name": "trunkline-jobs",
                    "options": f"-c search_path={SCHEMA} "
                    f"-c statement_timeout={int(settings.statement_timeout_seconds * 1000)}",
                },
                min_size=1,
                max_size=POOL_SIZE,
                timeout=CONNECT_TIMEOUT_SECONDS,
            )
        )
        for name, (cron, work) in self._periodic.items():
            self._register(app, name, cron, work)
        return app

    @staticmethod
    def _register(app: App, name: str, cron: str, work: Periodic) -> None:
        @app.periodic(cron=cron)
        @app.task(name=name, queueing_lock=name, pass_context=False)
        async def run(timestamp: int) -> None:  # pyright: ignore[reportUnusedFunction]
            await work()
