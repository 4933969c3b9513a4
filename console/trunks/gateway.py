"""What the gateway says of the trunks: whether the other side answers its OPTIONS (RFC 3261, section 11)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from appliance.settings import GatewaySettings

_SECONDS = 2.0
_PREFIX = "trunk-"
"""How the bridge names a trunk's endpoint in the gateway."""


async def states_of_trunks(settings: GatewaySettings) -> dict[UUID, str] | None:
    """`online`, `offline` or `unknown` for each trunk that the gateway knows; None when it is away."""
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            answer = await client.get(
                f"{settings.ari_url.rstrip('/')}/ari/endpoints/PJSIP",
                auth=(settings.ari_user, settings.ari_password.reveal()),
            )
        answer.raise_for_status()
        listed: Any = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    states: dict[UUID, str] = {}
    for each in listed if isinstance(listed, list) else []:
        name = str(each.get("resource", ""))
        if name.startswith(_PREFIX):
            try:
                states[UUID(name.removeprefix(_PREFIX))] = str(each.get("state", "unknown"))
            except ValueError:
                continue
    return states
