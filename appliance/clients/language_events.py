"""What an answer of a language model is made of, as the rest of the house sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ServedBy = Literal["main", "fallback"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer's text, to be spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the given tools; its arguments fit the tool's schema."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InvalidToolCall:
    """A call of an unknown tool or with arguments that do not fit. `problem` is a sentence for the model."""

    id: str
    name: str
    arguments_text: str
    problem: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of an answer.

    `reason`: `stop`, `tool_calls`, `length` (the bound was reached) or `cut` (the server was lost after it
    had begun to speak, and no other went on). `served_by` says which server answered, at the end.
    """

    reason: Literal["stop", "tool_calls", "length", "cut"]
    served_by: ServedBy
    prompt_tokens: int = 0
    completion_tokens: int = 0


LanguageEvent = TextDelta | ToolCall | InvalidToolCall | Finished


def is_useful(event: LanguageEvent) -> bool:
    """Something that the caller hears, or a tool that can be run."""
    return isinstance(event, ToolCall) or (isinstance(event, TextDelta) and bool(event.text.strip()))
