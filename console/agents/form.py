"""The editor of a draft: its fields, and the way between what is typed and what is stored.

A name such as `limits.max_duration_seconds` is a path in the snapshot. What cannot be read as a number stays
as it was typed, so that it is shown again with its flaw beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from appliance.agents.domain import TOOL_ACTIONS, AgentSnapshot
from appliance.agents.editing_domain import Difference, Flaw
from appliance.tools.catalog import CATALOG

Kind = Literal["text", "area", "integer", "number", "check", "lines", "tool"]


@dataclass(frozen=True)
class EditorField:
    path: str
    label: str
    kind: Kind = "text"
    help: str = ""
    rows: int = 3
    least: str = ""
    most: str = ""
    required: bool = False

    @property
    def input_type(self) -> str:
        return "number" if self.kind in {"integer", "number"} else "text"

    @property
    def step(self) -> str:
        return "any" if self.kind == "number" else "1" if self.kind == "integer" else ""


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    fields: tuple[EditorField, ...]
    side_by_side: bool = False
    note: str = ""


def _ms(path: str, label: str, most: int, help_: str = "") -> EditorField:
    return EditorField(path, label, "integer", help_, least="0", most=str(most))


SECTIONS: tuple[Section, ...] = (
    Section(
        "conversation",
        "What it says and does",
        (
            EditorField("name", "Name", help="How the agent is called in lists.", required=True),
            EditorField(
                "prompt",
                "Prompt",
                "area",
                "What the agent is for, what it knows, how it speaks. It is told date, time zone and tools.",
                rows=16,
                required=True,
            ),
            EditorField(
                "greeting",
                "Greeting",
                "area",
                "The first sentence after the consent notice.",
                2,
                required=True,
            ),
            EditorField(
                "consent",
                "Consent notice",
                "area",
                "Spoken first and never interrupted. Empty: no notice. Ask your lawyer before you empty it.",
                2,
            ),
        ),
    ),
    Section(
        "voice",
        "Voice and language",
        (
            EditorField("voice", "Voice", help="A voice that the voice engine has, such as en-gb."),
            EditorField("language", "Language", help="A language tag, such as en or de-AT."),
        ),
        side_by_side=True,
    ),
    Section(
        "tools",
        "Tools",
        tuple(
            EditorField(f"tool.{action}", action, "tool", CATALOG[action].description)
            for action in TOOL_ACTIONS
        ),
    ),
    Section(
        "turns",
        "Turn-taking",
        (
            _ms("turn_taking.min_endpointing_ms", "Shortest wait after the caller (ms)", 10_000),
            _ms("turn_taking.max_endpointing_ms", "Longest wait after the caller (ms)", 30_000),
            _ms("turn_taking.interruption_min_ms", "Speech that interrupts the agent (ms)", 10_000),
            EditorField(
                "turn_taking.interruption_min_words",
                "Words that interrupt the agent",
                "integer",
                least="0",
                most="20",
            ),
        ),
        side_by_side=True,
        note="A short wait answers sooner and cuts off slow speakers more often.",
    ),
    Section(
        "silence",
        "Silence and limits",
        (
            EditorField(
                "silence.prompt_after_seconds", "Ask after silence of (s)", "number", least="0.1", most="600"
            ),
            EditorField("silence.end_after_seconds", "Then end after (s)", "number", least="0.1", most="600"),
            EditorField(
                "limits.max_duration_seconds", "Longest call (s)", "integer", least="30", most="14400"
            ),
        ),
        side_by_side=True,
    ),
    Section(
        "escalation",
        "Escalation",
        (
            EditorField(
                "escalation.target",
                "Number of a person",
                help="An extension, a number or a SIP address. Empty: nobody.",
            ),
            EditorField("escalation.opening_hours_only", "Only within the opening hours", "check"),
        ),
    ),
    Section(
        "phrases",
        "Words to expect",
        (
            EditorField(
                "phrases",
                "Phrases",
                "lines",
                "One a line: names and terms that the recogniser should expect.",
                6,
            ),
        ),
    ),
    Section(
        "sentences",
        "Sentences",
        tuple(
            EditorField(f"sentences.{name}", name.replace("_", " ").capitalize())
            for name in AgentSnapshot.model_fields["sentences"].annotation.model_fields  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        ),
        note="What the agent says without asking the language engine, in its language.",
    ),
)
FIELDS: tuple[EditorField, ...] = tuple(each for section in SECTIONS for each in section.fields)
FUNCTION = "function."
"""Before the name of one of the organization's own functions, in the names of the form's fields."""
_LABELS = {each.path: each.label for each in FIELDS} | {"tools": "Tools", "functions": "Own functions"}


def with_defaults(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot with what it leaves out, so that every field of the editor shows what counts."""
    empty = AgentSnapshot(name="", prompt="", greeting="").model_dump(mode="json")
    return _merged(empty, snapshot)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = deepcopy(dict(below))
    for name, value in above.items():
        known = result.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            value = _merged(known, value)
        result[name] = value
    return result


