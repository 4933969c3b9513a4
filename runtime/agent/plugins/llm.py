"""The language model as an LLM of the framework."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    llm,
    utils,
)
from typing_extensions import override

from appliance.clients.language import (
    Finished,
    InvalidToolCall,
    LanguageEvent,
    LanguageModel,
    TextDelta,
    ToolCall,
)
from appliance.errors import TrunklineError
from runtime.agent.plugins.failure import as_api_error

PROBLEM = "trunkline_problem"
"""Key of a tool call's `extra`: what is wrong with it, in words for the model."""


class RemoteLLM(llm.LLM[Any]):
    """`on_begin` is told when an answer is asked for, `on_first_token` when it begins to come."""

    def __init__(
        self,
        client: LanguageModel,
        *,
        model: str,
        on_begin: Callable[[], None],
        on_first_token: Callable[[], None],
    ) -> None:
        super().__init__()
        self.client = client
        self._model = model
        self.on_begin = on_begin
        self.on_first_token = on_first_token

    @property
    @override
    def model(self) -> str:
        return self._model

    @property
    @override
    def provider(self) -> str:
        return "trunkline"

    @override
    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        choice: Any = tool_choice if utils.is_given(tool_choice) else "auto"
        return _Stream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options, choice=choice)


class _Stream(llm.LLMStream):
    def __init__(
        self,
        parent: RemoteLLM,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
        choice: Any,
    ) -> None:
        super().__init__(parent, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._parent = parent
        self._choice = choice

    @override
    async def _run(self) -> None:
        messages, _ = self._chat_ctx.to_provider_format(format="openai")
        schemas: list[dict[str, Any]] = llm.ToolContext(self._tools).parse_function_tools("openai")
        answer_id = utils.shortuuid("answer_")
        self._parent.on_begin()
        first = True
        try:
            stream = self._parent.client.stream(messages, tools=schemas, tool_choice=self._choice)
            async with aclosing(stream) as events:
                async for event in events:
                    if first and not isinstance(event, Finished):
                        first = False
                        self._parent.on_first_token()
                    self._event_ch.send_nowait(_chunk(answer_id, event))
        except TrunklineError as error:
            raise as_api_error(error) from None


def _chunk(answer_id: str, event: LanguageEvent) -> llm.ChatChunk:
    match event:
        case TextDelta(text):
            return llm.ChatChunk(id=answer_id, delta=llm.ChoiceDelta(role="assistant", content=text))
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return _tool_chunk(answer_id, call_id, name, json.dumps(arguments, ensure_ascii=False), {})
        case InvalidToolCall(id=call_id, name=name, problem=problem):
            return _tool_chunk(answer_id, call_id, name or "unknown", "{}", {PROBLEM: problem})
        case Finished(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens):
            usage = llm.CompletionUsage(
                completion_tokens=completion_tokens,
                prompt_tokens=prompt_tokens,
                total_tokens=prompt_tokens + completion_tokens,
            )
            return llm.ChatChunk(id=answer_id, usage=usage)


def _tool_chunk(
    answer_id: str, call_id: str, name: str, arguments: str, extra: dict[str, Any]
) -> llm.ChatChunk:
    call = llm.FunctionToolCall(name=name, arguments=arguments, call_id=call_id, extra=extra)
    return llm.ChatChunk(id=answer_id, delta=llm.ChoiceDelta(role="assistant", tool_calls=[call]))
