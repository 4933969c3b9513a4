"""`python -m runtime.tool_api`: serves until SIGTERM, then finishes the requests that run."""

from __future__ import annotations

import sys

import uvicorn

from appliance.errors import InvalidInput
from appliance.settings import load_settings
from appliance.telemetry import configure_logging
from runtime.tool_api.application import create_app

GRACE_SECONDS = 8
KEEP_ALIVE_SECONDS = 30
"""Longer than our clients keep an idle connection: they close it, not we while they write."""
MAX_CONCURRENT_REQUESTS = 256


def main() -> int:
    """Exit codes: 0 ended in order, 2 the settings cannot be used."""
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="tool_api")
        app = create_app(settings)
    except InvalidInput as error:
        print(error, file=sys.stderr)
        return 2
    uvicorn.run(
        app,
        host=settings.tool_api.host,
        port=settings.tool_api.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=MAX_CONCURRENT_REQUESTS,
        backlog=512,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
