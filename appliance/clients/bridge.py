"""The bridge's own HTTP on this host: placing a call, testing a trunk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
from pydantic import ValidationError

from appliance.calls.domain import OutboundRequest
from appliance.clients.problem_documents import error_of_problem
from appliance.errors import Unavailable
from appliance.settings import Settings
from appliance.telephony.trunk_test_domain import TrunkTestResult

TIMEOUT_SECONDS = 15.0


class NotReached(Unavailable):
    """Nobody was asked: the call was certainly not placed."""


async def place_call(
    settings: Settings, wanted: OutboundRequest, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> UUID:
    """Asks the bridge to place a call and returns its id; it is not yet answered.

    Raises what the bridge or the tool API says (AdmissionRefused, AtCapacity, NotFound, ...): then no call
    was placed. NotReached: likewise. Any other Unavailable: nobody knows whether it was.
    """
    answer = await _post(settings, "/calls/outbound", wanted.model_dump_json(), timeout_seconds)
    try:
        content: Any = answer.json()
        if answer.status_code == 202:
            return UUID(content["call_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("The telephone answered strangely.", code="unknown_outcome") from error
    raise error_of_problem(answer.status_code, content if isinstance(content, dict) else {})


async def probe_trunk(
    settings: Settings, trunk_id: UUID, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> TrunkTestResult:
    """Has the bridge send an OPTIONS to each address of the trunk; lasts some seconds when one is silent.

    Whose trunk it is, the caller must know already. Raises NotFound, AtCapacity while it is being tested,
    InvalidInput for a host that cannot be one, Unavailable.
    """
    answer = await _post(settings, f"/trunks/{trunk_id}/test", None, timeout_seconds)
    try:
        if answer.status_code == 200:
            return TrunkTestResult.model_validate_json(answer.content)
        content: Any = answer.json()
    except (ValidationError, ValueError) as error:
        raise Unavailable("The telephone answered strangely.") from error
    raise error_of_problem(answer.status_code, content if isinstance(content, dict) else {})


async def _post(settings: Settings, path: str, body: str | None, timeout_seconds: float) -> httpx.Response:
    token = settings.tool_api.service_token.reveal()
    url = f"http://127.0.0.1:{settings.bridge.health_port}{path}"
    try:
        async with httpx.AsyncClient(timeout=timeout_seconds, trust_env=False) as client:
            return await client.post(
                url,
                content=body,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotReached("The telephone does not answer.", remedy="Try again in a moment.") from error
    except httpx.HTTPError as error:
        raise Unavailable("The telephone did not answer in time.", code="unknown_outcome") from error
