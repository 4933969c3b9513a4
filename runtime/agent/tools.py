"""The organization's tools as function tools of the model; what they do is done by the tool API."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import structlog
from livekit.agents import RunContext, StopResponse, llm

from appliance.calls.domain import ToolAnswer, ToolDescription
from appliance.clients.tool_api import ToolApiClient
from appliance.errors import TrunklineError
from runtime.agent.plugins.llm import PROBLEM
from runtime.agent.turns import TurnLog

_log = structlog.get_logger(__name__)

_TOOL_SECONDS = 8.0
AfterTool = Callable[[ToolAnswer, RunContext[Any]], Awaitable[ToolAnswer | None]]
"""What a tool does in the call once the API has agreed: an answer for the model, or None for none at all."""


class CallTools:
    """Runs the tools of one call.

    A tool that has begun is finished and recorded even when the caller hangs up or interrupts meanwhile.
    """

    def __init__(
        self,
        client: ToolApiClient,
        call_id: UUID,
        attempt: int,
        descriptions: tuple[ToolDescription, ...],
        log: TurnLog,
        *,
        failure_sentence: str,
    ) -> None:
        self._client = client
        self._call_id = call_id
        self._attempt = attempt
        self._descriptions = descriptions
        self._log = log
        self._after: dict[str, AfterTool] = {}
        self._failure_sentence = failure_sentence
        self._count = 0
        self._running: set[asyncio.Task[ToolAnswer]] = set()
        self.succeeded: list[str] = []
        """Actions that were done, in order."""

    def after(self, action: str, then: AfterTool) -> None:
        """Has `then` done after each success of a tool, before the model hears of it."""
        self._after[action] = then

    def function_tools(self) -> list[llm.Tool | llm.Toolset]:
        return [self._function_tool(description) for description in self._descriptions]

    def schemas(self) -> list[dict[str, Any]]:
        """The tools in the form in which the language model is told of them."""
        return llm.ToolContext(self.function_tools()).parse_function_tools("openai")

    async def settle(self, *, timeout_seconds: float) -> None:
        """Waits for tools under way; what takes longer goes on at the tool API without us."""
        if self._running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await asyncio.gather(*self._running, return_exceptions=True)
        for task in self._running:
            task.cancel()

    def _function_tool(self, description: ToolDescription) -> llm.RawFunctionTool[..., Any]:
        async def run(raw_arguments: dict[str, object], context: RunContext[Any]) -> str:
            return await self._run(description.name, dict(raw_arguments), context)

        return llm.function_tool(
            run,
            raw_schema={
                "name": description.name,
                "description": description.description,
                "parameters": description.parameters,
            },
        )

    async def _run(self, action: str, arguments: dict[str, Any], context: RunContext[Any]) -> str:
        if problem := context.function_call.extra.get(PROBLEM):
            raise llm.ToolError(f"The call of {action} was not understood: {problem} Try again.")
        self._count += 1
        tool_call_id = f"{self._attempt}.{self._count}.{context.function_call.call_id}"[:200]
        task = asyncio.create_task(self._ask(action, tool_call_id, arguments), name=f"tool-{action}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        answer = await asyncio.shield(task)
        if answer.ok and (after := self._after.get(action)) is not None:
            changed = await after(answer, context)
            if changed is None:
                raise StopResponse
            answer = changed
        return answer.model_dump_json(exclude_none=True)

    async def _ask(self, action: str, tool_call_id: str, arguments: dict[str, Any]) -> ToolAnswer:
        began = time.time()
        try:
            answer = await self._client.voice_tool(
                action, tool_call_id, arguments, timeout_seconds=_TOOL_SECONDS
            )
        except TrunklineError as error:
            _log.warning("tool failed", action=action, code=error.code)
            answer = ToolAnswer(ok=False, code=error.code, say=self._failure_sentence)
        if answer.ok:
            self.succeeded.append(action)
        self._log.tool_called(
            {
                "tool_call_id": tool_call_id,
                "action": action,
                "arguments": arguments,
                "ok": answer.ok,
                "code": answer.code,
                "result": answer.result,
                "ms": round((time.time() - began) * 1000),
            },
            at=began,
        )
        return answer
