"""Places the calls that incoming webhooks asked for, while the jobs worker runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import structlog

from appliance.errors import TrunklineError
from appliance.webhooks.calling import HookCaller

_log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
RESPITE_SECONDS = 5.0


async def place_hook_calls(caller: HookCaller) -> None:
    """Runs until it is cancelled; a few at a time."""
    while True:
        try:
            now = datetime.now(UTC)
            found = await caller.due(now)
            await asyncio.gather(*(_call(caller, *each, now) for each in found))
        except TrunklineError as error:
            _log.warning("calls of webhooks wait", reason=str(error))
            await asyncio.sleep(RESPITE_SECONDS)
            continue
        if not found:
            await asyncio.sleep(LOOK_SECONDS)


async def _call(caller: HookCaller, organization_id: UUID, request_id: UUID, now: datetime) -> None:
    """Whatever goes wrong with one request concerns it alone; its claim ends by the clock."""
    try:
        await caller.call(organization_id, request_id, now)
    except TrunklineError as error:
        _log.warning("call of a webhook not placed", request_id=str(request_id), reason=str(error))
        await asyncio.sleep(RESPITE_SECONDS)
    except Exception:
        _log.exception("call of a webhook not placed", request_id=str(request_id))
        await asyncio.sleep(RESPITE_SECONDS)
