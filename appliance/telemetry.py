"""Logs: one JSON line an event, without personal data.

Say what happened as the event's name and put identifiers beside it: `log.info("call answered", call_id=...)`.
Numbers, texts and names of callers do not belong there; `redact` is the last guard and not the first.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from appliance.settings import TelemetrySettings

_PRIVATE_KEYS = frozenset(
    {
        "caller",
        "called",
        "text",
        "transcript",
        "name",
        "phone",
        "prompt",
        "password",
        "token",
        "secret",
        "key",
        "authorization",
        "arguments",
        "digits",
        "digit",
    }
)
_LONG_DIGITS = re.compile(r"(?<![\w-])\+?\d[\d ./-]{5,}\d(?![\w-])")
_REMOVED = "[removed]"


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Takes out values of private keys and anything that looks like a telephone, card or account number."""
    for key, value in event.items():
        if key in _PRIVATE_KEYS:
            event[key] = _REMOVED
        elif (
            isinstance(value, str) and key not in {"timestamp", "event", "level"} and not key.endswith("_id")
        ):
            event[key] = _LONG_DIGITS.sub(_REMOVED, value)
    return event


def configure_logging(settings: TelemetrySettings, *, process: str) -> None:
    """Sends structlog's and the standard library's records to standard error in one shape."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.json_lines else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for chatty in ("httpx", "httpcore", "urllib3", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)
