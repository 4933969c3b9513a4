"""One streamed answer put together within bounds. What a language model says is untrusted.

Text is bounded and cleaned, a tool call that the server has left in the text is found and never spoken, and
every call is checked against its tool's JSON schema. Pure: no network.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema

from appliance.clients.language_events import (
    Finished,
    InvalidToolCall,
    LanguageEvent,
    ServedBy,
    TextDelta,
    ToolCall,
    is_useful,
)

_CHARACTERS_PER_TOKEN = 12
"""No tokenizer says more than this per token for long: the bound of a server that ignores `max_tokens`."""
_MAX_TOOL_CALLS = 8
_MARKERS = ("<tool_call>", "</tool_call>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")
_UNSPEAKABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ufffd]")
_JSON_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


class Answer:
    """Takes the chunks of one streamed answer and gives events."""

    def __init__(self, served_by: ServedBy, tools: Sequence[Mapping[str, Any]], max_tokens: int) -> None:
        self._served_by: ServedBy = served_by
        self._schemas = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in tools}
        self._characters_left = max_tokens * _CHARACTERS_PER_TOKEN
        self._calls: dict[int, dict[str, str]] = {}
        self._text = ""
        self._lost = ""
        """Text behind a marker: a call that the server did not take for one."""
        self._usage: Any = None
        self._reason = ""
        self.ended = False

    def take(self, chunk: Any) -> None:
        """One chunk, or None at the end of the stream. ValueError for an answer without anything in it."""
        if chunk is None:
            if not (self._text.strip() or self._lost or self._calls or self._reason):
                raise ValueError("an empty answer")
            self.ended = True
            return
        if getattr(chunk, "usage", None):
            self._usage = chunk.usage
        for choice in (chunk.choices or [])[:1]:
            delta = choice.delta
            if delta is not None and delta.content:
                self._take_text(self._bounded(delta.content))
            for part in (delta.tool_calls if delta is not None else None) or []:
                self._take_call(part)
            self._reason = choice.finish_reason or self._reason
        if self._characters_left <= 0:
            self._reason = "length"
            self.ended = True

    def _take_text(self, text: str) -> None:
        if self._lost:
            self._lost += text
            return
        self._text += text
        places = [place for marker in _MARKERS if (place := self._text.find(marker)) >= 0]
        if places:
            self._lost = self._text[min(places) :]
            self._text = self._text[: min(places)]

    def _take_call(self, part: Any) -> None:
        call = self._calls.setdefault(int(part.index or 0), {"id": "", "name": "", "arguments": ""})
        call["id"] = call["id"] or (part.id or "")
        if part.function is not None:
            call["name"] += self._bounded(part.function.name or "")
            call["arguments"] += self._bounded(part.function.arguments or "")

    def _bounded(self, text: str) -> str:
        kept = text[: max(self._characters_left, 0)]
        self._characters_left -= len(text)
        return kept.encode("utf-8", "replace").decode("utf-8")

    def events(self) -> list[LanguageEvent]:
        """What has become ready since the last time; tool calls and `Finished` come at the end, together."""
        held = 0 if self.ended or self._lost else _begun_marker(self._text)
        ready = self._text[: len(self._text) - held]
        self._text = self._text[len(ready) :]
        ready = _UNSPEAKABLE.sub("", ready)
        events: list[LanguageEvent] = [TextDelta(ready)] if ready else []
        if self.ended:
            calls = self._checked_calls()
            events += calls
            reason = "length" if self._reason == "length" else "tool_calls" if calls else "stop"
            read, written = (
                int(getattr(self._usage, name, 0) or 0) for name in ("prompt_tokens", "completion_tokens")
            )
            events.append(Finished(reason, self._served_by, prompt_tokens=read, completion_tokens=written))
        return events

    def _checked_calls(self) -> list[ToolCall | InvalidToolCall]:
        calls = [self._calls[index] for index in sorted(self._calls)][:_MAX_TOOL_CALLS]
        checked = [checked_tool_call(c["id"], c["name"], c["arguments"], self._schemas) for c in calls]
        if not checked and "<tool_call>" in self._lost:
            checked = [recovered_tool_call(self._lost, self._schemas)]
        return checked


def _begun_marker(text: str) -> int:
    """How many characters at the end may be the beginning of a marker."""
    place = text.rfind("<", max(0, len(text) - max(map(len, _MARKERS))))
    tail = text[place:] if place >= 0 else ""
    return len(tail) if tail and any(marker.startswith(tail) for marker in _MARKERS) else 0


def useful(events: Sequence[LanguageEvent]) -> bool:
    return any(is_useful(event) for event in events)


def recovered_tool_call(text: str, schemas: Mapping[str, Mapping[str, Any]]) -> ToolCall | InvalidToolCall:
    """The call that a server has left in the text, when it is whole and fits; else what is wrong with it."""
    found = _JSON_OBJECT.search(text.split("</tool_call>")[0])
    try:
        tree = json.loads(found[0]) if found else None
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict) or not isinstance(tree.get("name"), str):
        return InvalidToolCall(_new_id(), "", text[:2000], "The call was cut short.")
    arguments = tree.get("arguments", {})
    return checked_tool_call("", tree["name"], json.dumps(arguments), schemas)


def checked_tool_call(
    call_id: str, name: str, arguments_text: str, schemas: Mapping[str, Mapping[str, Any]]
) -> ToolCall | InvalidToolCall:
    """A tool call as a model wrote it, checked against `schemas` (JSON schemas by tool name)."""
    call_id = call_id or _new_id()

    def wrong(problem: str) -> InvalidToolCall:
        return InvalidToolCall(call_id, name, arguments_text, problem)

    if name not in schemas:
        return wrong(f"There is no tool {name[:60]!r}.")
    try:
        arguments = json.loads(arguments_text or "{}")
        jsonschema.validate(arguments, schemas[name], format_checker=jsonschema.FormatChecker())
    except json.JSONDecodeError:
        return wrong("The arguments are not JSON.")
    except jsonschema.ValidationError as error:
        return wrong(f"{error.json_path}: {error.message}"[:300])
    except (jsonschema.SchemaError, RecursionError):
        return wrong("The arguments cannot be checked.")
    if not isinstance(arguments, dict):
        return wrong("The arguments are not an object.")
    return ToolCall(call_id, name, arguments)


def _new_id() -> str:
    return f"call_{time.time_ns():x}"
