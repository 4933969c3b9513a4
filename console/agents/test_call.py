"""The test call in the browser: a room, an agent in it with the draft, and this member as the caller."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.di import Provide
from pydantic import BaseModel
from sqlalchemy import select

from appliance.access.domain import Actor, Right
from appliance.agents import editing
from appliance.agents.domain import AgentSnapshot
from appliance.audit.service import record
from appliance.calls import life, tables
from appliance.calls.domain import AdmissionRefused, BrowserCallRequest, Ended, Progress
from appliance.clients.rooms import RoomServer
from appliance.clients.tool_api import ToolApiClient
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import AtCapacity, Conflict, NotFound, TrunklineError
from console.agents.form import sentences_of
from console.web.page import Page
from console.web.wiring import Wiring
from console.web.work import Work

SCRIPT = "/vendor/livekit-client/livekit-client.umd.js"


class Calling:
    """What a test call is placed by: the tool API and the room server, one of each for the process."""

    def __init__(self, wiring: Wiring) -> None:
        self.tool_api = ToolApiClient.for_service(wiring.settings.tool_api)
        self.rooms = RoomServer(wiring.settings.rooms)


def provide_calling(state: State, wiring: Wiring) -> Calling:
    found: Calling | None = state.get("calling")
    if found is None:
        found = state["calling"] = Calling(wiring)
        wiring.stack.push_async_callback(found.tool_api.close)
        wiring.stack.push_async_callback(found.rooms.close)
    return found


_WITH_CALLING = {"calling": Provide(provide_calling, sync_to_thread=False)}


@get("/agents/{agent_id:uuid}/test", right=Right.AGENTS_TEST)
async def test_page(page: Page, work: Work, actor: Actor, agent_id: UUID) -> Response[str]:
    async with work.tenant() as uow:
        agent = await editing.get_agent(uow, actor, agent_id)
        draft = await editing.get_draft(uow, actor, agent_id)
    return page.render(
        "agents/test.html",
        agent=agent,
        draft=draft,
        errors=sentences_of(draft.flaws),
        script=SCRIPT,
        tab="test",
    )


@post("/agents/{agent_id:uuid}/test-calls", right=Right.AGENTS_TEST, dependencies=_WITH_CALLING)
async def begin(work: Work, wiring: Wiring, actor: Actor, calling: Calling, agent_id: UUID) -> dict[str, Any]:
    return await begin_test(work, wiring, actor, calling, agent_id)


async def begin_test(
    work: Work, wiring: Wiring, actor: Actor, calling: Calling, agent_id: UUID
) -> dict[str, Any]:
    """Takes a place, makes the room with the agent, and gives the browser its ticket.

    Conflict for a draft with flaws, AtCapacity at a limit, Unavailable when a part is away.
    """
    async with work.tenant() as uow:
        draft = await editing.get_draft(uow, actor, agent_id)
        if draft.flaws:
            raise Conflict(
                "The draft cannot be tried yet.", remedy="Mend what the editor shows, then save it."
            )
        await record(uow, actor, "agents.test_call", f"agent:{agent_id}")
    assert actor.organization_id is not None
    request = BrowserCallRequest(
        organization_id=actor.organization_id,
        agent_id=agent_id,
        snapshot=AgentSnapshot.model_validate(draft.snapshot),
        caller_name=actor.name,
    )
    try:
        admission = await calling.tool_api.admit_test(request)
    except AdmissionRefused as refused:
        raise AtCapacity(refused.message, remedy="Wait until a call has ended.") from refused
    try:
        await calling.rooms.create(
            admission.room_name,
            agent_name=admission.agent_name,
            dispatch_metadata=admission.dispatch_metadata,
        )
    except TrunklineError:
        async with work.tenant() as uow:  # gives the place back
            await life.ended(uow, admission.call_id, _end("bridge"), datetime.now(UTC))
        raise
    return {
        "call_id": str(admission.call_id),
        "url": wiring.settings.rooms.url,
        "token": admission.participant_token,
        "seconds": admission.limits.max_duration_seconds,
    }


@get("/agents/{agent_id:uuid}/test-calls/{call_id:uuid}", right=Right.AGENTS_TEST)
async def watch(work: Work, agent_id: UUID, call_id: UUID) -> dict[str, Any]:
    return await test_so_far(work, agent_id, call_id)


async def test_so_far(work: Work, agent_id: UUID, call_id: UUID) -> dict[str, Any]:
    """The turns so far. Their words are the member's own: who tests an agent hears them anyhow."""
    async with work.tenant() as uow:
        call = await _own_test(uow, agent_id, call_id)
        turn = tables.Turn
        rows = await uow.session.scalars(
            select(turn).where(turn.call_id == call_id).order_by(turn.attempt, turn.index).limit(500)
        )
        turns = [
            {
                "index": row.index,
                "caller": row.caller_text,
                "agent": row.agent_text,
                "stamps": row.stamps,
                "interrupted": row.interrupted,
            }
            for row in rows
        ]
    return {"turns": turns, "ended": call.ended_at is not None, "outcome": call.outcome}


@post(
    "/agents/{agent_id:uuid}/test-calls/{call_id:uuid}/answered",
    right=Right.AGENTS_TEST,
    status_code=204,
)
async def answered(work: Work, agent_id: UUID, call_id: UUID) -> None:
    await mark_answered(work, agent_id, call_id)


async def mark_answered(work: Work, agent_id: UUID, call_id: UUID) -> None:
    """The browser is in the room together with the agent."""
    now = datetime.now(UTC)
    async with work.tenant() as uow:
        await _own_test(uow, agent_id, call_id)
        await life.progress(uow, call_id, Progress(status="answered", at=now), now)


class EndInput(BaseModel):
    by: Literal["caller", "agent"] = "caller"


@post(
    "/agents/{agent_id:uuid}/test-calls/{call_id:uuid}/end",
    right=Right.AGENTS_TEST,
    status_code=204,
    dependencies=_WITH_CALLING,
)
async def end(work: Work, calling: Calling, agent_id: UUID, call_id: UUID, data: EndInput) -> None:
    await end_test(work, calling, agent_id, call_id, data.by)


async def end_test(
    work: Work, calling: Calling, agent_id: UUID, call_id: UUID, by: Literal["caller", "agent"]
) -> None:
    """Ends it; ended already: nothing changes. The room goes, and so the agent."""
    async with work.tenant() as uow:
        call = await _own_test(uow, agent_id, call_id)
        room = call.room_name
        await life.ended(uow, call_id, _end(by), datetime.now(UTC))
    await calling.rooms.delete(room)


async def _own_test(uow: UnitOfWork, agent_id: UUID, call_id: UUID) -> tables.Call:
    call = await uow.session.get(tables.Call, call_id)
    if call is None or call.test_agent_id != agent_id:
        raise NotFound("There is no such test call.")
    return call


def _end(by: Literal["caller", "agent", "bridge"]) -> Ended:
    return Ended(at=datetime.now(UTC), hangup_party=by, q850_cause=16)


ROUTES = [test_page, begin, watch, answered, end]
