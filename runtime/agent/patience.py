"""How long the caller may wait for an answer in silence. Pure: time is passed in."""

from __future__ import annotations

from typing import Literal

PatienceAction = Literal["filler", "give_up"]


class Patience:
    """Watches an answer that the agent owes: a filler when it is slow, an end when it does not come at all.

    `filler_after_seconds` of silence bring a filler, `again_after_seconds` after its end another; at
    `give_up_after_seconds` since the caller's last word "give_up" is told, once. Silence of the line is thus
    never longer than the larger of the two waits.
    """

    def __init__(
        self,
        *,
        filler_after_seconds: float = 1.6,
        again_after_seconds: float = 3.0,
        give_up_after_seconds: float = 12.0,
    ) -> None:
        self._filler_after = filler_after_seconds
        self._again_after = again_after_seconds
        self._give_up_after = give_up_after_seconds
        self._owed_since: float | None = None
        self._quiet_since = 0.0
        self._wait = filler_after_seconds
        self._audible = False

    @property
    def waiting(self) -> bool:
        """Whether an answer is owed."""
        return self._owed_since is not None

    def owe(self, now: float) -> None:
        """The caller has finished, or a tool has begun: an answer is owed from now on."""
        if self._owed_since is None:
            self._owed_since = now
            self._quiet_since = now
            self._wait = self._filler_after

    def settle(self) -> None:
        """The answer is there, or no longer wanted."""
        self._owed_since = None

    def audible(self, on: bool, now: float) -> None:
        """The agent's voice begins or ends, be it a filler or a part of the answer."""
        self._audible = on
        self._quiet_since = now

    def due(self, now: float) -> PatienceAction | None:
        """What is to be done at `now`."""
        if self._owed_since is None or self._audible:
            return None
        if now - self._owed_since >= self._give_up_after:
            self._owed_since = None
            return "give_up"
        if now - self._quiet_since >= self._wait:
            self._quiet_since = now
            self._wait = self._again_after
            return "filler"
        return None
