"""What a request to the language server may hold. Pure.

vLLM's server takes many fields that change how it samples, and trusts whoever sends them. Here a request is
bounded before it reaches the engine: known fields alone, a longest answer, one answer, a priority.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from appliance.errors import InvalidInput
from models.llm.vllm.admission import LIVE_PRIORITY, OTHER_PRIORITY

ALLOWED = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "stop",
        "seed",
        "stream",
        "stream_options",
        "response_format",
        "priority",
        "user",
        "n",
    }
)


@dataclass(frozen=True)
class Checked:
    """A request that may go to the engine."""

    body: bytes
    priority: int


def check(raw: bytes, longest_answer: int) -> Checked:
    """The request within bounds. Raises InvalidInput with a sentence for the one who sent it."""
    try:
        tree: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The request is not JSON.") from error
    if not isinstance(tree, dict):
        raise InvalidInput("The request is not a JSON object.")
    request: dict[str, Any] = tree
    if unknown := sorted(request.keys() - ALLOWED):
        raise InvalidInput(f"This server takes no field {unknown[0][:40]!r}.", field=unknown[0][:40])
    if request.get("n", 1) != 1:
        raise InvalidInput("One answer to a request.", field="n")
    priority = request.get("priority", OTHER_PRIORITY)
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise InvalidInput("The priority is a whole number.", field="priority")
    request["priority"] = min(max(priority, LIVE_PRIORITY), 100)
    wanted = request.pop("max_completion_tokens", None) or request.get("max_tokens") or longest_answer
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise InvalidInput("max_tokens is a whole number above zero.", field="max_tokens")
    request["max_tokens"] = min(wanted, longest_answer)
    tools = request.get("tools")
    if isinstance(tools, list):
        for tool in tools:
            if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
                tool["function"]["strict"] = True
    return Checked(json.dumps(request).encode(), request["priority"])
