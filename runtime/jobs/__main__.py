"""`python -m runtime.jobs`"""

from __future__ import annotations

import asyncio
import logging
import sys

from appliance.errors import TrunklineError
from appliance.settings import load_settings
from appliance.telemetry import configure_logging
from runtime.jobs.service import run


def main() -> None:
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="jobs")
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
        asyncio.run(run(settings))
    except TrunklineError as error:
        sys.stderr.write(f"jobs: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
