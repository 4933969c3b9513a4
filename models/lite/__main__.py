"""`python -m models.lite`: the speech server of the lite profile, as the settings say."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from appliance.errors import TrunklineError
from appliance.settings import Settings, load_settings
from appliance.telemetry import configure_logging
from models.lite.server import serve


async def _run(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopped.set)
    await serve(
        settings.speech.stt_address,
        max_streams=settings.speech.max_streams,
        processes=max(1, min(4, os.cpu_count() or 1)),
        stopped=stopped,
    )


def main() -> int:
    """Serves until SIGTERM. Exit code 2 when the settings or the models are wrong."""
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="speech")
        asyncio.run(_run(settings))
    except TrunklineError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
