"""Puts the jobs worker together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import text

from appliance.audit.chains import sign_all_heads
from appliance.audit.signing import HeadSigner
from appliance.calls.life import release_stale
from appliance.clients.bridge import place_call
from appliance.clients.object_store import ObjectStore
from appliance.clients.outbound_http import OutboundHttp
from appliance.clients.tool_api import ToolApiClient
from appliance.database.engine import create_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.recordings.archive import Archive
from appliance.security.keys import KeyRing
from appliance.settings import Settings
from appliance.webhooks.calling import HookCaller
from appliance.webhooks.sending import WebhookSender
from runtime.jobs.health import health_server
from runtime.jobs.hooks import place_hook_calls
from runtime.jobs.queue import JobQueue
from runtime.jobs.spools import recording_watch, report_watch
from runtime.jobs.webhooks import look_after_organizations, send_webhooks

_log = structlog.get_logger(__name__)

EVERY_MINUTE = "* * * * *"
EVERY_TEN_MINUTES = "*/10 * * * *"


async def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Starts also while the database, the store or the tool API is away."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        app = create_engine(settings.database, "app")
        stack.push_async_callback(app.dispose)
        router = create_engine(settings.database, "router")
        stack.push_async_callback(router.dispose)
        store = ObjectStore(settings.object_store)
        stack.push_async_callback(store.close)
        tool_api = await stack.enter_async_context(ToolApiClient.for_service(settings.tool_api))
        keys = KeyRing.from_settings(settings.security)
        scan_seconds = settings.jobs.spool_scan_seconds
        recordings = recording_watch(settings.spool_dir, Archive(app, keys, store), scan_seconds)
        reports = report_watch(settings.spool_dir, app, keys, tool_api, scan_seconds)

        async def release() -> None:
            await release_stale(router, app, datetime.now(UTC))

        sender = WebhookSender(app, router, keys, OutboundHttp.of(settings.outbound.allowed_networks))

        caller = HookCaller(app, router, partial(place_call, settings))

        async def look_after() -> None:
            await look_after_organizations(router, app, sender, caller)

        signer = HeadSigner.from_settings(settings.security)

        async def sign_heads() -> None:
            if signer is not None:
                await sign_all_heads(router, app, signer, datetime.now(UTC))

        queue = JobQueue(
            settings.database,
            {
                "release_stale_calls": (EVERY_MINUTE, release),
                "look_after_organizations": (EVERY_TEN_MINUTES, look_after),
                "sign_audit_heads": (EVERY_TEN_MINUTES, sign_heads),
            },
        )

        async def database_answers() -> bool:
            async with UnitOfWork(app, None) as uow:
                return await uow.session.scalar(text("SELECT 1")) == 1

        async def store_answers() -> bool:
            return await store.has_bucket(settings.object_store.bucket)

        async def queue_runs() -> bool:
            return queue.is_running

        def facts() -> dict[str, Any]:
            return {"waiting": {"recordings": recordings.waiting, "reports": reports.waiting}}

        checks = {"database": database_answers, "object_store": store_answers, "queue": queue_runs}
        await stack.enter_async_context(health_server(settings.jobs.health_port, checks, facts))
        _log.info("jobs worker started")
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(recordings.run(), name="recordings"),
                tasks.create_task(reports.run(), name="reports"),
                tasks.create_task(queue.run(), name="queue"),
                tasks.create_task(send_webhooks(sender), name="webhooks"),
                tasks.create_task(place_hook_calls(caller), name="calls of webhooks"),
            ]
            await stop.wait()
            for task in running:
                task.cancel()
    _log.info("jobs worker stopped")
