"""What a language model may say, and what is made of it; when a server that failed is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.clients.language_answer import Answer
from appliance.clients.language_engine import Breaker
from appliance.clients.language_events import Finished, InvalidToolCall, LanguageEvent, TextDelta, ToolCall

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "log_note",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
                "additionalProperties": False,
            },
        },
    }
]


def chunk(text: str | None = None, finish: str | None = None) -> Any:
    delta = SimpleNamespace(content=text, tool_calls=None)
    choice = SimpleNamespace(delta=delta, finish_reason=finish)
    return SimpleNamespace(choices=[choice], usage=None)


def said(*pieces: str, max_tokens: int = 400) -> list[LanguageEvent]:
    answer = Answer("main", TOOLS, max_tokens)
    events: list[LanguageEvent] = []
    for piece in pieces:
        answer.take(chunk(piece))
        events += answer.events()
        if answer.ended:
            return events
    answer.take(chunk(finish="stop"))
    answer.take(None)
    return events + answer.events()


def text(events: list[LanguageEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_a_call_left_in_the_text_is_run_and_not_spoken() -> None:
    events = said(
        "One moment. <tool", '_call>\n{"name": "log_note", "argu', 'ments": {"text": "x"}}</tool_call>'
    )
    assert text(events) == "One moment. "
    (call,) = [event for event in events if isinstance(event, ToolCall)]
    assert (call.name, call.arguments) == ("log_note", {"text": "x"})


@pytest.mark.parametrize(
    "lost",
    [
        "<tool_call>",
        '<tool_call>{"name": "log_note", "arguments": {"text": "x',
        '<tool_call>{"name": "fly", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "log_note", "arguments": {}}</tool_call>',
        '<tool_call>{"name": 7}</tool_call>',
        "<tool_call>[1]</tool_call>",
        '<tool_call>{"name": "log_note", "arguments": "text"}</tool_call>',
    ],
)
def test_a_call_that_cannot_be_used_is_told_and_not_spoken(lost: str) -> None:
    events = said(lost)
    assert text(events) == ""
    (call,) = [event for event in events if isinstance(event, InvalidToolCall)]
    assert call.problem


def test_a_less_than_sign_is_only_held_back_until_it_is_known() -> None:
    assert text(said("five <", " six <to", "day")) == "five < six <today"


def test_marks_of_the_template_end_the_words() -> None:
    assert text(said("Hello.<|im_end|>user please")) == "Hello."


def test_what_cannot_be_spoken_is_left_out() -> None:
    assert text(said("a\ufffdb\x00c\nd")) == "abc\nd"


@given(st.text(alphabet=st.sampled_from('<tool_ca>/|imend{}":x '), max_size=60), st.integers(1, 7))
def test_no_mark_is_ever_spoken_however_it_is_cut(whole: str, size: int) -> None:
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)] or [" x"]
    try:
        events = said(*pieces)
    except ValueError:
        assert not whole.strip()
        return
    assert "<tool_call>" not in text(events)
    assert "<|im_end|>" not in text(events)
    assert isinstance(events[-1], Finished)
    assert text(events) == text(said(whole or " x"))


def test_a_server_that_failed_rests_and_is_tried_by_one() -> None:
    now = [0.0]
    breaker = Breaker(10.0, now=lambda: now[0])
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    now[0] = 10.1
    assert breaker.allows()  # the probe
    assert not breaker.allows()  # the others still go elsewhere
    breaker.failed()
    now[0] = 20.0
    assert not breaker.allows()
    now[0] = 20.2
    assert breaker.allows()
    breaker.undecided()  # the caller hung up before anything was known
    assert breaker.allows()
    breaker.worked()
    assert breaker.allows()
    assert breaker.allows()
