"""Who may ask the model now: a bound on requests in flight, with a part of it kept for live calls. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

LIVE_PRIORITY = 0
OTHER_PRIORITY = 10

Kind = Literal["live", "other"]


def kind_of(priority: int) -> Kind:
    """A turn of a live call, or work that may wait."""
    return "live" if priority <= LIVE_PRIORITY else "other"


@dataclass
class Places:
    """Counts requests in flight. Not thread-safe: one event loop owns it."""

    total: int
    live_reserve: int
    taken: dict[Kind, int] = field(default_factory=lambda: {"live": 0, "other": 0})

    @property
    def in_flight(self) -> int:
        return self.taken["live"] + self.taken["other"]

    def take(self, kind: Kind) -> bool:
        """False when there is no place: the caller is told at once and nothing waits outside the engine."""
        if self.in_flight >= self.total:
            return False
        if kind == "other" and self.taken["other"] >= self.total - self.live_reserve:
            return False
        self.taken[kind] += 1
        return True

    def leave(self, kind: Kind) -> None:
        self.taken[kind] -= 1
