"""What a part of the box is: a program, what it needs first, and how one sees that it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from appliance.settings import Settings
from provisioning.lite.ports import Ports


@dataclass(frozen=True)
class Site:
    """Where and with what a box is run."""

    directory: Path
    ports: Ports
    settings: Settings
    durable: bool
    """False lets the database lose its newest rows at a power cut: for tests."""
    engines: Literal["lite", "real"] = "lite"

    @property
    def settings_file(self) -> Path:
        return self.directory / "settings.yaml"

    def log_path(self, part: str) -> Path:
        return self.directory / "log" / f"{part}.log"


def nothing(_site: Site) -> None:
    """For a part that needs no preparation."""


ALL_CALLS, AWAITED_BY_CALLS, THE_REST = -10, 0, 5
"""Niceness of parts. What is below zero needs a right, and is zero without it."""


@dataclass(frozen=True)
class Part:
    """One supervised program.

    `prepare` writes its files before each start; `provision` runs after it has become ready for the first
    time (both must change nothing the second time). `listens` names the ports that must be free before.
    """

    name: str
    command: Callable[[Site], list[str]]
    probe: Callable[[Site], Callable[[], None]]
    listens: tuple[str, ...]
    needs: tuple[str, ...] = ()
    prepare: Callable[[Site], None] = nothing
    provision: Callable[[Site], None] = nothing
    environment: Callable[[Site], Mapping[str, str]] = field(default=lambda _site: {})
    niceness: int = THE_REST
    """What carries the audio of all calls goes before what a call waits for (worker, tool API, database), and
    that before the rest: a stall of the processor turns into delay and lost words."""
    stop_signal: str = "TERM"
    stop_seconds: int = 12
    ready_seconds: float = 120.0
    of_call_path: bool = True
    """False: calls are answered without it, so it is started by name, after those that they need."""
