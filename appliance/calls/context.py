"""What a worker is told when it joins a call, also when it takes the call over from one that was lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from sqlalchemy import select

from appliance.agents.domain import AgentSnapshot
from appliance.agents.tables import AgentVersion
from appliance.calls import tables
from appliance.calls.domain import CallContext, Utterance
from appliance.calls.report import next_turn_index, stored_turns
from appliance.calls.routing import organization_of
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.tools.catalog import described
from appliance.tools.functions import described_functions


async def context_of_call(uow: UnitOfWork, call_id: UUID, attempt: int) -> CallContext:
    """The context for this attempt. NotFound when the call or its agent version is gone."""
    call = await uow.session.scalar(select(tables.Call).where(tables.Call.id == call_id))
    if call is None:
        raise NotFound("The call does not exist.")
    organization = await organization_of(uow)
    snapshot = await _snapshot(uow, call)
    return CallContext.model_validate(
        {
            "call_id": call.id,
            "organization_id": call.organization_id,
            "agent_version_id": call.agent_version_id,
            "direction": call.direction,
            "caller": call.caller or "",
            "called": call.called or "",
            "started_at": call.created_at,
            "timezone": organization.timezone,
            "snapshot": snapshot,
            "tools": described(snapshot.tools) + await described_functions(uow, snapshot.functions),
            "conversation": tuple(_spoken(await stored_turns(uow, call_id))),
            "next_turn_index": await next_turn_index(uow, call_id),
            "attempt": attempt,
        }
    )


async def _snapshot(uow: UnitOfWork, call: tables.Call) -> AgentSnapshot:
    """Of the version that answers; a test call carries its own."""
    if call.test_snapshot is not None:
        return AgentSnapshot.model_validate(call.test_snapshot)
    version = await uow.session.scalar(select(AgentVersion).where(AgentVersion.id == call.agent_version_id))
    if version is None:
        raise NotFound("The agent of this call does not exist any more.")
    return AgentSnapshot.model_validate(version.snapshot)


def _spoken(turns: Iterable[tables.Turn]) -> Iterator[Utterance]:
    for turn in turns:
        if turn.caller_text:
            yield Utterance(role="caller", text=turn.caller_text)
        if turn.agent_text:
            yield Utterance(role="agent", text=turn.agent_text)
