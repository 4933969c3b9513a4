"""Steps of the set-up: side by side, in the order of what they need, with the remedy of what fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioning.setup.step import Output, SetupError, Step, run_logged, run_steps


class _Steps:
    def __init__(self) -> None:
        self.ran: list[str] = []

    def step(self, name: str, *needs: str, done: bool = False) -> Step:
        def run(_progress: Callable[[str], None]) -> None:
            self.ran.append(name)

        return Step(name, done=lambda: done, run=run, needs=needs)


def test_a_step_waits_for_what_it_needs() -> None:
    steps = _Steps()
    run_steps(
        [steps.step("last", "first", "second"), steps.step("second", "first"), steps.step("first")], Output()
    )
    assert steps.ran == ["first", "second", "last"]


def test_what_is_done_is_not_done_again() -> None:
    steps = _Steps()
    run_steps([steps.step("first", done=True), steps.step("second", "first")], Output())
    assert steps.ran == ["second"]


def test_steps_run_side_by_side() -> None:
    """Each waits for the other to have begun: one after the other they would never end."""
    both = threading.Barrier(2, timeout=30)
    run_steps(
        [Step(name, done=lambda: False, run=lambda _progress: both.wait() and None) for name in ("a", "b")],
        Output(),
    )


def test_nothing_follows_a_failure() -> None:
    steps = _Steps()

    def fail(_progress: Callable[[str], None]) -> None:
        raise SetupError("no network", remedy="Plug it in.")

    with pytest.raises(SetupError) as caught:
        run_steps([Step("first", done=lambda: False, run=fail), steps.step("second", "first")], Output())
    assert caught.value.remedy == "Plug it in."
    assert steps.ran == []


def test_a_failed_command_names_its_log(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    with pytest.raises(SetupError, match="exit 3") as caught:
        run_logged(["sh", "-c", "echo to be read; exit 3"], log, what="It", remedy="Do that.")
    assert caught.value.log == log
    assert "to be read" in log.read_text()


def test_a_missing_program_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="was not found"):
        run_logged(["no-such-program-here"], tmp_path / "log", what="It", remedy="Install it.")


def test_a_lost_connection_gets_a_second_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.setup.step.PAUSE_SECONDS", 0.0)
    flag = tmp_path / "flag"
    command = ["sh", "-c", f"test -e {flag} || {{ touch {flag}; exit 1; }}"]
    with pytest.raises(SetupError):
        run_logged(command, tmp_path / "log", what="It", remedy="")
    flag.unlink()
    run_logged(command, tmp_path / "log", what="It", remedy="", attempts=2)
