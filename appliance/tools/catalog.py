"""The tools that exist: what the language model is told of each, and the shape of its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.agents.domain import TOOL_ACTIONS, ToolAction
from appliance.calls.domain import ToolDescription
from appliance.tools.arguments import (
    Arguments,
    CheckAvailability,
    CreateBooking,
    CreateOrder,
    EndCall,
    LogNote,
    TransferToHuman,
)


@dataclass(frozen=True)
class Tool:
    action: ToolAction
    description: str
    arguments: type[Arguments]


CATALOG: Mapping[str, Tool] = {
    tool.action: tool
    for tool in (
        Tool(
            "check_availability",
            "Looks into the diary: which appointment times are free on a day, or next.",
            CheckAvailability,
        ),
        Tool(
            "create_booking",
            "Books an appointment. Only after the caller has agreed to day, time and name.",
            CreateBooking,
        ),
        Tool("create_order", "Takes an order, after the caller has agreed to all of it.", CreateOrder),
        Tool(
            "transfer_to_human",
            "Puts the caller through to a person, when they ask for one or you cannot help.",
            TransferToHuman,
        ),
        Tool("end_call", "Ends the call, after both sides have said what they wanted.", EndCall),
        Tool("log_note", "Writes a message down for the staff.", LogNote),
    )
}


def described(actions: Iterable[str]) -> tuple[ToolDescription, ...]:
    """The descriptions of these tools in the catalog's order; unknown ones are left out."""
    wanted = set(actions)
    return tuple(
        ToolDescription(
            name=action,
            description=CATALOG[action].description,
            parameters=_schema(CATALOG[action].arguments),
        )
        for action in TOOL_ACTIONS
        if action in wanted
    )


def _schema(arguments: type[Arguments]) -> dict[str, Any]:
    """A plain JSON schema, without the references, titles and `null`s that small models trip over."""
    schema = arguments.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs", {})
    plain: dict[str, Any] = _plain(schema, definitions)
    plain.pop("description", None)
    plain["additionalProperties"] = False
    return plain


def _plain(node: Any, definitions: dict[str, Any], *, names: bool = False) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(definitions[str(node["$ref"]).rsplit("/", 1)[-1]], definitions)
    alternatives = node.get("anyOf")
    if isinstance(alternatives, list):
        present = [each for each in alternatives if each != {"type": "null"}]
        if len(present) == 1:
            rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
            return _plain({**present[0], **rest}, definitions)
    return {
        key: _plain(value, definitions, names=key == "properties" and not names)
        for key, value in node.items()
        if names or key != "title"
    }
