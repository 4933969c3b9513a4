"""Test calls: a program talks to a draft in a room, as the console's own page does."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar.di import Provide
from pydantic import BaseModel, Field

from appliance.access.domain import Actor, Right
from console.agents.test_call import (
    Calling,
    begin_test,
    end_test,
    mark_answered,
    provide_calling,
    test_so_far,
)
from console.api.answers import IdempotencyKey, creates, deletes, reads
from console.web.wiring import Wiring
from console.web.work import Work

_CALLING = {"calling": Provide(provide_calling, sync_to_thread=False)}


class TestCallTicket(BaseModel):
    """`url` and `token` open the LiveKit room, where the program is the caller; for so many seconds."""

    call_id: UUID
    url: str = Field(examples=["ws://127.0.0.1:17002"])
    token: str
    seconds: float


class TestTurn(BaseModel):
    index: int
    caller: str
    agent: str
    stamps: dict[str, float]
    interrupted: bool


class ShownTestCall(BaseModel):
    turns: list[TestTurn]
    ended: bool
    outcome: str | None


@creates(
    "/agents/{agent_id:uuid}/test-calls",
    right=Right.AGENTS_TEST,
    operation="beginTestCall",
    dependencies=_CALLING,
)
async def begin_test_call(
    actor: Actor,
    work: Work,
    wiring: Wiring,
    calling: Calling,
    agent_id: UUID,
    idempotency_key: IdempotencyKey = None,
) -> TestCallTicket:
    """Takes a place and makes a room with the agent's draft in it; 409 while the draft has flaws."""
    return TestCallTicket.model_validate(await begin_test(work, wiring, actor, calling, agent_id))


@reads("/agents/{agent_id:uuid}/test-calls/{call_id:uuid}", right=Right.AGENTS_TEST, operation="getTestCall")
async def get_test_call(work: Work, agent_id: UUID, call_id: UUID) -> ShownTestCall:
    """Its turns so far."""
    return ShownTestCall.model_validate(await test_so_far(work, agent_id, call_id))


@creates(
    "/agents/{agent_id:uuid}/test-calls/{call_id:uuid}/answered",
    right=Right.AGENTS_TEST,
    operation="answerTestCall",
    status=204,
)
async def answer_test_call(
    work: Work, agent_id: UUID, call_id: UUID, idempotency_key: IdempotencyKey = None
) -> None:
    """The program is in the room together with the agent."""
    await mark_answered(work, agent_id, call_id)


@deletes(
    "/agents/{agent_id:uuid}/test-calls/{call_id:uuid}",
    right=Right.AGENTS_TEST,
    operation="endTestCall",
    dependencies=_CALLING,
)
async def end_test_call(work: Work, calling: Calling, agent_id: UUID, call_id: UUID) -> None:
    """Ends it; ended already: nothing changes."""
    await end_test(work, calling, agent_id, call_id, "caller")


HANDLERS: list[Any] = [begin_test_call, get_test_call, answer_test_call, end_test_call]
