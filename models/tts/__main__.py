"""`python -m models.tts`: the voice server, in the speech environment, as the settings say."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from appliance.errors import InvalidInput, TrunklineError
from appliance.settings import Settings, load_settings
from appliance.telemetry import configure_logging
from models.offline import set_offline
from models.opened import OpenedModel, open_model


async def _run(settings: Settings, opened: OpenedModel) -> None:
    # Heavy imports only now: whatever is wrong with settings or weights has been said by then.
    from models.tts.engine import describe, load_engine
    from models.tts.server import serve

    engine = load_engine(opened, settings.engines.device, threads=max(1, (os.cpu_count() or 2) // 2))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopped.set)
    await serve(
        engine,
        address=settings.speech.tts_address,
        health_port=settings.engines.voice_health_port,
        about=describe(engine, opened),
        max_streams=settings.speech.max_streams,
        queue_limit=settings.engines.voice_queue,
        stopped=stopped,
    )


def main() -> int:
    """Serves until SIGTERM. Exit code 2 when the settings or the weights are wrong."""
    set_offline()
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="voice")
        if settings.engines.manifest is None:
            raise InvalidInput("No manifest is set.", remedy="Set engines.manifest in the settings file.")
        opened = open_model(settings.engines.manifest, "tts", settings.engines.tts)
        asyncio.run(_run(settings, opened))
    except TrunklineError as error:
        print(error, file=sys.stderr)
        return 2
    sys.stderr.flush()
    # All has been ended in order but perhaps a pass of the engine, which cannot be stopped from outside
    # and which Python would wait for.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
