"""Whatever was said before, the engine has a valid answer: text or tool calls that fit their schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.engines.diary import SCHEMAS, SYSTEM, next_answer

SAID = """yes no hello monday tuesday tomorrow at ten thirty half past nine my name is john smith book an
appointment what times do you have the first one second human goodbye that's all order two pizzas message
cancel wait sorry december third 9:30 pm 31 99 ü 🙂 {x} [1] \x00 not instead never mind"""
WORDS = st.sampled_from(SAID.split())
LINES = st.lists(WORDS, max_size=9).map(" ".join) | st.text(max_size=40)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=8)
    | st.sampled_from(["2026-11-24", "09:00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["ok", "result", "say", "code", "slots", "date", "time", "requested_free", "alternatives"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


MESSAGES = st.one_of(
    LINES.map(lambda line: {"role": "user", "content": line}),
    LINES.map(lambda line: {"role": "assistant", "content": line}),
    st.sampled_from(
        [
            {"role": "assistant", "content": text}
            for text in (
                "Which day would you like?",
                "Is that right?",
                "What is your name, please?",
                "What shall I write down?",
            )
        ]
    ),
    st.tuples(st.sampled_from(sorted(SCHEMAS)), JSON).map(
        lambda pair: {
            "role": "assistant",
            "content": None,
            "tool_calls": [call(pair[0], json.dumps(pair[1]))],
        }
    ),
    JSON.map(lambda body: {"role": "tool", "tool_call_id": "c", "content": json.dumps(body)}),
    LINES.map(lambda line: {"role": "tool", "tool_call_id": "c", "content": line}),
)


@settings(max_examples=300)
@example(history=[{"role": "tool", "tool_call_id": "c", "content": '{"ok": true}'}], choice="auto")
@given(
    history=st.lists(MESSAGES, min_size=1, max_size=14), choice=st.sampled_from(["auto", "none", "required"])
)
def test_any_history_has_a_valid_answer(history: list[dict[str, Any]], choice: str) -> None:
    answer = next_answer([{"role": "system", "content": SYSTEM}, *history], tool_choice=choice)
    assert answer.text.strip() or answer.tool is not None
    assert len(answer.text) < 1500
    if choice == "none":
        assert answer.tool is None
    if answer.tool is not None:
        jsonschema.validate(answer.tool.arguments, SCHEMAS[answer.tool.name])
    assert next_answer([{"role": "system", "content": SYSTEM}, *history], tool_choice=choice) == answer
