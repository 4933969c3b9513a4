"""Where a conversation stands, read from its messages alone. Pure.

The engine keeps nothing between requests: it replays the messages, so that any process can go on with any
call, also one that another model began.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from models.llm.scripted.dialogue import Dialogue, Task
from models.llm.scripted.nlu import Meaning, understand

_DATE_LINE = re.compile(r"^\s*Date:\s*(\d{4}-\d\d-\d\d)", re.MULTILINE)
_HOURS_LINE = re.compile(r"opening hours?:\s*(.+)", re.IGNORECASE)
_CALLER_LINE = re.compile(r"^\s*Caller number:\s*(\S+)", re.MULTILINE)
_LANGUAGE_LINE = re.compile(r"^\s*Language:\s*([A-Za-z-]+)", re.MULTILINE)

_DAY_IS_WRONG = {"closed", "past", "too_far", "holiday"}


@dataclass(frozen=True)
class Facts:
    """What the system prompt says."""

    today: date
    caller: str | None
    hours: str | None
    language: str

    @classmethod
    def of(cls, messages: Sequence[Mapping[str, Any]], today: date) -> Facts:
        """`today` counts when the prompt has no date."""
        text = "\n".join(
            text_of(message) for message in messages if message.get("role") in {"system", "developer"}
        )
        said = _DATE_LINE.search(text)
        try:
            day = date.fromisoformat(said[1]) if said else today
        except ValueError:
            day = today
        hours, caller, language = (
            _HOURS_LINE.search(text),
            _CALLER_LINE.search(text),
            _LANGUAGE_LINE.search(text),
        )
        return cls(
            today=day,
            caller=caller[1] if caller else None,
            hours=hours[1].strip().rstrip(".") if hours else None,
            language=language[1] if language else "en",
        )


@dataclass(frozen=True)
class Outcome:
    """What a tool answered."""

    tool: str
    arguments: dict[str, Any]
    ok: bool
    result: dict[str, Any]
    code: str = ""
    say: str = ""


@dataclass
class State:
    """The conversation so far."""

    facts: Facts
    task: Task | None = None
    slots: dict[str, Any] = field(default_factory=dict[str, Any])
    asked: str | None = None
    said: str = ""
    """What the agent said last."""
    meaning: Meaning | None = None
    """What the caller said last, if nobody has answered it yet."""
    confirmed: bool = False
    wish: str | None = None
    """An intent to be answered now, before the task goes on."""
    looked_up: tuple[date | None, time | None] | None = None
    offers: list[tuple[date, time]] = field(default_factory=list[tuple[date, time]])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    """Tool results since the caller last spoke."""
    done: str | None = None
    """A task that was finished since the caller last spoke."""
    puzzled: int = 0


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text, whatever the form of its content."""
    content: Any = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts: list[Any] = content
        return " ".join(
            str(part.get("text") or "") if isinstance(part, dict) else str(part) for part in parts
        )
    return ""


def read(messages: Sequence[Mapping[str, Any]], dialogue: Dialogue, facts: Facts) -> State:
    """The state after all messages."""
    state = State(facts)
    calls: dict[str, tuple[str, dict[str, Any]]] = {}
    for message in messages:
        role = message.get("role")
        if role == "user":
            _hear(state, text_of(message), dialogue)
        elif role == "assistant":
            calls |= _calls(message)
            _spoken(state, text_of(message), dialogue)
        elif role == "tool":
            name, arguments = calls.get(str(message.get("tool_call_id")), ("", {}))
            _learn(state, _outcome(name, arguments, text_of(message)), dialogue)
    return state


