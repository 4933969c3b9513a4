"""When a thing that failed is tried again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


@dataclass
class Retries:
    """Remembers, for each thing, when it may be tried next: 1, 2, 4 ... 60 seconds after its failures."""

    clock: Callable[[], float]
    longest_seconds: float = LONGEST_WAIT_SECONDS
    _failures: dict[Hashable, tuple[int, float]] = field(default_factory=dict[Hashable, tuple[int, float]])

    def is_due(self, thing: Hashable) -> bool:
        _, next_at = self._failures.get(thing, (0, 0.0))
        return self.clock() >= next_at

    def failed(self, thing: Hashable) -> float:
        """Notes a failure; returns the seconds until the next try."""
        count, _ = self._failures.get(thing, (0, 0.0))
        wait = min(FIRST_WAIT_SECONDS * 2 ** min(count, 16), self.longest_seconds)
        self._failures[thing] = (count + 1, self.clock() + wait)
        return wait

    def succeeded(self, thing: Hashable) -> None:
        self._failures.pop(thing, None)

    def keep_only(self, things: set[Hashable]) -> None:
        """Forgets what does not exist any more."""
        for thing in self._failures.keys() - things:
            del self._failures[thing]
