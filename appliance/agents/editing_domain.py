"""What the editor of agents shows: agents, drafts, versions and their differences."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from appliance.agents.domain import AgentSnapshot
from appliance.wire import JsonObject

AgentName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=120, strip_whitespace=True),
    AfterValidator(lambda name: name.replace("\x00", "")),
]
_ABSENT = object()


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ShownAgent(Shown):
    id: UUID
    name: str
    created_at: datetime
    archived_at: datetime | None
    published_version_id: UUID | None
    published_version: int | None
    published_at: datetime | None
    newest_version: int | None
    draft_differs: bool
    """The draft is not what is published."""
    numbers: list[str]


class Flaw(Shown):
    """What keeps a draft from being published; `field` is a path such as `limits.max_duration_seconds`."""

    field: str
    message: str


class ShownDraft(Shown):
    """`snapshot` as it was saved: unfinished drafts are kept too."""

    agent_id: UUID
    snapshot: dict[str, Any]
    updated_at: datetime
    author: str | None
    revision: str
    flaws: list[Flaw]


class ShownVersion(Shown):
    id: UUID
    agent_id: UUID
    version: int
    published_at: datetime | None
    author: str | None
    note: str | None
    is_live: bool


class FullVersion(ShownVersion):
    snapshot: dict[str, Any]


class Difference(Shown):
    """A field that is not the same in both; None where it is missing."""

    field: str
    before: Any
    after: Any


class DraftInput(Shown):
    """A draft as it is saved: any JSON object; what it lacks or has wrong is told as flaws."""

    snapshot: JsonObject = Field(
        examples=[{"name": "Reception", "prompt": "You answer.", "greeting": "Hello."}]
    )


def flaws_of(snapshot: dict[str, Any]) -> list[Flaw]:
    """Nothing: it can be published."""
    flaws: list[Flaw] = []
    try:
        AgentSnapshot.model_validate(snapshot)
    except ValidationError as error:
        flaws = [
            Flaw(field=".".join(str(part) for part in each["loc"]), message=each["msg"])
            for each in error.errors(include_url=False, include_input=False, include_context=False)[:50]
        ]
    for name, what in (("prompt", "The prompt"), ("greeting", "The greeting"), ("name", "The name")):
        value = snapshot.get(name)
        if isinstance(value, str) and not value.strip():
            flaws.append(Flaw(field=name, message=f"{what} is empty"))
    known = set(AgentSnapshot.model_fields)
    flaws += [
        Flaw(field=name, message="There is no such setting") for name in sorted(snapshot.keys() - known)[:20]
    ]
    return flaws


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    """Field by field, by path; lists are compared whole."""
    return list(_differences(before, after, ""))


def _differences(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            below = f"{path}.{name}" if path else str(name)
            yield from _differences(before.get(name, _ABSENT), after.get(name, _ABSENT), below)
    elif before != after:
        yield Difference(
            field=path,
            before=None if before is _ABSENT else before,
            after=None if after is _ABSENT else after,
        )
