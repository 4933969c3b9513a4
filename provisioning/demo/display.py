"""What a person sees of the demo: progress, the dialogue as it happens, a summary. Plain lines when piped."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from provisioning.caller.dialogue import Exchange


class Display:
    """Writes to standard output, or to standard error when that is kept for a JSON document."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        self._console = Console(file=sys.stderr if to_stderr else sys.stdout, highlight=False, soft_wrap=True)
        self._began = time.monotonic()

    def heading(self, text: str) -> None:
        self._console.print(f"\n[bold]{escape(text)}[/bold]")

    def line(self, text: str) -> None:
        self._console.print(escape(text))

    def part(self, name: str, phase: str, ms: float) -> None:
        """One step of a part's start."""
        if phase == "ready":
            self._console.print(f"  [green]ready[/green]     {name:<10} {ms / 1000:5.1f} s")
        elif self._console.is_terminal:
            self._console.print(f"  [dim]{phase:<9} {name}[/dim]")

    def said(self, call: int | None, speaker: str, text: str) -> None:
        """One line of a dialogue; `call` is given when several go on at once."""
        colour = "cyan" if speaker == "agent" else "yellow"
        which = "" if call is None else f"call {call + 1} "
        self._console.print(
            f"  [dim]{self._clock()}[/dim] {which}[{colour}]{speaker:<6}[/{colour}] {escape(text)}"
        )

    def latency(self, call: int | None, exchange: Exchange) -> None:
        which = "" if call is None else f"call {call + 1} "
        if exchange.latency_ms is None:
            self._console.print(f"  [dim]{self._clock()}[/dim] {which}       [red]no answer was heard[/red]")
        else:
            colour = "green" if exchange.latency_ms <= 1500 else "red"
            took = f"[{colour}]{exchange.latency_ms:.0f} ms[/{colour}]"
            self._console.print(f"  [dim]{self._clock()}[/dim] {which}       answer after {took}")

    def summary(self, rows: list[tuple[str, str]]) -> None:
        for name, value in rows:
            self._console.print(f"  {name:<22} {escape(value)}")

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"


def booking_line(booking: dict[str, Any]) -> str:
    return f"{booking['starts_at']} to {booking['ends_at']} for {booking['name']} ({booking['calendar']})"
