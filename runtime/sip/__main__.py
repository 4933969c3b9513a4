"""`python -m runtime.sip`: the bridge as a process. SIGTERM ends it in order within 10 s."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

import structlog
from aiohttp import web

from appliance.clients.rooms import RoomServer
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import TrunklineError
from appliance.settings import Settings, load_settings
from appliance.telemetry import configure_logging
from runtime.sip import gateway
from runtime.sip.ari import AriClient
from runtime.sip.audiosocket import AudioSocketServer
from runtime.sip.channels import Channels
from runtime.sip.health import make_app
from runtime.sip.options import TestDesk
from runtime.sip.parts import Parts
from runtime.sip.reports import EndedReports, ProgressReports
from runtime.sip.sdk_audio import SdkAudio
from runtime.sip.service import Bridge
from runtime.sip.sounds import Sentences

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Runs the bridge until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        AriClient(settings.gateway) as ari,
        RoomServer(settings.rooms) as rooms,
        ToolApiClient.for_service(settings.tool_api) as api,
    ):
        audiosocket = AudioSocketServer()
        sdk_audio = SdkAudio()
        parts = Parts(
            settings=settings,
            ari=ari,
            rooms=rooms,
            api=api,
            audiosocket=audiosocket,
            sdk_audio=sdk_audio,
            channels=Channels(),
            sentences=Sentences(settings.sentences_dir),
            ended=EndedReports(api, settings.spool_dir),
            progress=ProgressReports(api),
        )
        bridge = Bridge(parts)
        tests = TestDesk(api, trusted=settings.gateway.trusted_file)
        runner = web.AppRunner(make_app(bridge, parts, tests), access_log=None)
        await audiosocket.start(settings.gateway.audiosocket_host, settings.gateway.audiosocket_port)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", settings.bridge.health_port).start()
            log.info("bridge started")
            await _run_until(stop, bridge, parts)
        finally:
            await runner.cleanup()
            tests.close()
            await audiosocket.stop()
            sdk_audio.close()
            log.info("bridge stopped")


async def _run_until(stop: asyncio.Event, bridge: Bridge, parts: Parts) -> None:
    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bridge.run())
            tasks.create_task(
                gateway.run(parts.settings, parts.ari, parts.api, accepting=bridge.accepts_calls)
            )

    working = asyncio.create_task(work())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        await working
    await bridge.stop()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


def main() -> None:
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="bridge")
        logging.getLogger("livekit").setLevel(logging.WARNING)
        asyncio.run(serve(settings))
    except TrunklineError as error:
        sys.exit(f"bridge: {error}")
    except OSError as error:
        sys.exit(f"bridge: it cannot listen at its port ({error.strerror}).")


if __name__ == "__main__":
    main()
