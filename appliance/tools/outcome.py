"""What a tool needs to know of its call, and how it says that it cannot do what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.agents.domain import AgentSnapshot
from appliance.calls.tables import Call
from appliance.database.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class ToolSetting:
    """The call in which a tool runs, and the transaction that it may write in."""

    uow: UnitOfWork
    call: Call
    snapshot: AgentSnapshot
    timezone: str
    now: datetime

    @property
    def language(self) -> str:
        return self.snapshot.language

    @property
    def german(self) -> bool:
        return self.language.lower().split("-")[0] == "de"

    def pick(self, english: str, german: str) -> str:
        """The sentence in the agent's language, as far as we speak it."""
        return german if self.german else english


@dataclass(frozen=True)
class Done:
    """It was done. `say` is a sentence that the agent may use."""

    result: dict[str, Any]
    say: str | None = None


class CannotDo(Exception):  # noqa: N818 - it is an answer to the caller, not a failure
    """It was not done, and `say` tells the caller why and what else there is."""

    def __init__(self, code: str, say: str, result: dict[str, Any] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.say = say
        self.result = result