def values_of(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """What each field of the editor shows."""
    whole = with_defaults(snapshot)
    values: dict[str, Any] = {}
    tools, functions = whole.get("tools"), whole.get("functions")
    values["functions"] = list(functions) if isinstance(functions, list | tuple) else []
    for each in FIELDS:
        if each.kind == "tool":
            values[each.path] = isinstance(tools, list | tuple) and each.label in tools
        elif each.kind == "lines":
            lines = whole.get(each.path)
            values[each.path] = "\n".join(map(str, lines)) if isinstance(lines, list | tuple) else ""
        else:
            values[each.path] = _at(whole, each.path)
    return values


def snapshot_of(typed: Mapping[str, str], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot that was typed, over what is stored: what the editor does not know stays."""
    snapshot = with_defaults(stored)
    snapshot["tools"] = [action for action in TOOL_ACTIONS if f"tool.{action}" in typed]
    snapshot["functions"] = sorted(
        name.removeprefix(FUNCTION)[:300] for name in typed if name.startswith(FUNCTION)
    )
    for each in FIELDS:
        text = typed.get(each.path, "").replace("\r\n", "\n").replace("\x00", "").strip()
        if each.kind == "tool":
            continue
        if each.kind == "check":
            value: Any = each.path in typed
        elif each.kind == "lines":
            value = [line.strip() for line in text.splitlines() if line.strip()]
        elif each.kind in {"integer", "number"}:
            value = _number(text, whole=each.kind == "integer")
        else:
            value = text
        if each.path == "escalation.target":
            value = value or None
        _put(snapshot, each.path, value)
    return snapshot


def _number(text: str, *, whole: bool) -> int | float | str:
    try:
        return int(text) if whole else float(text.replace(",", "."))
    except ValueError:
        return text


def _at(snapshot: Mapping[str, Any], path: str) -> Any:
    found: Any = snapshot
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _put(snapshot: dict[str, Any], path: str, value: Any) -> None:
    *groups, last = path.split(".")
    place = snapshot
    for name in groups:
        below = place.get(name)
        if not isinstance(below, dict):
            below = place[name] = {}
        place = below
    place[last] = value


def sentences_of(flaws: Iterable[Flaw]) -> dict[str, str]:
    """A sentence beside each field that keeps the draft from being published."""
    found: dict[str, str] = {}
    for flaw in flaws:
        parts = flaw.field.split(".")
        path = next(
            (path for size in range(len(parts), 0, -1) if (path := ".".join(parts[:size])) in _LABELS),
            flaw.field,
        )
        words = flaw.message.replace("Input should be", "This should be").rstrip(".") + "."
        found.setdefault(path, words[0].upper() + words[1:])
    return found


@dataclass(frozen=True)
class ShownDifference:
    label: str
    path: str
    before: str
    after: str


def shown(differences: Iterable[Difference]) -> list[ShownDifference]:
    """Differences as a person reads them."""
    return [
        ShownDifference(
            _LABELS.get(each.field, each.field), each.field, as_text(each.before), as_text(each.after)
        )
        for each in differences
    ]


def as_text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
