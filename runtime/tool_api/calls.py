"""The endpoints of a call's life."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from appliance.calls import life, report
from appliance.calls.context import context_of_call
from appliance.calls.domain import (
    Admission,
    AdmissionRequest,
    BrowserCallRequest,
    CallContext,
    Ended,
    Finish,
    OutboundRequest,
    Progress,
    RecordingGrant,
    RecordingRequest,
    RecordingSealed,
    Redispatch,
    Turn,
)
from appliance.recordings.service import open_recording, organization_of_recording, record_sealed
from appliance.widgets.domain import WebCallRequest
from appliance.widgets.visits import close_finished
from runtime.tool_api.guards import CallReporter, OrganizationOfCall, OwnCall, ServiceOnly
from runtime.tool_api.wiring import Now, Wired

router = APIRouter(prefix="/internal")


@router.post("/calls/admit", dependencies=[ServiceOnly])
async def admit(body: AdmissionRequest, wiring: Wired, now: Now) -> Admission:
    return await wiring.admissions.inbound(body, now)


@router.post("/calls/outbound", dependencies=[ServiceOnly])
async def outbound(body: OutboundRequest, wiring: Wired, now: Now) -> Admission:
    return await wiring.admissions.outbound(body, now)


@router.post("/calls/test", dependencies=[ServiceOnly])
async def test(body: BrowserCallRequest, wiring: Wired, now: Now) -> Admission:
    return await wiring.browser_calls.admit(body, now)


@router.post("/calls/web", dependencies=[ServiceOnly])
async def web(body: WebCallRequest, wiring: Wired, now: Now) -> Admission:
    return await wiring.web_calls.admit(body, now)


@router.post("/calls/{call_id}/progress", status_code=204)
async def progress(
    call_id: UUID, body: Progress, organization_id: OrganizationOfCall, wiring: Wired, now: Now
) -> None:
    async with wiring.work_of(organization_id) as uow:
        await life.progress(uow, call_id, body, now)


@router.post("/calls/{call_id}/redispatch")
async def redispatch(
    call_id: UUID, organization_id: OrganizationOfCall, wiring: Wired, now: Now
) -> Redispatch:
    async with wiring.work_of(organization_id) as uow:
        return await life.redispatch(uow, call_id, wiring.tokens, now)


@router.post("/calls/{call_id}/ended", status_code=204)
async def ended(
    call_id: UUID, body: Ended, organization_id: OrganizationOfCall, wiring: Wired, now: Now
) -> None:
    async with wiring.work_of(organization_id) as uow:
        await life.ended(uow, call_id, body, now)


@router.get("/calls/{call_id}/context")
async def context(call_id: UUID, identity: OwnCall, wiring: Wired) -> CallContext:
    async with wiring.work_of(identity.organization_id) as uow:
        return await context_of_call(uow, call_id, identity.attempt)


@router.post("/calls/{call_id}/turns", status_code=204)
async def turns(call_id: UUID, body: Turn, identity: OwnCall, wiring: Wired, now: Now) -> None:
    async with wiring.work_of(identity.organization_id) as uow:
        await report.store_turn(uow, call_id, identity.attempt, body, now)


@router.post("/calls/{call_id}/finish", status_code=204)
async def finish(call_id: UUID, body: Finish, reporter: CallReporter, wiring: Wired, now: Now) -> None:
    async with wiring.work_of(reporter.organization_id) as uow:
        await report.finish(uow, call_id, body, now)
        await close_finished(uow, call_id, now)


@router.post("/calls/{call_id}/recording")
async def recording(
    call_id: UUID, body: RecordingRequest, identity: OwnCall, wiring: Wired
) -> RecordingGrant:
    async with wiring.work_of(identity.organization_id) as uow:
        await life.locked_call(uow, call_id)
        bucket = wiring.settings.object_store.bucket
        return await open_recording(uow, wiring.keys, call_id=call_id, attempt=body.attempt, bucket=bucket)


@router.post("/recordings/{recording_id}/sealed", status_code=204, dependencies=[ServiceOnly])
async def sealed(recording_id: UUID, body: RecordingSealed, wiring: Wired) -> None:
    async with wiring.work_of_router() as uow:
        organization_id = await organization_of_recording(uow, recording_id)
    async with wiring.work_of(organization_id) as uow:
        await record_sealed(uow, recording_id, body)
