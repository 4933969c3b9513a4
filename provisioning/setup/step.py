"""A step of the set-up, and steps side by side with progress lines."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

HEARTBEAT_SECONDS = 20.0
PAUSE_SECONDS = 5.0
"""Before the second attempt; twice that before the third."""


class SetupError(Exception):
    """A step failed. Says what, what to do about it, and where its output is."""

    def __init__(self, message: str, *, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.log = log


class Output:
    """Progress lines `[seconds since the start] step: text`, one at a time from all threads."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        with self._lock:
            sys.stdout.write(f"[{time.monotonic() - self._began:4.0f} s] {text}\n")
            sys.stdout.flush()


@dataclass(frozen=True)
class Step:
    """`done` is quick and changes nothing; `run` may be repeated after it was interrupted anywhere."""

    name: str
    done: Callable[[], bool]
    run: Callable[[Callable[[str], None]], None]
    needs: tuple[str, ...] = ()


def run_logged(
    command: Sequence[str],
    log: Path,
    *,
    what: str,
    remedy: str,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 2400,
    attempts: int = 1,
) -> None:
    """Runs a command with its output in a log file. Raises SetupError with the remedy.

    A command that asks a registry gets several attempts: one lost connection must not end an hour's set-up.
    """
    for attempt in range(1, attempts + 1):
        try:
            _run_once(command, log, what, remedy, environment, timeout_seconds)
        except SetupError:
            if attempt == attempts:
                raise
            time.sleep(PAUSE_SECONDS * attempt)
        else:
            return


def _run_once(
    command: Sequence[str],
    log: Path,
    what: str,
    remedy: str,
    environment: Mapping[str, str] | None,
    timeout_seconds: float,
) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {' '.join(command)}\n".encode())
        output.flush()
        try:
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                timeout=timeout_seconds,
                check=False,
            )
        except FileNotFoundError as error:
            raise SetupError(f"{what}: {command[0]} was not found.", remedy=remedy, log=log) from error
        except subprocess.TimeoutExpired as error:
            raise SetupError(f"{what} took over {timeout_seconds:.0f} s.", remedy=remedy, log=log) from error
    if result.returncode != 0:
        raise SetupError(f"{what} failed (exit {result.returncode}).", remedy=remedy, log=log)


def run_steps(steps: Sequence[Step], output: Output) -> None:
    """Runs what is not done, each as soon as those that it needs have ended. Raises the first SetupError."""
    open_steps = {step.name: step for step in steps if not step.done()}
    if not open_steps:
        output.line("Set-up: everything is there")
        return
    running: dict[Future[None], tuple[Step, float]] = {}
    with ThreadPoolExecutor(max_workers=len(open_steps)) as pool:
        failure: BaseException | None = None
        while open_steps or running:
            for step in list(open_steps.values()):
                busy = {other.name for other, _ in running.values()} | open_steps.keys()
                if failure is None and not busy.intersection(step.needs):
                    del open_steps[step.name]
                    output.line(f"{step.name}: started")
                    future = pool.submit(step.run, _reporter(step.name, output))
                    running[future] = (step, time.monotonic())
            if not running:
                break
            ended, _ = wait(running, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
            if not ended:
                output.line("still at work: " + ", ".join(step.name for step, _ in running.values()))
            for future in ended:
                step, began = running.pop(future)
                error = future.exception()
                took = time.monotonic() - began
                output.line(f"{step.name}: {'FAILED' if error else 'ready'} after {took:.0f} s")
                failure = failure or error
    if failure is not None:
        raise failure


def _reporter(name: str, output: Output) -> Callable[[str], None]:
    return lambda text: output.line(f"{name}: {text}")
