"""What the agent says or does next, given the state of the conversation. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

import jsonschema

from models.llm.scripted.dialogue import Dialogue, Task, ToolUse
from models.llm.scripted.spoken_time import WEEKDAYS, day_in_words, time_in_words
from models.llm.scripted.state import Outcome, State

_MAX_TOOL_STEPS = 4
_OFFERED = 4
_FIXED: Mapping[str, str] = {"asked": "The caller asked for it.", "finished": "The caller has finished."}


@dataclass(frozen=True)
class ToolRequest:
    name: str
    arguments: dict[str, Any]

    @property
    def arguments_text(self) -> str:
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True)
class Answer:
    """The next message of the agent: a sentence or two, a tool call, or both (text first)."""

    text: str = ""
    tool: ToolRequest | None = None


@dataclass(frozen=True)
class Tools:
    """The tools of a request: name → JSON schema of the arguments."""

    schemas: dict[str, dict[str, Any]]

    def fit(self, use: ToolUse, state: State) -> ToolRequest | None:
        """The call of a tool with what is known, None when the tool is absent or wants something else."""
        schema = self.schemas.get(use.tool)
        if schema is None:
            return None
        properties: Any = schema.get("properties")
        known: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
        arguments: dict[str, Any] = {}
        for argument, slot in use.arguments.items():
            value = _value(slot, state)
            if value is not None and (argument in known or not known):
                arguments[argument] = value
        try:
            jsonschema.validate(arguments, schema)
        except (jsonschema.ValidationError, jsonschema.SchemaError, RecursionError, re.error):
            return None
        return ToolRequest(use.tool, arguments)


def _value(slot: str, state: State) -> Any:
    if slot == "phone":
        return state.facts.caller
    if slot in _FIXED:
        return _FIXED[slot]
    value = state.slots.get(slot)
    if isinstance(value, time):
        return value.strftime("%H:%M")
    return value.isoformat() if isinstance(value, date) else value


class Policy:
    """Decides with one dialogue and the tools of one request."""

    def __init__(self, dialogue: Dialogue, tools: Tools) -> None:
        self._dialogue = dialogue
        self._tools = tools

    def decide(self, state: State) -> Answer:
        """The next message."""
        if len(state.outcomes) >= _MAX_TOOL_STEPS:
            return Answer(self._trouble())
        if state.outcomes:
            return self._after_tool(state, state.outcomes[-1])
        meaning = state.meaning
        if meaning is None:
            return Answer(state.said or self._say("greet"))
        if meaning.empty:
            return self._with_next(state, self._say("not_heard"))
        if state.wish is not None:
            return self._grant(state, state.wish)
        if state.puzzled >= 2:
            return Answer(self._say("offer_human") if self._has_human() else self._trouble())
        if state.puzzled == 1:
            return self._with_next(state, self._say("not_understood"))
        if state.task is None:
            return Answer(self._small_talk(state))
        return self._step(state, lead="")

    def forced(self, state: State, name: str | None) -> ToolRequest | None:
        """A tool call for a request that demands one (`tool_choice`): the named tool, or any that fits."""
        uses = [use for task in self._dialogue.tasks.values() for use in (task.look_up, task.do) if use]
        uses += [reply.tool for reply in self._dialogue.replies if reply.tool]
        for use in uses:
            if name in {None, use.tool}:
                request = self._tools.fit(use, state)
                if request is not None:
                    return request
        return None

    def _say(self, key: str, **slots: str) -> str:
        return self._dialogue.sentences[key].format(**slots)

    def _has_human(self) -> bool:
        return "transfer_to_human" in self._tools.schemas

    def _trouble(self) -> str:
        return self._say("trouble" if self._has_human() else "trouble_no_human")

    def _small_talk(self, state: State) -> str:
        assert state.meaning is not None
        intents = state.meaning.intents
        if state.asked == "anything_else" or "thanks" in intents:
            lead = self._say("welcome") + " " if "thanks" in intents else ""
            return lead + self._say("anything_else")
        if "greet" in intents:
            return self._say("greet")
        if state.asked == "human_offer" and "no" in intents:
            return self._say("how_help")
        if state.asked in {None, "help"}:
            return self._say("how_help")
        return state.said

    def _grant(self, state: State, wish: str) -> Answer:
        if wish == "change":
            order = state.task is not None and "items" in state.task.slots
            if order:
                state.slots.pop("items", None)
            return Answer(self._say("ask_change_order" if order else "ask_change"))
        if wish == "how_help":
            return Answer(self._say("how_help"))
        reply = next((reply for reply in self._dialogue.replies if reply.intent == wish), None)
        if reply is None:
            return self._step(state, lead="")
        if reply.tool is not None:
            request = self._tools.fit(reply.tool, state)
            return Answer(self._say(reply.say if request else reply.otherwise), request)
        if wish == "repeat":
            return Answer(state.said or self._say("greet"))
        if wish == "wait":
            return Answer(self._say(reply.say))
        if wish == "hours":
            hours = state.facts.hours
            lead = self._say("hours", hours=_spoken_hours(hours)) if hours else self._say("hours_unknown")
            return self._with_next(state, lead)
        return self._with_next(state, self._say(reply.say))

    def _with_next(self, state: State, lead: str) -> Answer:
        """A sentence, then the question that is open."""
        if state.task is not None:
            return self._step(state, lead=lead)
        if state.asked in {"human_offer", "note_offer"}:
            return Answer(f"{lead} {_last_question(state.said)}".strip())
        question = "anything_else" if state.asked == "anything_else" else "how_help"
        return Answer(f"{lead} {self._say(question)}")

    def _after_tool(self, state: State, outcome: Outcome) -> Answer:
        if state.done is not None:
            return Answer(f"{self._result(state, outcome)} {self._say('anything_else')}")
        task = state.task
        uses = [use.tool for use in ((task.look_up, task.do) if task else ()) if use]
        if task is None or outcome.tool not in uses:
            return self._after_reply(outcome)
        if outcome.ok:
            return self._step(state, lead=self._looked_up(state, outcome))
        if not outcome.say:
            return Answer(self._trouble())
        if outcome.code in {"no_calendar", "nothing_free", "unavailable", "error"} or "?" in outcome.say:
            return Answer(outcome.say)
        return self._step(state, lead=outcome.say)

    def _after_reply(self, outcome: Outcome) -> Answer:
        if outcome.ok:
            return Answer(outcome.say or self._say("anything_else"))
        if outcome.tool == "transfer_to_human":
            return Answer(outcome.say if "?" in outcome.say else self._joined(outcome.say, "no_human"))
        return Answer(outcome.say or self._trouble())

    def _joined(self, say: str, otherwise: str) -> str:
        offer = _last_question(self._say(otherwise))
        return f"{say} {offer}" if say else self._say(otherwise)

    def _result(self, state: State, outcome: Outcome) -> str:
        task = self._dialogue.tasks[state.done or "booking"]
        if outcome.say:
            return outcome.say
        slots = outcome.result or outcome.arguments
        try:
            day = day_in_words(date.fromisoformat(str(slots.get("date"))))
            at = time_in_words(time.fromisoformat(str(slots.get("time"))))
        except ValueError:
            return self._say("noted" if "{" in self._dialogue.sentences[task.done] else task.done)
        return self._say(task.done, day=day, time=at)

    def _looked_up(self, state: State, outcome: Outcome) -> str:
        """What the diary said, as a lead to the next question."""
        free = outcome.result.get("requested_free")
        if free is True:
            return ""
        if not state.offers:
            return outcome.say
        listed = _spoken_slots(state.offers[:_OFFERED])
        if free is False:
            return self._say("time_taken", slots=listed)
        days = {day for day, _ in state.offers}
        if len(days) == 1 and state.slots.get("day") in days:
            times = _listed([time_in_words(at) for _, at in _spread(state.offers)])
            return self._say("times_free", day=day_in_words(days.pop()), times=times)
        return self._say("times_next", slots=listed)

    def _step(self, state: State, lead: str) -> Answer:
        """The next step of the task: a look-up, a question, the confirmation or the tool itself."""
        task = state.task
        assert task is not None
        if task.do.tool not in self._tools.schemas:
            return Answer(f"{lead} {self._say(task.impossible)}".strip())
        if self._wants_look_up(state, task):
            assert task.look_up is not None
            request = self._tools.fit(task.look_up, state)
            if request is not None:
                return Answer(tool=request)
        missing = next((slot for slot in task.slots if state.slots.get(slot) is None), None)
        if missing is not None:
            offered_days = missing == "day" and not lead and len(state.offers) > 0
            question = "ask_time" if offered_days else f"ask_{missing}"
            if missing == "day" and lead and state.offers and state.outcomes:
                question = "ask_time"
            return Answer(f"{lead} {self._say(question)}".strip())
        if task.confirm is not None and not state.confirmed:
            return Answer(f"{lead} {self._confirmation(state, task)}".strip())
        request = self._tools.fit(task.do, state)
        return Answer(tool=request) if request else Answer(self._trouble())

    def _wants_look_up(self, state: State, task: Task) -> bool:
        if task.look_up is None or state.confirmed:
            return False
        day, at = state.slots.get("day"), state.slots.get("time")
        if state.looked_up == (day, at):
            return False
        if day is not None:
            return True
        intents = state.meaning.intents if state.meaning else frozenset[str]()
        return bool(intents & {"times", "earliest"})

    def _confirmation(self, state: State, task: Task) -> str:
        assert task.confirm is not None
        slots = state.slots
        said = {"name": str(slots.get("name", ""))}
        if isinstance(slots.get("day"), date):
            said["day"] = day_in_words(slots["day"])
        if isinstance(slots.get("time"), time):
            said["time"] = time_in_words(slots["time"])
        items = slots.get("items")
        if isinstance(items, list):
            said["items"] = " and ".join(f"{item['quantity']} {item['name']}" for item in items)
        return self._say(task.confirm, **said)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}" if parts else ""


def _spread(offers: Sequence[tuple[date, time]]) -> list[tuple[date, time]]:
    """At most four of the offers, over the whole day."""
    if len(offers) <= _OFFERED:
        return list(offers)
    step = (len(offers) - 1) / (_OFFERED - 1)
    return [offers[round(index * step)] for index in range(_OFFERED)]


def _spoken_slots(offers: Sequence[tuple[date, time]]) -> str:
    """`nine o'clock or ten o'clock on Monday`: each day named once."""
    by_day: dict[date, list[str]] = {}
    for day, at in offers:
        by_day.setdefault(day, []).append(time_in_words(at))
    return _listed(
        [f"{_listed(times)} on {WEEKDAYS[day.weekday()].title()}" for day, times in by_day.items()]
    )


def _spoken_hours(hours: str) -> str:
    """`9:00 to 17:00` as one says it: `9 a.m. to 5 p.m.`."""

    def said(match: re.Match[str]) -> str:
        hour, minute = int(match[1]), match[2]
        half = "a.m." if hour < 12 else "p.m."
        return f"{(hour - 1) % 12 + 1}{'' if minute == '00' else f':{minute}'} {half}"

    return re.sub(r"\b(\d{1,2}):(\d\d)\b", said, hours).rstrip(".")


def _last_question(text: str) -> str:
    questions = re.findall(r"[^.?!]*\?", text)
    return questions[-1].strip() if questions else text
