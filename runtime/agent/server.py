"""The worker's process: registers at LiveKit, keeps prewarmed job processes, ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
from typing import Any

import structlog
from aiohttp import web
from livekit.agents import AgentServer, JobExecutorType, JobRequest

from appliance.settings import Settings
from runtime.agent.job import close_call, prewarm, take_call

_log = structlog.get_logger(__name__)

_DRAIN_SECONDS = 2.0
"""How long calls may go on after SIGTERM: those that do not end are left to another worker by the bridge."""
_CLOSE_SECONDS = 9.0
_OFF = {
    # Nothing of the framework may look for the world outside.
    "LIVEKIT_TELEMETRY_DISABLED": "1",
    "OTEL_SDK_DISABLED": "true",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
IMPORTED_EARLY = (
    "anyio._backends._asyncio",
    "anyio._core._sockets",
    "httpcore",
    "livekit.agents.llm.async_toolset",
    "openai.lib._chat_completion_resources",
    "openai.lib.streaming.chat",
    "openai.pagination",
    "openai.resources.chat.chat",
    "openai.resources.chat.completions.completions",
    "openai.resources.chat.completions.messages",
)
"""Libraries import these at their first use, which would stall the loop of a call, by half a second when the
box is busy."""
_FOREIGN = (
    "LIVEKIT_REMOTE_EOT_URL",
    "LIVEKIT_INFERENCE_URL",
    "LIVEKIT_OBSERVABILITY_URL",
    "LIVEKIT_WORKER_TOKEN",
    "LIVEKIT_AGENT_NAME_OVERRIDE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
)


class Worker:
    """The agent server with our limits: a call is taken while fewer than `max_calls` are in progress."""

    def __init__(self, settings: Settings) -> None:
        for name in _FOREIGN:
            os.environ.pop(name, None)
        os.environ.update(_OFF)
        self._settings = settings
        worker = settings.worker
        self._taken = 0
        self._registered = False
        self._server = AgentServer(
            job_executor_type=JobExecutorType.PROCESS,
            ws_url=settings.rooms.url,
            api_key=settings.rooms.api_key,
            api_secret=settings.rooms.api_secret.reveal(),
            host="127.0.0.1",
            port=0,  # our own health port says more
            num_idle_processes=worker.prewarmed_processes,
            load_fnc=self._load,
            load_threshold=math.inf,  # refused by count in `_request`, never by the framework's estimate
            drain_timeout=int(_DRAIN_SECONDS),
            shutdown_process_timeout=_CLOSE_SECONDS,
            session_end_timeout=30.0,
            initialize_process_timeout=60.0,
            job_memory_warn_mb=0,
            http_proxy=None,
            setup_fnc=prewarm,
            preload_modules=["runtime.agent.job", *IMPORTED_EARLY],
            max_retry=1_000_000,
        )
        self._server.rtc_session(
            take_call, agent_name=worker.agent_name, on_request=self._request, on_session_end=close_call
        )
        self._server.on("worker_registered", self._on_registered)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; ends within some 12 s."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        health = await self._serve_health()
        serving = asyncio.create_task(self._server.run(), name="agent-server")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
                return
            _log.info("stopping", calls=self.calls)
            with contextlib.suppress(TimeoutError):
                await self._server.drain(int(_DRAIN_SECONDS))
            await self._server.aclose()
            await serving
        finally:
            stopping.cancel()
            await health.cleanup()
        _log.info("stopped")

    @property
    def calls(self) -> int:
        """Calls in progress."""
        return len(self._server.active_jobs)

    def _load(self) -> float:
        return min(self.calls / self._settings.worker.max_calls, 1.0)

    async def _request(self, request: JobRequest) -> None:
        # `_taken` counts what was accepted and is not a running job yet.
        if self.calls + self._taken >= self._settings.worker.max_calls:
            _log.warning("call refused: the worker is full", calls=self.calls)
            await request.reject()
            return
        self._taken += 1
        try:
            await request.accept()
        finally:
            self._taken -= 1

    def _on_registered(self, *_: Any) -> None:
        self._registered = True
        _log.info("registered")

    async def _serve_health(self) -> web.AppRunner:
        async def live(_: web.Request) -> web.Response:
            return web.json_response({"ready": True, "parts": {"worker": True}})

        async def ready(_: web.Request) -> web.Response:
            is_ready = self._registered and not self._server.draining
            body = {"ready": is_ready, "parts": {"livekit": self._registered}, "calls": self.calls_or_none()}
            return web.json_response(body, status=200 if is_ready else 503)

        app = web.Application()
        app.add_routes([web.get("/", ready), web.get("/health/ready", ready), web.get("/health/live", live)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._settings.worker.health_port).start()
        return runner

    def calls_or_none(self) -> int:
        return self.calls if self._registered else 0
