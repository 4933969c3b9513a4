"""`python -m models.llm.scripted`: the dialogue engine at the settings' `language.base_url`.

With another language model in use it listens at `language.fallback_base_url` instead.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import uvicorn

from appliance.errors import InvalidInput, TrunklineError
from appliance.settings import LanguageSettings, load_settings
from appliance.telemetry import configure_logging
from models.llm.scripted.server import MODEL, application


def address(settings: LanguageSettings) -> tuple[str, int]:
    """Host and port to listen at. InvalidInput when the settings name none for this engine."""
    url = settings.base_url if settings.model == MODEL else settings.fallback_base_url
    parts = urlsplit(url or "")
    if not parts.hostname or not parts.port:
        raise InvalidInput(
            "The settings name no address for the dialogue engine.", field="language.fallback_base_url"
        )
    return parts.hostname, parts.port


def main() -> int:
    """Serves until SIGTERM. Exit code 2 when the settings are wrong."""
    try:
        settings = load_settings()
        configure_logging(settings.telemetry, process="dialogue")
        host, port = address(settings.language)
    except TrunklineError as error:
        print(error, file=sys.stderr)
        return 2
    uvicorn.run(
        application(), host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=5
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
