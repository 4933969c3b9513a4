"""How long a call may last. Pure: the seconds since the answer are passed in."""

from __future__ import annotations

from typing import Literal

WatchdogAction = Literal["warn", "over"]
WARN_BEFORE_SECONDS = (120.0, 30.0)


class CallWatchdog:
    """Warns when little time is left and says when it is over, each once.

    A warning that would come in the first fifth of the call is left out, and of two that are due at once only
    one is told. `limit_seconds` counts from the answer.
    """

    def __init__(
        self, limit_seconds: float, *, warn_before_seconds: tuple[float, ...] = WARN_BEFORE_SECONDS
    ) -> None:
        self._limit_seconds = limit_seconds
        earliest = limit_seconds / 5
        self._warnings = sorted(
            limit_seconds - before for before in warn_before_seconds if limit_seconds - before > earliest
        )
        self._over = False

    def due(self, elapsed_seconds: float) -> WatchdogAction | None:
        """What is to be done `elapsed_seconds` after the answer."""
        if self._over:
            return None
        if elapsed_seconds >= self._limit_seconds:
            self._over = True
            return "over"
        passed = [at for at in self._warnings if elapsed_seconds >= at]
        if not passed:
            return None
        self._warnings = self._warnings[len(passed) :]
        return "warn"
