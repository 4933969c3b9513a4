"""`python -m runtime.agent`: the worker."""

from __future__ import annotations

import asyncio
import sys

from appliance.errors import TrunklineError
from appliance.settings import load_settings
from appliance.telemetry import configure_logging
from runtime.agent.server import Worker


def main() -> int:
    try:
        settings = load_settings()
    except TrunklineError as error:
        print(error, file=sys.stderr)
        return 2
    configure_logging(settings.telemetry, process="worker")
    asyncio.run(Worker(settings).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
