"""What callers were promised in seconds: held with room for a busy machine, told at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

BUSY = 2.0
"""A busy machine may take so many times as long for everything; a lost protection takes longer still."""

Measured = Callable[[str, float, float], None]
"""`measured(what, seconds, promised_seconds)`."""

_told: list[str] = []


@pytest.fixture
def measured() -> Measured:
    """Notes what was measured beside what is promised, and fails when it is far beyond."""

    def note(what: str, seconds: float, promised_seconds: float) -> None:
        line = f"{what}: {seconds:.2f} s (promised {promised_seconds:g} s)"
        _told.append(line)
        assert seconds <= promised_seconds * BUSY, line

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _told:
        terminalreporter.section("seconds that callers were promised")
        for line in _told:
            terminalreporter.write_line(line)
