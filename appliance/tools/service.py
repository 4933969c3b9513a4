"""Runs a tool for a call, exactly once for each of the language model's tool-call ids."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from appliance.agents.domain import AgentSnapshot
from appliance.agents.tables import AgentVersion
from appliance.calls.domain import ToolAnswer, ToolRequest
from appliance.calls.routing import organization_of
from appliance.calls.tables import Call, ToolCall
from appliance.database.unit_of_work import UnitOfWork
from appliance.errors import NotFound
from appliance.tools.appointments import check_availability, create_booking
from appliance.tools.catalog import CATALOG
from appliance.tools.conversation import create_order, end_call, log_note, transfer_to_human
from appliance.tools.functions import FunctionCaller, argument_error, enabled_functions
from appliance.tools.outcome import CannotDo, Done, ToolSetting

log = structlog.get_logger()
_Run = Callable[[ToolSetting, Any], Awaitable[Done]]
_RUNS: Mapping[str, _Run] = {
    "check_availability": check_availability,
    "create_booking": create_booking,
    "create_order": create_order,
    "transfer_to_human": transfer_to_human,
    "end_call": end_call,
    "log_note": log_note,
}
_ASKS = {
    "date": ("Which day would you like?", "Welcher Tag wäre Ihnen recht?"),
    "time": ("What time would you like?", "Um wie viel Uhr?"),
    "name": ("May I have your name, please?", "Wie ist Ihr Name, bitte?"),
    "items": ("What would you like to order?", "Was möchten Sie bestellen?"),
    "quantity": ("How many would you like?", "Wie viele möchten Sie?"),
    "text": ("What shall I write down?", "Was soll ich notieren?"),
}


async def run_tool(
    uow: UnitOfWork,
    call_id: UUID,
    action: str,
    request: ToolRequest,
    now: datetime,
    functions: FunctionCaller | None = None,
) -> ToolAnswer:
    """Runs the tool, or answers what it answered before; NotFound for a call that does not exist.

    The id is claimed, the tool runs and its answer is kept in one transaction: a second request with the
    same id waits for the first one's end and then reads its answer, and a crash leaves nothing behind. The
    same id with another question is refused and runs nothing.
    """
    setting = await _setting(uow, call_id, now)
    claimed = await _claim(uow, setting.call, action, request)
    if claimed is None:
        return await _earlier_answer(setting, action, request)
    if functions is not None and action in setting.snapshot.functions:
        answer = await _function_answer(setting, functions, action, request)
    else:
        answer = await _answer(setting, action, request)
    claimed.result = answer.model_dump(mode="json")
    claimed.finished_at = datetime.now(UTC)
    known = action if action in CATALOG else "unknown"  # a model may put anything into a tool's name
    log.info("tool ran", call_id=str(call_id), action=known, ok=answer.ok, code=answer.code)
    setting.call.last_news_at = max(setting.call.last_news_at, now)
    return answer


async def _setting(uow: UnitOfWork, call_id: UUID, now: datetime) -> ToolSetting:
    call = await uow.session.get(Call, call_id)
    if call is None:
        raise NotFound("The call does not exist.")
    version = await uow.session.scalar(select(AgentVersion).where(AgentVersion.id == call.agent_version_id))
    if version is None:
        raise NotFound("The agent of this call does not exist any more.")
    return ToolSetting(
        uow=uow,
        call=call,
        snapshot=AgentSnapshot.model_validate(version.snapshot),
        timezone=(await organization_of(uow)).timezone,
        now=now,
    )


async def _claim(uow: UnitOfWork, call: Call, action: str, request: ToolRequest) -> ToolCall | None:
    claimed = await uow.session.scalar(
        insert(ToolCall)
        .values(
            organization_id=call.organization_id,
            call_id=call.id,
            tool_call_id=request.tool_call_id,
            action=action[:100],
            arguments=request.arguments,
        )
        .on_conflict_do_nothing(index_elements=["call_id", "tool_call_id"])
        .returning(ToolCall.id)
    )
    return None if claimed is None else await uow.session.get(ToolCall, claimed)


async def _earlier_answer(setting: ToolSetting, action: str, request: ToolRequest) -> ToolAnswer:
    earlier = await setting.uow.session.scalar(
        select(ToolCall).where(
            ToolCall.call_id == setting.call.id, ToolCall.tool_call_id == request.tool_call_id
        )
    )
    if earlier is None or earlier.result is None:
        raise NotFound("The earlier answer does not exist any more.")
    same = earlier.action == action[:100] and _canonical(earlier.arguments) == _canonical(request.arguments)
    if not same:
        return ToolAnswer(ok=False, code="tool_call_reused", say=setting.snapshot.sentences.tool_failed)
    return ToolAnswer.model_validate(earlier.result)


async def _answer(setting: ToolSetting, action: str, request: ToolRequest) -> ToolAnswer:
    tool = CATALOG.get(action)
    if tool is None or action not in setting.snapshot.tools:
        return ToolAnswer(ok=False, code="unknown_tool", say=setting.snapshot.sentences.tool_failed)
    if setting.call.ended_at is not None:
        return ToolAnswer(ok=False, code="call_ended", say=setting.snapshot.sentences.goodbye)
    try:
        arguments = tool.arguments.model_validate(request.arguments)
    except ValidationError as error:
        return _wrong_arguments(setting, error)
    try:
        done = await _RUNS[action](setting, arguments)
    except CannotDo as answer:
        return ToolAnswer(ok=False, code=answer.code, say=answer.say, result=answer.result)
    return ToolAnswer(ok=True, result=done.result, say=done.say)


async def _function_answer(
    setting: ToolSetting, functions: FunctionCaller, action: str, request: ToolRequest
) -> ToolAnswer:
    """One of the organization's own. What the far side says under `say` the agent may speak."""
    failed = setting.snapshot.sentences.tool_failed
    found = await enabled_functions(setting.uow, [action])
    if not found or setting.call.ended_at is not None:
        return ToolAnswer(ok=False, code="unknown_tool" if not found else "call_ended", say=failed)
    wrong = argument_error(found[0].parameters, request.arguments)
    if wrong is not None:
        return ToolAnswer(ok=False, code="not_understood", say=failed, result={"problem": wrong})
    tried = await functions.call(setting.uow, found[0], request.arguments, setting.call.id)
    if not tried.ok:
        return ToolAnswer(ok=False, code="function_failed", say=failed)
    result = tried.result if isinstance(tried.result, dict) else {"result": tried.result}
    say = result.get("say")
    return ToolAnswer(ok=True, result=result, say=say[:2000] if isinstance(say, str) else None)


def _wrong_arguments(setting: ToolSetting, error: ValidationError) -> ToolAnswer:
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in first["loc"]]
    asked = next((_ASKS[part] for part in reversed(path) if part in _ASKS), None)
    say = setting.pick(*asked) if asked else setting.snapshot.sentences.tool_failed
    code = "missing" if first["type"] == "missing" else "not_understood"
    return ToolAnswer(ok=False, code=code, say=say, result={"field": ".".join(path)})


def _canonical(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)
