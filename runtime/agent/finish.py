"""The report at the end of a call, which is never lost: delivered, or spooled for the jobs worker."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import structlog

from appliance.calls.domain import Finish, RecordingGrant
from appliance.calls.report_spool import write_report
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import TrunklineError, Unavailable

_log = structlog.get_logger(__name__)

DELIVERY_SECONDS = 5.0


async def deliver_finish(
    client: ToolApiClient,
    call_id: UUID,
    finish: Finish,
    *,
    spool_dir: Path,
    grant: RecordingGrant | None,
    timeout_seconds: float = DELIVERY_SECONDS,
) -> bool:
    """Posts the report within `timeout_seconds`, else writes it to the spool; True when it was delivered.

    A report without a recording's grant has no key to be spooled with; it is then only logged as lost.
    """
    try:
        await client.finish(call_id, finish, timeout_seconds=timeout_seconds)
    except TrunklineError as error:
        _log.warning("report not delivered", code=error.code)
        if not isinstance(error, Unavailable):
            _log.error("report refused", code=error.code)
    else:
        return True
    if grant is None:
        _log.error("report lost: it cannot be spooled without a key")
        return False
    try:
        await asyncio.to_thread(write_report, spool_dir, grant, call_id, finish.attempt, finish)
    except (OSError, TrunklineError) as error:
        _log.error("report lost: the spool does not take it", reason=type(error).__name__)
    else:
        _log.info("report spooled")
    return False
