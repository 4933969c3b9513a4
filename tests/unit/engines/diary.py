"""A conversation with the scripted engine, and a diary that answers its tool calls as the tool API does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

import jsonschema

from appliance.tools.catalog import described
from models.llm.scripted.policy import Answer
from models.llm.scripted.server import ChatRequest, answer

ACTIONS = (
    "check_availability",
    "create_booking",
    "create_order",
    "transfer_to_human",
    "end_call",
    "log_note",
)
TOOLS = [
    {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }
    for tool in described(ACTIONS)
]
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
SYSTEM = """You are the assistant of a practice.
- Opening hours: Monday to Friday, 9:00 to 17:00.
Language: en
Time zone: Europe/Berlin
Date: 2026-11-21 (Saturday)
Time: 10:05
Caller number: +4930123456"""
GREETING = "Riverside Dental Practice, this is the digital assistant. How can I help you?"


@dataclass
class Diary:
    """Free on working days at these times."""

    free: tuple[str, ...] = ("09:00", "10:30", "14:00", "15:00")
    taken_at_booking: set[str] = field(default_factory=set[str])
    human_reachable: bool = True

    def use(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name == "check_availability":
            return self._look(arguments)
        if name == "create_booking":
            if arguments["time"] in self.taken_at_booking:
                return self._taken(arguments["date"])
            return {"ok": True, "result": {"booking_id": "b", **arguments}, "say": "You are booked."}
        if name == "transfer_to_human" and not self.human_reachable:
            return {"ok": False, "code": "nobody_there", "say": "I'm sorry, nobody is there."}
        return {"ok": True, "result": {}}

    def _look(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if "date" not in arguments:
            slots = [{"date": "2026-11-23", "weekday": "Monday", "time": at} for at in self.free[:3]]
            return {"ok": True, "result": {"date": None, "slots": slots, "requested_free": None}}
        day = date.fromisoformat(arguments["date"])
        if day < date(2026, 11, 21):
            return {"ok": False, "code": "past", "say": "That is in the past.", "result": {}}
        if day.weekday() > 4:
            return {"ok": False, "code": "closed", "say": f"We are closed on {day:%A}.", "result": {}}
        wanted = arguments.get("time")
        slots = [{"date": day.isoformat(), "weekday": f"{day:%A}", "time": at} for at in self.free]
        asked = None if wanted is None else wanted in self.free
        result = {"date": day.isoformat(), "slots": slots, "requested_free": asked}
        return {"ok": True, "result": result | ({"requested_time": wanted} if asked else {}), "say": "."}

    def _taken(self, day: str) -> dict[str, Any]:
        near = [{"date": day, "weekday": "Monday", "time": self.free[-1]}]
        say = "I am sorry, that time is already taken."
        return {"ok": False, "code": "slot_taken", "say": say, "result": {"alternatives": near}}


@dataclass
class Conversation:
    """Messages as the worker keeps them."""

    diary: Diary = field(default_factory=Diary)
    messages: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"role": "system", "content": SYSTEM},
            {"role": "assistant", "content": GREETING},
        ]
    )
    used: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    over: bool = False

    def say(self, text: str) -> str:
        """The caller's words; returns all that the agent says to them, tools used on the way."""
        self.messages.append({"role": "user", "content": text})
        said: list[str] = []
        for _ in range(8):
            decided = next_answer(self.messages)
            if decided.text:
                said.append(decided.text)
            message: dict[str, Any] = {"role": "assistant", "content": decided.text or None}
            self.messages.append(message)
            if decided.tool is None:
                return " ".join(said)
            name, arguments = decided.tool.name, decided.tool.arguments
            jsonschema.validate(arguments, SCHEMAS[name])
            self.used.append((name, arguments))
            call_id = f"call_{len(self.messages)}"
            function = {"name": name, "arguments": json.dumps(arguments)}
            message["tool_calls"] = [{"id": call_id, "type": "function", "function": function}]
            result = self.diary.use(name, arguments)
            self.messages.append({"role": "tool", "tool_call_id": call_id, "content": json.dumps(result)})
            if name == "end_call" or (name == "transfer_to_human" and result["ok"]):
                self.over = True
                return " ".join(said)
        raise AssertionError("the engine calls tools without end")

    def of(self, tool: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.used if name == tool]


def next_answer(messages: list[dict[str, Any]], **options: Any) -> Answer:
    request = ChatRequest.model_validate({"messages": messages, "tools": TOOLS} | options)
    return answer(request, datetime.combine(date(2026, 11, 21), time(9), UTC))
