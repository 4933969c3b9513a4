"""What the language model is told of the tools."""

from __future__ import annotations

import json

import jsonschema
import pytest
from pydantic import ValidationError

from appliance.agents.domain import TOOL_ACTIONS
from appliance.tools.arguments import CheckAvailability, CreateBooking, CreateOrder
from appliance.tools.catalog import CATALOG, described


def test_every_action_has_a_tool_with_a_plain_schema() -> None:
    tools = described(TOOL_ACTIONS)
    assert [tool.name for tool in tools] == list(TOOL_ACTIONS)
    for tool in tools:
        jsonschema.Draft202012Validator.check_schema(tool.parameters)
        text = json.dumps(tool.parameters)
        assert "$ref" not in text
        assert "anyOf" not in text
        assert tool.parameters["type"] == "object"
        assert all(field["description"] for field in tool.parameters["properties"].values())


def test_only_the_agents_tools_are_told() -> None:
    assert [tool.name for tool in described(("end_call", "unheard_of"))] == ["end_call"]


def test_a_schema_accepts_what_the_tool_accepts() -> None:
    booking = {"date": "2026-11-24", "time": "15:00", "name": "Ann"}
    jsonschema.validate(booking, described(["create_booking"])[0].parameters)
    order = {"items": [{"name": "toothbrush", "quantity": 2}], "name": "Bo"}
    jsonschema.validate(order, described(["create_order"])[0].parameters)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"items": []}, described(["create_order"])[0].parameters)
    assert CreateOrder.model_validate(order).items[0].quantity == 2


def test_models_may_send_numbers_nulls_and_too_much() -> None:
    wanted = CreateBooking.model_validate(
        {"date": " tomorrow ", "time": 15, "name": "Ann", "phone": 5551234, "reason": "null", "mood": "good"}
    )
    assert (wanted.date, wanted.time, wanted.phone, wanted.reason) == ("tomorrow", "15", "5551234", None)
    assert CheckAvailability.model_validate({"date": "", "time": None}).date is None
    with pytest.raises(ValidationError):
        CreateBooking.model_validate({"date": "tomorrow", "time": "15:00", "name": "  "})


def test_the_catalog_is_of_the_actions() -> None:
    assert set(CATALOG) == set(TOOL_ACTIONS)
