"""`python -m models.triton`: writes the model repository from the manifest and serves it."""

from __future__ import annotations

import os
import signal
import sys
import threading

from appliance.errors import InvalidInput, TrunklineError, Unavailable
from appliance.settings import Settings, load_settings
from appliance.telemetry import configure_logging
from models.opened import open_model
from models.triton.environments import Environments
from models.triton.repository import Limits, write_repository
from models.triton.server import TritonServer

_WATCH_SECONDS = 0.5


def _serve(settings: Settings, stopped: threading.Event) -> None:
    engines = settings.engines
    if engines.manifest is None:
        raise InvalidInput("The settings name no manifest.", remedy="Add a model: appliance models add.")
    environments = Environments.named()
    opened = open_model(engines.manifest, "stt", engines.stt)
    folder = engines.manifest.parent / "triton"
    write_repository(
        folder,
        opened=opened,
        manifest=engines.manifest,
        device=engines.device,
        limits=Limits(settings.speech.max_streams, threads=max(1, (os.cpu_count() or 2) // 2)),
        environments=environments,
    )
    server = TritonServer(
        folder,
        environments,
        grpc_address=settings.speech.stt_address,
        http_port=engines.triton_http_port,
        metrics_port=engines.triton_metrics_port,
    )
    server.start()
    try:
        if server.wait_until_ready(stopped):
            while not stopped.wait(_WATCH_SECONDS):
                if server.ended is not None:
                    raise Unavailable(f"Triton ended with code {server.ended}.")
    finally:
        server.stop()


def main() -> int:
    """Serves until SIGTERM. Exit code 2 when the settings or the model are wrong, 3 when Triton ends."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="triton")
        _serve(settings, stopped)
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 3
    except TrunklineError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
