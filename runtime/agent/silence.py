"""When a caller who says nothing is asked, and when the call ends politely. Pure: time is passed in."""

from __future__ import annotations

from typing import Literal

SilenceAction = Literal["prompt", "end"]
Busy = Literal["agent", "caller", "answering", "held"]


class SilenceTimer:
    """Counts the seconds in which nobody speaks, the agent owes nothing and the line is not held.

    After `prompt_after_seconds` without a word "prompt" is due; after `end_after_seconds` more "end" is.
    Noise stops the count while it lasts; only a word (or a key) starts it anew.
    """

    def __init__(self, *, prompt_after_seconds: float, end_after_seconds: float) -> None:
        self._limits: dict[SilenceAction, float] = {"prompt": prompt_after_seconds, "end": end_after_seconds}
        self._stage: SilenceAction = "prompt"
        self._done = False
        self._busy: set[Busy] = set()
        self._counted = 0.0
        self._since: float | None = None

    def start(self, now: float) -> None:
        """Begins to count; before it nothing is ever due."""
        if self._since is None and not self._busy:
            self._since = now

    def begin(self, what: Busy, now: float) -> None:
        """`what` keeps the count from running."""
        if not self._busy and self._since is not None:
            self._counted += max(now - self._since, 0.0)
            self._since = None
        self._busy.add(what)
        if what == "agent":
            self._counted = 0.0

    def end(self, what: Busy, now: float) -> None:
        """`what` is over; the count goes on when nothing else keeps it."""
        if what in self._busy:
            self._busy.discard(what)
            if not self._busy:
                self._since = now

    def word(self, now: float) -> None:
        """The caller said a word or pressed a key: everything starts anew."""
        self._stage = "prompt"
        self._counted = 0.0
        if self._since is not None:
            self._since = now

    def due(self, now: float) -> SilenceAction | None:
        """What is to be done at `now`; each action is told once, "end" is the last."""
        if self._since is None or self._done:
            return None
        if self._counted + max(now - self._since, 0.0) < self._limits[self._stage]:
            return None
        action = self._stage
        self._done = action == "end"
        self._stage = "end"
        self._counted = 0.0
        self._since = now
        return action
