"""The dialogue file: intents, questions, tasks, replies and sentences of one language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ToolUse:
    """A tool and, for each of its arguments, the slot that fills it."""

    tool: str
    arguments: dict[str, str]


@dataclass(frozen=True)
class Task:
    """What is collected (`slots`, in this order), repeated (`confirm`) and handed to a tool (`do`)."""

    name: str
    intents: tuple[str, ...]
    slots: tuple[str, ...]
    look_up: ToolUse | None
    confirm: str | None
    do: ToolUse
    done: str
    impossible: str


@dataclass(frozen=True)
class Reply:
    """An answer to an intent outside of a task, with a tool call if there is one."""

    intent: str
    say: str
    tool: ToolUse | None
    otherwise: str
    """The sentence when the tool is not there."""


@dataclass(frozen=True)
class Dialogue:
    language: str
    intents: dict[str, tuple[re.Pattern[str], ...]]
    questions: dict[str, re.Pattern[str]]
    name_leads: re.Pattern[str]
    name_noise: re.Pattern[str]
    tasks: dict[str, Task]
    replies: tuple[Reply, ...]
    sentences: dict[str, str]


def _tool(tree: dict[str, Any] | None) -> ToolUse | None:
    return None if tree is None else ToolUse(tree["tool"], dict(tree.get("arguments", {})))


@cache
def load_dialogue(language: str) -> Dialogue:
    """The dialogue of a language (`en`, `en-GB`); English where there is none."""
    short = re.sub(r"[^a-z]", "", language.lower().split("-")[0]) or "en"
    path = _FOLDER / f"{short}.yaml"
    if not path.is_file():
        path = _FOLDER / "en.yaml"
    tree: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    tasks: dict[str, Task] = {}
    for name, task in tree["tasks"].items():
        do = _tool(task["do"])
        assert do is not None
        tasks[name] = Task(
            name,
            tuple(task["intents"]),
            tuple(task["slots"]),
            _tool(task.get("look_up")),
            task.get("confirm"),
            do,
            task["done"],
            task["impossible"],
        )
    replies = (
        Reply(
            line["intent"],
            line["say"],
            ToolUse(line["tool"], dict(line.get("arguments", {}))) if "tool" in line else None,
            line.get("otherwise", line["say"]),
        )
        for line in tree["replies"]
    )
    return Dialogue(
        language=tree["language"],
        intents={
            name: tuple(re.compile(pattern) for pattern in patterns)
            for name, patterns in tree["intents"].items()
        },
        questions={name: re.compile(pattern) for name, pattern in tree["questions"].items()},
        name_leads=re.compile(r"\b(?:" + "|".join(tree["name_leads"]) + r")\s+"),
        name_noise=re.compile(rf"^(?:(?:{tree['name_noise']})\s+)+|(?:\s+(?:{tree['name_noise']}))+$"),
        tasks=tasks,
        replies=tuple(replies),
        sentences=dict(tree["sentences"]),
    )
