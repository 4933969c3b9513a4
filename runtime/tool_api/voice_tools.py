"""The tools that an agent uses during its call."""

from __future__ import annotations

from fastapi import APIRouter

from appliance.calls.domain import ToolAnswer, ToolRequest
from appliance.tools.service import run_tool
from runtime.tool_api.guards import AnyCall
from runtime.tool_api.wiring import Now, Wired

router = APIRouter(prefix="/internal/voice-tools")


@router.post("/{action}", response_model_exclude_none=True)
async def voice_tool(
    action: str, body: ToolRequest, identity: AnyCall, wiring: Wired, now: Now
) -> ToolAnswer:
    async with wiring.work_of(identity.organization_id) as uow:
        return await run_tool(uow, identity.call_id, action, body, now, wiring.functions)