def _calls(message: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for call in message.get("tool_calls") or []:
        try:
            arguments = json.loads(call["function"]["arguments"] or "{}")
            found[str(call["id"])] = (
                str(call["function"]["name"]),
                arguments if isinstance(arguments, dict) else {},
            )
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _spoken(state: State, text: str, dialogue: Dialogue) -> None:
    if not text.strip():
        return
    state.said = text
    state.asked = _question(text, dialogue)
    state.meaning = None
    state.wish = None
    state.done = None


def _question(text: str, dialogue: Dialogue) -> str | None:
    """Which question a text of the agent asks: the last one in it, by the file's order."""
    sentences = re.findall(r"[^.?!]*[.?!]?", text.lower().replace("’", "'"))
    asking = [sentence for sentence in sentences if "?" in sentence] or sentences
    for sentence in reversed(asking):
        for question, pattern in dialogue.questions.items():
            if pattern.search(sentence):
                return question
    return None


def _hear(state: State, text: str, dialogue: Dialogue) -> None:
    meaning = understand(text, dialogue, state.facts.today, state.asked)
    state.meaning, state.wish, state.outcomes, state.done = meaning, None, [], None
    if meaning.empty:
        return
    before = (state.task, dict(state.slots), state.confirmed, state.wish)
    _choose_task(state, meaning, dialogue)
    _fill(state, meaning)
    _answer(state, meaning, dialogue)
    _wishes(state, meaning, dialogue)
    if state.task is not before[0] or (dict(state.slots), state.confirmed, state.wish) != before[1:]:
        state.puzzled = 0
    elif (
        not (meaning.intents - {"about_day", "about_time", "about_name", "correction"})
        and not meaning.has_slots
    ):
        state.puzzled += 1
    else:
        state.puzzled = 0


def _choose_task(state: State, meaning: Meaning, dialogue: Dialogue) -> None:
    if state.asked in {"note", "name"} and state.task is not None and not meaning.intents & {"book", "order"}:
        return
    for task in dialogue.tasks.values():
        if meaning.intents & set(task.intents):
            if state.task is not task:
                state.slots = {key: state.slots[key] for key in ("name",) if key in state.slots}
                state.offers, state.looked_up, state.confirmed = [], None, False
            state.task = task
            break
    else:
        if state.task is None and (meaning.day or meaning.time):
            state.task = next(task for task in dialogue.tasks.values() if "time" in task.slots)
    if state.task is not None and "cancel_booking" in meaning.intents and "note" in state.task.slots:
        state.slots["note"] = f"{dialogue.sentences['cancel_note']} ({meaning.text[:200]})"


def _fill(state: State, meaning: Meaning) -> None:
    task = state.task
    if task is None:
        return
    if "day" in task.slots:
        _fill_when(state, meaning)
    if meaning.name and meaning.name != state.slots.get("name"):
        state.slots["name"] = meaning.name
        state.confirmed = False
    if meaning.items and "items" in task.slots:
        state.slots["items"] = list(meaning.items)
        state.confirmed = False
    if "note" in task.slots and "note" not in state.slots:
        long_enough = len(meaning.words.split()) > 3
        only_asks = re.search(r"\b(leave|take)\b.*\b(message|note)\b", meaning.words)
        if state.asked == "note" or ("note" in meaning.intents and long_enough and not only_asks):
            state.slots["note"] = meaning.text[:1000]


def _fill_when(state: State, meaning: Meaning) -> None:
    day, at = meaning.day, meaning.time.at if meaning.time else None
    if day is None and at is None:
        for position, choice in enumerate(("first_choice", "second_choice", "third_choice")):
            if choice in meaning.intents and state.offers:
                day, at = state.offers[min(position, len(state.offers) - 1)]
        if "earliest" in meaning.intents and state.offers:
            day, at = state.offers[0]
    if day is None and at is not None and "day" not in state.slots:
        day = next((offered for offered, time_of_day in state.offers if time_of_day == at), None)
    if day is not None and day != state.slots.get("day"):
        state.slots["day"] = day
        state.confirmed = False
    if at is not None and at != state.slots.get("time"):
        state.slots["time"] = at
        state.confirmed = False


def _answer(state: State, meaning: Meaning, dialogue: Dialogue) -> None:
    """Yes and no, and what they mean after the question that was asked."""
    intents, asked = meaning.intents, state.asked
    yes = "yes" in intents and "no" not in intents
    no = "no" in intents or "done" in intents
    if asked == "confirm" and state.task is not None:
        if yes and not meaning.has_slots and "correction" not in intents:
            state.confirmed = True
        elif no or "correction" in intents:
            state.confirmed = False
            if not meaning.has_slots:
                state.wish = "change"
                _clear_named(state, intents)
    elif asked == "change":
        _clear_named(state, intents)
    elif asked == "anything_else" and not meaning.has_slots:
        if yes and not state.task:
            state.wish = "how_help"
        elif no and not intents & {"book", "times", "order", "note", "human"}:
            state.wish = "goodbye"
    elif asked == "human_offer":
        if yes:
            state.wish = "human"
        state.puzzled = 0
    elif asked == "note_offer" and yes:
        state.task, state.slots = dialogue.tasks["note"], {}
    elif asked == "note_offer" and no:
        state.wish = "goodbye"
    elif yes and asked == "time" and len(state.offers) == 1 and not meaning.has_slots:
        state.slots["day"], state.slots["time"] = state.offers[0]


def _clear_named(state: State, intents: frozenset[str]) -> None:
    for intent, slot in (("about_day", "day"), ("about_time", "time"), ("about_name", "name")):
        if intent in intents:
            state.slots.pop(slot, None)
            state.wish = None
            if slot != "name":
                state.looked_up = None


def _wishes(state: State, meaning: Meaning, dialogue: Dialogue) -> None:
    """Intents that are answered at once, whatever the task."""
    if state.wish in {"human", "goodbye"} or (state.asked == "note" and "goodbye" not in meaning.intents):
        return
    intents = meaning.intents
    if "done" in intents and not meaning.has_slots and state.asked != "confirm":
        state.wish = "goodbye"
    elif "cancel" in intents:
        state.wish, state.task, state.slots = "cancel", None, {}
    else:
        for reply in dialogue.replies:
            answered = reply.intent in intents and not (reply.tool is None and meaning.has_slots)
            if answered and not (reply.intent == "hours" and intents & {"times", "book"}):
                state.wish = reply.intent
                break


def _outcome(name: str, arguments: dict[str, Any], content: str) -> Outcome:
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        return Outcome(name, arguments, ok=False, result={}, code="unreadable")
    if not isinstance(answer, dict):
        return Outcome(name, arguments, ok=False, result={}, code="unreadable")
    body: dict[str, Any] = answer
    result: Any = body.get("result")
    say: Any = body.get("say")
    return Outcome(
        name,
        arguments,
        ok=body.get("ok") is True,
        result=dict(result) if isinstance(result, dict) else {},
        code=str(body.get("code") or ""),
        say=say.strip()[:600] if isinstance(say, str) else "",
    )


def _learn(state: State, outcome: Outcome, dialogue: Dialogue) -> None:
    state.outcomes.append(outcome)
    state.meaning = None if state.meaning is None else state.meaning
    task = next((t for t in dialogue.tasks.values() if outcome.tool == t.do.tool), None)
    looking = any(t.look_up and t.look_up.tool == outcome.tool for t in dialogue.tasks.values())
    if task is not None and outcome.ok:
        state.done, state.task, state.confirmed = task.name, None, False
        state.slots = {key: state.slots[key] for key in ("name",) if key in state.slots}
        state.offers, state.looked_up = [], None
    elif task is not None:
        state.confirmed = False
        _refused(state, outcome)
    elif looking:
        _looked_up(state, outcome)


def _looked_up(state: State, outcome: Outcome) -> None:
    if not outcome.ok:
        _refused(state, outcome)
        return
    state.offers = offers_of(outcome.result.get("slots"))
    if outcome.result.get("requested_free") is False:
        state.slots.pop("time", None)
    else:
        booked_as = _time(outcome.result.get("requested_time"))
        if booked_as is not None and "time" in state.slots:
            state.slots["time"] = booked_as
    state.looked_up = (state.slots.get("day"), state.slots.get("time"))


def _refused(state: State, outcome: Outcome) -> None:
    """Takes back what stood in the way, so that it is asked for again."""
    state.offers = offers_of(outcome.result.get("alternatives"))
    wrong = "day" if outcome.code in _DAY_IS_WRONG or outcome.result.get("field") == "date" else "time"
    if state.slots.get(wrong) is None:
        wrong = "day"
    state.slots.pop(wrong, None)
    state.looked_up = (state.slots.get("day"), state.slots.get("time"))


def offers_of(slots: Any) -> list[tuple[date, time]]:
    """The free times of a tool's answer; what has a wrong form is left out."""
    found: list[tuple[date, time]] = []
    for slot in slots if isinstance(slots, list) else []:
        try:
            at = _time(slot["time"])
            if at is not None:
                found.append((date.fromisoformat(slot["date"]), at))
        except (KeyError, TypeError, ValueError):
            continue
    return found[:50]


def _time(text: Any) -> time | None:
    try:
        return time.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
