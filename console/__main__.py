"""`python -m console`: serves until SIGTERM, then finishes the requests that run."""

from __future__ import annotations

import gc
import sys

import uvicorn

from appliance.errors import InvalidInput
from appliance.settings import load_settings
from appliance.telemetry import configure_logging
from console.app import create_app

GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 30
MAX_CONCURRENT_REQUESTS = 512


def main() -> int:
    """Exit codes: 0 ended in order, 2 the settings cannot be used."""
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="console")
        app = create_app(settings)
    except InvalidInput as error:
        print(error, file=sys.stderr)
        return 2
    # What is there now stays: looked through again for each long call, it would cost 150 ms each time.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.console.host,
        port=settings.console.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=MAX_CONCURRENT_REQUESTS,
        proxy_headers=bool(settings.console.trusted_proxies),
        forwarded_allow_ips=list(settings.console.trusted_proxies),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
