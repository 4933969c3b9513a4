"""What crosses the border can be stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.calls.domain import ToolRequest, Turn
from appliance.wire import storable_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=JSON)
def test_json_is_storable_or_refused(value: Any) -> None:
    try:
        kept = storable_json(value)
    except ValueError:
        return
    text = json.dumps(kept, allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode("utf-8")


def test_what_json_does_not_know_is_refused() -> None:
    deep: Any = []
    for _ in range(50):
        deep = [deep]
    for value in (float("nan"), float("inf"), deep, "\ud800", 10**200, object()):
        with pytest.raises(ValueError, match=r"."):
            storable_json(value)


def test_nul_is_taken_out_and_times_are_bounded() -> None:
    request = ToolRequest(tool_call_id="a\x00b", arguments={"te\x00xt": "x\x00"})
    assert request.tool_call_id == "ab"
    assert request.arguments == {"text": "x"}
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00"):
        with pytest.raises(ValidationError):
            Turn.model_validate({"index": 0, "started_at": moment})
