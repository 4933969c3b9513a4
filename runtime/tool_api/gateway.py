"""What the bridge writes into the SIP gateway."""

from __future__ import annotations

from fastapi import APIRouter

from appliance.telephony.domain import GatewayConfiguration
from appliance.telephony.service import gateway_configuration
from runtime.tool_api.guards import ServiceOnly
from runtime.tool_api.wiring import Wired

router = APIRouter(prefix="/internal")


@router.get("/gateway", dependencies=[ServiceOnly])
async def gateway(wiring: Wired) -> GatewayConfiguration:
    return await gateway_configuration(wiring.router, wiring.keys)
