"""The program behind an API key."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.access.domain import Actor


@dataclass(frozen=True)
class KeyActor(Actor):
    """An actor that also knows how often its key may ask."""

    requests_per_minute: int = 600
